"""The price of a response: `PriceTable` resolves a model once and then only multiplies.

Pure but for the first use, which reads the bundled table (`data.load_bundled`).
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from tokentop.nouns.usage import Tokens
from tokentop.pricing import data, names
from tokentop.pricing.custom import custom_rows
from tokentop.pricing.data import Document, Model, Row
from tokentop.pricing.describe import Description
from tokentop.pricing.rates import HALF, MILLION, Rates, resolve

_ALWAYS = -(1 << 62)
_NEVER = 1 << 62
_MOST_LINES = 4096  # logs name a few dozen models; this bounds what a hostile log can fill
_UNPRICED = Rates("", ())


class Price(Struct, frozen=True, gc=False):
    """What one response costs at list price. `nusd` None = unpriced, which is never 0."""

    nusd: int | None
    estimated: bool
    rates_id: str  # the table entry that priced it, "<host>/<model>"; "" = no entry


class _Line(Struct):
    """One (provider, model, tier, region), resolved. `newest_ms` is the start of the newest row."""

    newest_ms: int
    newest: Rates
    older: list[tuple[int, Rates]] = []  # newest first
    # The newest row for short prompts, if every rate of it is known: what nearly every call needs.
    plain: tuple[int, int, int, int, int] | None = None
    above: int = _NEVER  # longer prompts take another band
    estimated: bool = False

    def at(self, at_ms: int) -> Rates:
        if at_ms >= self.newest_ms or not self.older:
            return self.newest
        for start_ms, rates in self.older:
            if at_ms >= start_ms:
                return rates
        return self.older[-1][1]  # before the first row: the oldest known price


class PriceTable:
    """Prices by (provider, model, day). For one thread: it fills its caches while it is used."""

    def __init__(
        self, user: Mapping[str, Mapping[str, object]] | None = None, document: Document | None = None
    ):
        self._document_or_none = document
        self._user = custom_rows(user or {})
        self._lines: dict[tuple[str, str, str, str], _Line] = {}
        self._models: dict[str, Model] = {}

    @classmethod
    def load(cls, user: Mapping[str, Mapping[str, object]] | None = None) -> PriceTable:
        """Return a table; the bundled prices are read when the first price is asked for.

        `user` maps a model id, or "<provider>/<model id>", to USD per million tokens under the keys input,
        output, cache_read, cache_write_5m, cache_write_1h. Raises ValueError for a wrong key or figure.
        """
        return cls(user)

    @property
    def version(self) -> str:
        return self._document.version

    @property
    def _document(self) -> Document:
        if self._document_or_none is None:
            self._document_or_none = data.load_bundled()
        return self._document_or_none

    def price(
        self,
        *,
        provider: str,
        model: str,
        at_ms: int,
        tokens: Tokens,
        tier: str = "",
        geo: str = "",
        web_searches: int = 0,
        cumulative: bool = False,
    ) -> Price:
        """Price one response at the list price of its day.

        `cumulative`: `tokens` is a sum over several requests; it takes the base rate, and is an estimate
        where a longer prompt would have cost more.
        """
        line = self._lines.get((provider, model, tier, geo))
        if line is None:
            line = self._line(provider, model, tier, geo)
        plain = line.plain
        if plain is not None and at_ms >= line.newest_ms and not web_searches and not cumulative:
            fresh, read, write_5m, write_1h = (
                tokens.input,
                tokens.cache_read,
                tokens.cache_write_5m,
                tokens.cache_write_1h,
            )
            if fresh + read + write_5m + write_1h <= line.above:
                a, b, c, d, e = plain
                femto = fresh * a + read * b + write_5m * c + write_1h * d + tokens.output * e
                return Price((femto + HALF) // MILLION, line.estimated, line.newest.rates_id)
        rates = line.at(at_ms)
        nusd, estimated = rates.cost(tokens, at_ms=at_ms, web_searches=web_searches, cumulative=cumulative)
        return Price(nusd, estimated, rates.rates_id)

    def resolve(self, *, provider: str, model: str, at_ms: int, tier: str = "", geo: str = "") -> Rates:
        """The integer rates behind `price()`, for many responses of the same kind and day."""
        line = self._lines.get((provider, model, tier, geo)) or self._line(provider, model, tier, geo)
        return line.at(at_ms)

    def history(self, *, provider: str, model: str) -> list[tuple[int, Rates]]:
        """(when they begin, rates) of a model, the newest first; the oldest are those of all before, too."""
        line = self._lines.get((provider, model, "", "")) or self._line(provider, model, "", "")
        return [(line.newest_ms, line.newest), *line.older]

    def window(self, provider: str, model: str) -> int:
        """Context window in tokens; 0 = unknown."""
        if model.strip().lower().endswith("[1m]"):
            return MILLION
        found = self._find(provider, model)
        return found[1].window if found else 0

    def describe(self, model: str, at_ms: int, provider: str = "") -> Description | None:
        """What is known of a model, for `tokentop prices MODEL`; None = the table does not have it."""
        found = self._find(provider, model)
        if found is None or not found[1].rows:
            return None
        rates_id, entry, estimated = found
        row = entry.rows[0]
        for later in entry.rows[1:]:
            if data.day_ms(later.since) <= at_ms:
                row = later
        return Description(model, rates_id, estimated, entry.window, row, tuple(entry.rows), self.version)

    def _line(self, provider: str, model: str, tier: str, geo: str) -> _Line:
        if len(self._lines) >= _MOST_LINES:
            self._lines.clear()
        line = self._resolve_line(provider, model, tier, geo)
        self._lines[provider, model, tier, geo] = line
        return line

    def _resolve_line(self, provider: str, model: str, tier: str, geo: str) -> _Line:
        found = self._find(provider, model)
        if found is None:
            return _Line(_ALWAYS, _UNPRICED)
        rates_id, entry, estimated = found
        factor = names.HOST_FACTORS.get(names.host_of(provider), 1000)
        starts = []
        for row in entry.rows:
            rates = resolve(rates_id, row, tier=tier, geo=geo, factor=factor, estimated=estimated)
            starts.append((data.day_ms(row.since), rates))
        starts.reverse()
        first_ms = starts[0][0] if len(starts) > 1 else _ALWAYS
        return _with_plain(_Line(first_ms, starts[0][1], starts[1:]))

    def _find(self, provider: str, model: str) -> tuple[str, Model, bool] | None:
        """(table key, entry, estimated) of a logged model; the user's own prices come first."""
        for key in self._user and _user_keys(provider, model):
            if key in self._user:
                listed = self._listed(provider, model)
                window = listed[1].window if listed else 0
                factors = listed[1].rows[-1].factors if listed else {}
                row = self._user[key]
                own = Row(row.seen, row.rates, source=row.source, factors=factors)
                return f"user:{key}", Model([own], window), False
        if names.is_local(provider, model):
            row = Row("1970-01-01", {"": [0, 0, 0, 0, 0]}, source="local", web_search=0)
            return f"local:{names.normal(model)}", Model([row]), False
        return self._listed(provider, model)

    def _listed(self, provider: str, model: str) -> tuple[str, Model, bool] | None:
        document = self._document
        if not model or names.is_hosted_by_ollama(provider, model):
            return None
        for key, estimated in names.candidates(provider, model):
            name = key if key in document.models else document.aliases.get(key)
            if name is not None:
                return name, self._model(name), estimated
        return None

    def _model(self, name: str) -> Model:
        entry = self._models.get(name)
        if entry is None:
            entry = self._models[name] = data.decode_model(self._document.models[name])
        return entry


def _user_keys(provider: str, model: str) -> list[str]:
    hosts = {provider.strip().lower(), names.host_of(provider)} - {""}
    found = names.forms(model)
    return [f"{host}/{name}" for name in found for host in sorted(hosts)] + found


def _with_plain(line: _Line) -> _Line:
    bands = line.newest.bands
    if not bands or line.newest.off_peak is not None or bands[-1].reasoning is not None:
        return line
    band = bands[-1]
    a, b, c, d, e = band.input, band.cache_read, band.cache_write_5m, band.cache_write_1h, band.output
    if a is not None and b is not None and c is not None and d is not None and e is not None:
        line.plain = (a, b, c, d, e)
        line.above = bands[-2].above if len(bands) > 1 else _NEVER
        line.estimated = band.estimated
    return line
