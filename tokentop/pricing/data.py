"""The shape of `prices.json`, and its loader.

`load_bundled()` is the only I/O of this package: it reads one file of package data. A model's line is
decoded when the model is first priced, so loading costs about a millisecond.
"""

from __future__ import annotations

import os
from datetime import date
from typing import Annotated

import msgspec
from msgspec import Struct

SCHEMA = 1
DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1).toordinal()

# One price: micro-dollars per million tokens for input, cache_read, cache_write_5m, cache_write_1h, output
# and, only where thinking is dearer than other output, reasoning. None = the lists name no such rate.
Rate = Annotated[int, msgspec.Meta(ge=0)]
Quote = Annotated[list[Rate | None], msgspec.Meta(min_length=5, max_length=6)]


Day = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class OffPeak(Struct, frozen=True, forbid_unknown_fields=True):
    """Rates of certain hours. `windows` = (ISO weekdays such as "12345", first minute, end minute) in UTC."""

    rates: Quote
    windows: list[tuple[str, int, int]]


class Row(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The rates of one model from the start of the UTC day `since` until the next row.

    `rates` is keyed by service tier ("" = standard) and, where a longer prompt moves the whole request to
    another price, by `<tier>><prompt tokens>` (valid for prompts strictly above that count).
    `factors` are thousandths that multiply every bucket: tier ("batch"), speed ("fast"), region ("geo:us").
    """

    seen: Day  # day on which the generator first met these rates in `source`
    rates: dict[str, Quote]
    since: Day = "1970-01-01"  # ISO day; this value = no earlier price is known
    source: str = "litellm"
    factors: dict[str, Rate] = {}
    web_search: Rate | None = None  # micro-dollars per search; None = the usual 10,000
    off_peak: OffPeak | None = None


class Model(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One model at one host; `rows` are in the order of `since`."""

    rows: Annotated[list[Row], msgspec.Meta(min_length=1)]
    window: Rate = 0  # context window in tokens, 0 = unknown


class Document(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. Keys of `models` are `<host>/<model id>`, as `names.normal()` writes them."""

    schema: int
    generated: str
    sources: dict[str, str]
    unit: str
    aliases: dict[str, str]
    models: dict[str, msgspec.Raw]

    @property
    def version(self) -> str:
        """Date and sources, to be stored beside every price."""
        return " ".join([self.generated, *(f"{name} {number}" for name, number in self.sources.items())])


_DOCUMENT = msgspec.json.Decoder(Document)
_MODEL = msgspec.json.Decoder(Model)


def load_bundled() -> Document:
    """Read the price table that is shipped with the package."""
    with open(os.path.join(os.path.dirname(__file__), "prices.json"), "rb") as file:
        return parse(file.read())


def parse(raw: bytes) -> Document:
    document = _DOCUMENT.decode(raw)
    if document.schema != SCHEMA:
        raise ValueError(f"prices.json has schema {document.schema}, this version reads {SCHEMA}")
    return document


def decode_model(raw: msgspec.Raw) -> Model:
    return _MODEL.decode(raw)


def day_ms(day: str) -> int:
    """UTC epoch milliseconds of the start of an ISO day."""
    return (date.fromisoformat(day).toordinal() - _EPOCH) * DAY_MS
