"""Small pieces that all reports share: money as text, times, plain tables, JSON documents."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from tokentop.model import Diagnostic
from tokentop.store import reader

NUSD = 1_000_000_000


def usd(nusd: int) -> str:
    """Dollars with all nine decimals: exact."""
    sign, value = ("-", -nusd) if nusd < 0 else ("", nusd)
    return f"{sign}{value // NUSD}.{value % NUSD:09d}"


def money(nusd: int) -> str:
    """Dollars for people."""
    value = nusd / NUSD
    return f"${value:,.2f}" if abs(value) >= 0.995 or not nusd else f"${value:.4f}"


def iso(ms: int) -> str:
    """UTC, to the second, or to the millisecond where there is one."""
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds" if ms % 1000 else "seconds").replace("+00:00", "Z")


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
