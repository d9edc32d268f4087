"""Seven bits: for terminals, locales and people that want no other characters."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Mapping
from typing import TextIO

from tokentop.text import cell_len

_TO_ASCII = str.maketrans(
    {
        "●": "*", "▶": ">", "✗": "x", "◷": "%", "⊘": "o", "‖": "=", "○": ".", "✓": "-", "·": "_", "∙": "-",
        "∅": "&", "–": "-", "…": "~", "≈": "~", "≥": ">", "≤": "<", "→": ">", "↑": "^", "↓": "v", "←": "<",
        "▾": "v", "▸": ">", "├": "|", "└": "`", "│": "|", "─": "-", "╭": "+", "╮": "+", "╰": "+", "╯": "+",
        "█": "#", "▉": "#", "▊": "#", "▋": "#", "▌": "#", "▍": "-", "▎": "-", "▏": "-",
        "░": ".", "▒": "+", "▓": "*",
        "▁": "_", "▂": ".", "▃": ":", "▄": "-", "▅": "=", "▆": "+", "▇": "#",
        "◆": "#", "¢": "c", "▔": "-", "🔎": "/ ",
    }
)  # fmt: skip
_SET_BY_PYTHON = frozenset({"C.UTF-8", "C.utf8"})
_HANDLER = "tokentop.sevenbits"


def to_ascii(text: str, measure: Callable[[str], int] = cell_len) -> str:
    """`text` in 7 bits and as many cells: known glyphs become their twin, everything else `?`."""
    if text.isascii():
        return text
    return "".join(c if c < "\x80" else "?" * measure(c) for c in text.translate(_TO_ASCII))


def wants_ascii(environ: Mapping[str, str]) -> bool:
    """True on a terminal that cannot show more: TERM=linux or dumb, or a locale without UTF-8."""
    if environ.get("TERM", "") in {"linux", "dumb"}:
        return True
    kind, lang = environ.get("LC_CTYPE", ""), environ.get("LANG", "")
    if kind in _SET_BY_PYTHON and lang:
        kind = ""  # by Python itself, where LANG is C or a locale that is not installed
    locale = environ.get("LC_ALL") or kind or lang
    if locale in {"C", "POSIX"}:
        return True
    encoding = locale.partition(".")[2].partition("@")[0].lower().replace("-", "")
    return encoding not in {"", "utf8"}


def restrict(stream: TextIO | None) -> None:
    """From now on write 7 bits to this terminal. A file or a pipe stays as it is: what reads it may know more."""
    if isinstance(stream, io.TextIOWrapper) and stream.isatty():
        codecs.register_error(_HANDLER, _twins)
        stream.reconfigure(encoding="ascii", errors=_HANDLER)


def _twins(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return to_ascii(error.object[error.start : error.end]), error.end
