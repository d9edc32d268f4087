"""Text for the terminal: makes foreign text safe, and formats figures with fixed widths.

Everything that comes from a log, a process or a network passes `clean()` once, at the entrance.
Pure.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import TypeGuard

TITLE_CHARS = 80
_COMBINING_RUN = 2


@cache
def _hostile() -> re.Pattern[str]:
    """Compiled for the first text that is not plain ASCII: it takes a millisecond of each start."""
    return re.compile(
        "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
        "\ud800-\udfff\U000e0000-\U000e007f\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f]"
    )


def is_key(value: object) -> TypeGuard[str]:
    """Whether it can be a key: one word of printable ASCII. A line break in a header would be a second header."""
    return (
        isinstance(value, str)
        and value.isascii()
        and value.isprintable()
        and value != ""
        and " " not in value
    )


def clean(text: str, limit: int = 200) -> str:
    """Return `text` on one line, safe for any terminal, at most `limit` characters.

    Controls, bidi marks, zero-width characters and lone surrogates become visible marks; runs of
    combining characters are cut. The cut is marked with an ellipsis.
    """
    cut = text[: 2 * limit + 64]
    safe = cut if cut.isascii() and cut.isprintable() else _clean_slow(cut)
    if len(safe) > limit or len(text) > len(cut):
        return safe[: max(0, limit - 1)] + "…"
    return safe


_NAMED = (
    r"(?:api[_-]?key|apikey|access[_-]?key|private[_-]?key|secret|passw(?:or)?d|passwd|passphrase|credential"
    r"|authorization|auth[_-]?token|token(?!s|iz))"
)
_NAMES = ("key", "secret", "passw", "passphrase", "credential", "authorization", "token")
# What a secret looks like: signs that are looked for first (a pattern costs a hundred times that look), what of the
# match stays, and the pattern.
_SECRETS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("sk-", "k_live_", "k_test_", "gh", "glpat-", "xox", "akia", "asia", "aiza", "ya29", "hf_", "npm_", "pypi-", "eyj"),
        "",
        r"\b(?:sk-[a-z0-9_-]{8,}|[srp]k_(?:live|test)_[a-z0-9]{8,}|gh[pousr]_[a-z0-9]{16,}|github_pat_\w{16,}"
        r"|glpat-[a-z0-9_-]{12,}|xox[abeprs]-[a-z0-9-]{10,}|(?:AKIA|ASIA)[0-9A-Z]{12,}|AIza[0-9a-z_-]{20,}"
        r"|ya29\.[a-z0-9_-]{10,}|hf_[a-z0-9]{16,}|npm_[a-z0-9]{16,}|pypi-[a-z0-9_-]{16,}"
        r"|eyJ[a-z0-9_-]{10,}\.[a-z0-9_-]{10,}[a-z0-9_.-]*)",
    ),
    (("private key-----",), "", r"-----BEGIN [a-z ]*PRIVATE KEY-----[^\x00]*"),
    (("://",), r"\1", r"(://[^\s/:@\"']{0,80}:)[^\s/@\"']{1,200}(?=@)"),
    (
        _NAMES, r"\1",
        r"((?<![\w-])--?(?:[\w-]{0,30}[-_])?" + _NAMED + r"(?:[-_]\w{1,20})?(?:\s+|=)[\"']?)[^\s\"']{3,}",
    ),
    (
        _NAMES, r"\1",
        r"(" + _NAMED + r"s?(?:[_-]\w{1,30})?\\{0,4}[\"' ]{0,3}[:=][\"' ]{0,3}\\{0,4}[\"' ]{0,3}"
        r"(?:(?:bearer|basic|token)\s+)?)(?:(?<=[\"'])[^\"'\\]{4,}|[^\s\"'\\]{6,})",
    ),
    (("bearer ", "basic "), r"\1", r"\b((?:bearer|basic)\s+)[a-z0-9_.~+/=-]{12,}"),
)  # fmt: skip


def mask_secrets(text: str) -> str:
    """Replace what looks like a key or a password by `***`; the name of it, or the flag, stays."""
    lower = text.lower()
    for signs, kept, pattern in _SECRETS:
        if any(sign in lower for sign in signs):
            text = re.sub(pattern, kept + "***", text, flags=re.IGNORECASE)
    return text


def one_line(text: str, limit: int) -> str:
    """A piece of foreign text for a screen: on one line, safe, secrets masked, at most `limit` characters."""
    # More than is shown is looked at: a secret that the cut goes through is masked as a whole.
    return clean(mask_secrets(" ".join(text[: 2 * limit + 400].split())), limit)


def paragraphs(text: str, limit: int = 20_000) -> list[str]:
    """A longer piece of foreign text for a screen, line by line: safe, secrets masked, at most `limit` characters."""
    cut = text[: limit + 400]
    lines = [clean(line.expandtabs(4).rstrip(), 2_000) for line in mask_secrets(cut)[:limit].splitlines()]
    return [*lines, "…"] if len(text) > limit else lines


def title(text: str) -> str:
    """A session title: one line, safe, secrets masked, at most 80 characters."""
    return clean(mask_secrets(" ".join(text[:400].split())), TITLE_CHARS)


_NO_CELL = frozenset({"Mn", "Me", "Cf"})


def cell_len(text: str) -> int:
    """How many cells a text takes in a terminal: wide letters two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(char) in _NO_CELL else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def _clean_slow(text: str) -> str:
    if not _hostile().search(text):
        return "".join(c if c.isprintable() else "�" for c in text)
    out: list[str] = []
    run = 0
    for char in text:
        if unicodedata.combining(char) or unicodedata.category(char) in {"Mn", "Me"}:
            run += 1
            if run <= _COMBINING_RUN and not 0xFE00 <= ord(char) <= 0xFE0F:
                out.append(char)
            continue
        run = 0
        code = ord(char)
        if char in "\n\t\r":
            out.append(" ")
        elif code < 0x20:
            out.append(chr(0x2400 + code))
        elif code == 0x7F:
            out.append("␡")
        elif char.isprintable():
            out.append(char)
        else:
            out.append("�")
    return "".join(out)


# ---------------------------------------------------------------- figures

_SUFFIXES = ("", "k", "M", "B", "T", "P")
UNKNOWN = "?"
NOT_APPLICABLE = "–"


def digits3(value: float) -> str:
    """Three significant digits with an SI suffix, at most 6 cells: `842`, `9.87k`, `12.3M`, `1.04B`."""
    sign = "-" if value < 0 else ""
    size = abs(value)
    if size < 999.5:
        return sign + str(int(size + 0.5))
    power = 0
    while size >= 999.5 and power < len(_SUFFIXES) - 1:
        size /= 1000
        power += 1
    places = 2 if size < 9.995 else 1 if size < 99.95 else 0
    return f"{sign}{size:.{places}f}{_SUFFIXES[power]}"


def rate(per_min: float) -> str:
    """A rate of tokens: like `digits3`, but a rate below one is `<1`, never 0."""
    return "<1" if 0 < per_min < 0.5 else digits3(per_min)


def money(nusd: int, mark: str = "", sign: str = "$", width: int = 6) -> str:
    """Nano-dollars as `$0.42`, `$31.20`, `$388`, `$1.24k`; `mark` is put in front (`≈`, `≥`).

    Digits behind the point are given up before `width` is exceeded; from a width of 8 on there are
    cents up to $999.99. Less than a cent is `<$0.01` where it fits and `<1¢` otherwise.
    """
    usd = abs(nusd) / 1e9
    head = mark + ("-" if nusd < 0 else "") + sign
    if 0 < usd < 0.005:
        small = f"<{mark}{sign}0.01"
        return small if len(small) <= width else "<1¢"
    if usd < 99.995 or (width >= 8 and usd < 999.995):
        choices = [f"{usd:.2f}", f"{usd:.1f}", f"{usd:.0f}"]
    elif usd < 999.5:
        choices = [f"{usd:.0f}"]
    else:
        choices = [digits3(usd), _fewer_digits(usd, 2), _fewer_digits(usd, 1)]
    return next((head + c for c in choices if len(head + c) <= width), head + choices[-1])


def _fewer_digits(value: float, significant: int) -> str:
    text = digits3(value)
    body, suffix = text[:-1], text[-1]
    places = max(0, significant - len(body.split(".")[0]))
    return f"{float(body):.{places}f}{suffix}"


def trimmed(figure: str) -> str:
    """A round figure without the digits that say nothing: `$2.50k` -> `$2.5k`, `50.0k` -> `50k`, `$20.00` -> `$20`."""
    if figure[-1:].isalpha():
        return (figure[:-1].rstrip("0").rstrip(".") if "." in figure else figure[:-1]) + figure[-1]
    return figure.removesuffix(".00")


def percent(value: float) -> str:
    """`71%`, `100%`; between 0 and 0.5 it is `<1%`, so that a little is not nothing."""
    if 0 < value < 0.5:
        return "<1%"
    return f"{min(value, 999):.0f}%"


def percent_fine(value: float) -> str:
    """One decimal below 10: `1.2%`, `12%`."""
    return f"{value:.1f}%" if value < 9.95 else f"{min(value, 9999):.0f}%"


def duration(seconds: float) -> str:
    """At most 5 cells for a table: `42s`, `12m`, `3h07`, `2d4h`, `34d`, `3y`. Negative counts as 0."""
    whole = max(0, int(seconds + 0.5))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}"
    days = whole // 86_400
    if days < 10:
        return f"{days}d{whole % 86_400 // 3600}h"
    return f"{days}d" if days < 1000 else f"{days // 365}y"


def duration_long(seconds: float) -> str:
    """With seconds, for a drawer: `42s`, `3m12s`, `2h07m`, `2d4h`."""
    whole = max(0, int(seconds + 0.5))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return duration(whole)


def size_bytes(count: int) -> str:
    """Decimal units, as logs and disks are counted: `842 B`, `61 MB`, `4.8 GB`."""
    if count < 1000:
        return f"{count} B"
    size = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 999.5 or unit == "TB":
            break
    return f"{size:.1f} {unit}" if size < 9.95 else f"{size:.0f} {unit}"


def memory(count: int) -> str:
    """Resident memory in binary units, 4 cells: `61M`, `1.2G`."""
    size = count / 1024
    for unit in ("K", "M", "G", "T"):
        if size < 999.5 or unit == "T":
            break
        size /= 1024
    return f"{size:.1f}{unit}" if size < 9.95 and unit in "GT" else f"{size:.0f}{unit}"


def clock(at_ms: int, zone: tzinfo | None = None, seconds: bool = False) -> str:
    """`21:14` or `21:14:05` in `zone` (None: the zone of the machine); `?` for an impossible time."""
    moment = _moment(at_ms, zone)
    if moment is None:
        return UNKNOWN
    return moment.strftime("%H:%M:%S" if seconds else "%H:%M")


def clock_near(at_ms: int, now_ms: int, zone: tzinfo | None = None, *, by_day: bool = False) -> str:
    """A time of day within 20 hours of now (`by_day`: of the same day), with the weekday within a week, else the date."""
    moment = _moment(at_ms, zone)
    if moment is None:
        return UNKNOWN
    away_s = abs(at_ms - now_ms) / 1000
    now = _moment(now_ms, zone) if by_day else None
    if away_s < 20 * 3600 and (now is None or now.date() == moment.date()):
        return moment.strftime("%H:%M")
    if away_s < 6.5 * 86_400:
        return _WEEKDAYS[moment.weekday()] + moment.strftime(" %H:%M")
    return moment.strftime("%Y-%m-%d")


def at_clock(at_ms: int, now_ms: int) -> str:
    """The same in a sentence: `at 16:40`, `on Thu 09:00`, `on 2026-11-29`."""
    when = clock_near(at_ms, now_ms)
    return f"{'at' if len(when) == len('16:40') else 'on'} {when}"


_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _moment(at_ms: int, zone: tzinfo | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
    except (ValueError, OverflowError, OSError):
        return None


_DATE_TAIL = re.compile(r"[-@]\d{8}$|-\d{4}-\d\d-\d\d$")
_VENDOR_HEAD = re.compile(r"^(?:claude|gemini|anthropic|openai)-(?=.)")


def short_model(name: str) -> str:
    """The part that tells models apart: `claude-opus-5-20260101` -> `opus-5`, `x-ai/grok-5` -> `grok-5`."""
    tail = name.rsplit("/", 1)[-1]
    tail = _DATE_TAIL.sub("", tail)
    return _VENDOR_HEAD.sub("", tail) or name


def window_name(minutes: int) -> str:
    """A limit window: 300 -> `5h`, 10080 -> `7d`, 0 (not known) -> `?`."""
    if minutes <= 0:
        return "?"
    if minutes >= 1440 and minutes % 1440 == 0:
        return f"{minutes // 1440}d"
    if minutes >= 60 and minutes % 60 == 0:
        return f"{minutes // 60}h"
    return f"{minutes}m"


def plural(count: int, noun: str) -> str:
    """`1 change`, `3 changes`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
