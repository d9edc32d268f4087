"""Small pieces that all reports share: money as text, times, plain tables, JSON documents."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tokentop.export.values import NUSD, iso, usd
from tokentop.model import Diagnostic
from tokentop.store import reader

__all__ = ["health_document", "iso", "money", "plain_table", "print_json", "usd"]


def money(nusd: int) -> str:
    """Dollars for people."""
    value = nusd / NUSD
    return f"${value:,.2f}" if abs(value) >= 0.995 or not nusd else f"${value:.4f}"


def print_json(document: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")
    sys.stdout.buffer.flush()


def plain_table(heads: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> str:
    """Columns as wide as their content; the first `left` are aligned to the left."""
    table = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(heads))]
    return "\n".join(
        "  ".join(
            c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )


def health_document(
    db: sqlite3.Connection, current: Iterable[Diagnostic], notes: Iterable[str]
) -> dict[str, Any]:
    """What was read and what could not be: the `health` of every JSON document."""
    files, size = reader.files_read(db)
    stored = reader.health(db)
    errors = [
        {"source": d.source, "kind": d.kind, "detail": d.detail, "count": d.count}
        for d in (*current, *stored) if d.kind not in ("duplicate", "unparsed", "compaction")
    ]  # fmt: skip
    errors += [{"source": "store", "kind": "note", "detail": note, "count": 1} for note in notes]
    return {
        "files": files,
        "bytes": size,
        "unparsed_lines": sum(d.count for d in stored if d.kind == "unparsed"),
        "duplicates": sum(d.count for d in stored if d.kind == "duplicate"),
        "errors": errors,
    }


class Progress:
    """A line on stderr that is written over while something takes long; nothing where nobody looks."""

    def __init__(self, quiet: bool = False) -> None:
        self._shown = not quiet and sys.stderr.isatty()
        self._next_s = time.monotonic() + 0.5
        self._written = False

    def tell(self, text: str) -> None:
        now_s = time.monotonic()
        if self._shown and now_s >= self._next_s:
            self._next_s, self._written = now_s + 0.25, True
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._written:
            self._written = False
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
