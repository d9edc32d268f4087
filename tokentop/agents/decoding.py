"""What decoders share: forgiving JSON, coercion of counts and times, errors. Pure."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from functools import lru_cache
from io import BytesIO
from typing import Any, TypeVar

import msgspec

from tokentop.nouns.facts import Diagnostic, Fact
from tokentop.nouns.usage import Tokens
from tokentop.text import clean

T = TypeVar("T")

# Everything that a decoder of untrusted JSON can raise: deep nesting is a RecursionError even in an unknown
# field, raw invalid UTF-8 in a known field a UnicodeDecodeError.
DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError)

MAX_COUNT = 2**40  # no token count of one response or session is larger
_MAX_DOLLARS = 1_000_000
_MIN_MS = 1_262_304_000_000  # 2010
_MAX_MS = 4_102_444_800_000  # 2100
_ANY = msgspec.json.Decoder()


def decode(data: bytes | bytearray, kind: msgspec.json.Decoder[T]) -> T | None:
    """Decode one line; None if it is not JSON of that shape even after the lenient second chance.

    The second chance takes what real clients write and the strict decoder refuses: lone surrogates of a
    string cut inside an emoji, NULs left by a crash, a BOM, raw control characters, counts as floats.
    """
    try:
        return kind.decode(data)
    except DECODE_ERRORS:
        pass
    try:
        return kind.decode(bytes(data).lstrip(b"\0"))
    except DECODE_ERRORS:
        pass
    try:
        text = bytes(data).decode("utf-8", "replace").lstrip("\ufeff\0")
        value: Any = json.loads(text, strict=False)
        return msgspec.convert(_lenient(value), kind.type, strict=False)
    except (*DECODE_ERRORS, OverflowError):
        return None


def record(data: object) -> dict[str, Any] | None:
    """The JSON object of a line or a cell, its values unchecked; None if it is none, as a cell of any type may be.

    For agents whose lines are few: a field of an unexpected type then spoils nothing but itself.
    """
    raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
    value = decode(raw, _ANY) if isinstance(raw, bytes | bytearray) else None
    return value if isinstance(value, dict) else None


def document(data: bytes) -> Any:
    """A whole JSON document; ValueError if it is none (half-written, damaged)."""
    value = decode(data, _ANY)
    if value is None:
        raise ValueError("not a whole JSON document")
    return value


def decompressed(data: object, most: int) -> bytes | None:
    """The content of a zstd cell of at most `most` bytes; None for damage, or for more than that."""
    if not isinstance(data, bytes):
        return None
    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdFile

        stream: Any = ZstdFile(BytesIO(data))
    else:
        import zstandard  # when a cell needs it: every start imports this module

        stream = zstandard.ZstdDecompressor().stream_reader(BytesIO(data), read_across_frames=True)
    try:
        found: bytes = stream.read(most + 1)
    except Exception:  # both modules have error types of their own
        return None
    return found if len(found) <= most else None


def objects(value: object) -> list[dict[str, Any]]:
    """The objects in a list; empty for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def obj(value: object) -> dict[str, Any]:
    """The object itself; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def string(value: object) -> str:
    """The text itself, as it was logged; "" for anything else."""
    return value if isinstance(value, str) else ""


def text(value: object, most: int = 100) -> str:
    """A text from a log, safe to show; "" for anything else."""
    return clean(value, most) if isinstance(value, str) else ""


def tokens(
    agent: str, facts: list[Fact], *, fresh: object = None, prompt: object = None, cache_read: object = None,
    cache_write: object = None, cache_write_1h: object = None, output: object = None, reasoning: object = None,
    thoughts: object = None,
) -> Tokens:  # fmt: skip
    """Disjoint counts of one response from what its log says.

    `fresh` input excludes everything cached; `prompt` includes it (give one of the two). `cache_write` includes
    `cache_write_1h`. `reasoning` is a part of `output`; `thoughts` come on top of it. A count out of bounds is 0
    and a diagnostic in `facts`.
    """
    raw = (fresh, prompt, cache_read, cache_write, cache_write_1h, output, reasoning, thoughts)
    found = [count(value) for value in raw]
    if None in found:
        facts.append(bad_number(agent))
    new, whole, read, written, long, out, inside, beside = (value or 0 for value in found)
    long = min(long, written)
    if prompt is not None:
        new = max(0, whole - read - written)
    out += beside
    return Tokens(new, read, written - long, long, out, min(inside + beside, out))


_GLUED_BYTES = 4 << 20
_GLUED_TRIES = 50


def after_torn(line: bytes | bytearray) -> bytes | None:
    """The whole record at the end of a line that begins with a torn one; None if there is none.

    A writer that died inside a line leaves it without its end, and its successor goes on behind it.
    """
    data = bytes(line) if len(line) <= _GLUED_BYTES else b""
    place = data.find(b'{"', 1)
    for _ in range(_GLUED_TRIES):
        if place < 0:
            return None
        try:
            if isinstance(msgspec.json.decode(data[place:]), dict):
                return data[place:]
        except DECODE_ERRORS:
            pass
        place = data.find(b'{"', place + 1)
    return None


def _lenient(value: Any, depth: int = 0) -> Any:
    """Make a parsed document acceptable for typed conversion: no surrogates, whole floats as integers."""
    if depth > 40:
        return None
    if isinstance(value, dict):
        return {_safe(str(k)): _lenient(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        return [_lenient(v, depth + 1) for v in value]
    if isinstance(value, str):
        return _safe(value)
    if isinstance(value, float):
        return int(value) if value == value and abs(value) <= MAX_COUNT and value == int(value) else -1
    if isinstance(value, bool):
        return value
    return value


def _safe(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8", "replace")


def count(value: object) -> int | None:
    """A token count from a log: an integer of at least 0 within bounds, 0 for null; None = not a count."""
    if value is None:
        return 0
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 14:
        value = int(value)
    if isinstance(value, float) and value == value and 0 <= value <= MAX_COUNT and value == int(value):
        value = int(value)
    if type(value) is int and 0 <= value <= MAX_COUNT:
        return value
    return None


def nusd(dollars: object) -> int | None:
    """Nano-dollars of a cost in dollars from a log; None for none, for 0 and for what is no cost."""
    if type(dollars) not in (int, float) or not 0 < dollars < _MAX_DOLLARS:  # type: ignore[operator]
        return None
    return round(dollars * 1e9)  # type: ignore[operator]


def milli(value: object) -> int | None:
    """Thousandths of an agent's own unit from a log; None for what is none."""
    if type(value) not in (int, float) or not 0 <= value < MAX_COUNT:  # type: ignore[operator]
        return None
    return round(value * 1_000)  # type: ignore[operator]


def at_least(mark: int, value: object) -> int:
    """A watermark that goes on to `value`, where that is a number of a row; hostile tables have other ids."""
    return max(mark, value) if type(value) is int and value < 1 << 63 else mark


def epoch_ms(value: object) -> int:
    """UTC milliseconds of an ISO text, or of a number in s, ms, us or ns; 0 = no usable time."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                if value.isdigit():
                    return epoch_ms(int(value))
                moment = moment.replace(tzinfo=UTC)
            ms = int(moment.timestamp() * 1000 + 0.5)
        elif type(value) in (int, float):
            number = float(value)  # type: ignore[arg-type]
            while 1e14 < number < 1e21:  # infinity would never end
                number /= 1000
            ms = int(number if number > 1e11 else number * 1000)
        else:
            return 0
    except (ValueError, OverflowError, OSError):
        return epoch_ms(int(value)) if isinstance(value, str) and value.isascii() and value.isdigit() else 0
    return ms if _MIN_MS <= ms <= _MAX_MS else 0


def unparsed(agent: str) -> Diagnostic:
    return Diagnostic(source=agent, kind="unparsed", detail="a line that is not readable JSON")


def bad_number(agent: str) -> Diagnostic:
    return Diagnostic(source=agent, kind="bad-number", detail="a token count out of bounds, counted as 0")


@lru_cache(2048)
def label(text: str | None) -> str:
    """A model, tier or provider name from a log, safe to show."""
    return clean(text, 100) if text else ""


@lru_cache(2048)
def identifier(text: str | None) -> str:
    """An id from a log, safe to show: ids are hexadecimal in practice, anything else is cleaned."""
    if not text:
        return ""
    if len(text) <= 100 and text.isascii() and text.replace("-", "").replace("_", "").isalnum():
        return text
    return clean(text, 100).replace("/", "_")


def project_of(cwd: str) -> str:
    """The last part of a working directory, on any system."""
    return cwd.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
