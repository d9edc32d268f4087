"""Text for the terminal: makes foreign text safe, and formats figures with fixed widths.

Everything that comes from a log, a process or a network passes `clean()` once, at the entrance.
Pure.
"""

from __future__ import annotations

import re
import unicodedata

TITLE_CHARS = 80
_COMBINING_RUN = 2

_HOSTILE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f]"
)


def clean(text: str, limit: int = 200) -> str:
    """Return `text` on one line, safe for any terminal, at most `limit` characters.

    Controls, bidi marks, zero-width characters and lone surrogates become visible marks; runs of
    combining characters are cut. The cut is marked with an ellipsis.
    """
    cut = text[: 2 * limit + 64]
    if cut.isascii() and cut.isprintable():
        safe = cut
    else:
        safe = _clean_slow(cut)
    if len(safe) > limit or len(text) > len(cut):
        return safe[: max(0, limit - 1)] + "…"
    return safe


_SECRET = re.compile(
    r"(?i)\b(sk-[a-z0-9_-]{8,}|gh[pousr]_[a-z0-9]{16,}|github_pat_\w{16,}|xox[abprs]-[a-z0-9-]{10,}"
    r"|AKIA[0-9A-Z]{12,}|AIza[0-9a-z_-]{20,}|eyJ[a-z0-9_-]{10,}\.[a-z0-9_-]{10,}[a-z0-9_.-]*)"
    r"|((?:api[_-]?key|token|secret|password|passwd|authorization)\b[\"' ]{0,3}[:=][\"' ]{0,3}(?:bearer\s+)?)[^\s\"']{6,}"
)


def mask_secrets(text: str) -> str:
    """Replace what looks like a key or a password by `***`."""
    return _SECRET.sub(lambda match: (match.group(2) or "") + "***", text)


def title(text: str) -> str:
    """A session title: one line, safe, secrets masked, at most 80 characters."""
    return clean(mask_secrets(" ".join(text[:400].split())), TITLE_CHARS)


def _clean_slow(text: str) -> str:
    if not _HOSTILE.search(text):
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
