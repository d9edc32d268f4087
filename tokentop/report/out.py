"""Small pieces that all reports share: money as text, times, plain tables, JSON documents."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from tokentop.export.values import dollars as money
from tokentop.export.values import iso, usd
from tokentop.nouns.facts import Diagnostic
from tokentop.store import reader
from tokentop.text import cell_len

_ENDLESS = 100_000

__all__ = ["health_document", "iso", "money", "plain_table", "print_json", "usd"]


def print_json(document: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")
    sys.stdout.buffer.flush()


def plain_table(heads: Sequence[str], rows: Iterable[Sequence[str]], left: int, words: int = 0) -> str:
    """Columns as wide as their content; the first `left` and the last `words` are aligned to the left."""
    table = [list(heads), *(list(row) for row in rows)]
    widths = [max(cell_len(row[i]) for row in table) for i in range(len(heads))]

    def filled(at: int, cell: str) -> str:
        spaces = " " * (widths[at] - cell_len(cell))
        return cell + spaces if at < left or at >= len(heads) - words else spaces + cell

    return "\n".join("  ".join(filled(at, cell) for at, cell in enumerate(row)).rstrip() for row in table)


def room() -> int:
    """Cells of a line: those of the terminal, or what COLUMNS says; where neither is known there is no end."""
    with contextlib.suppress(ValueError):
        if (told := int(os.environ.get("COLUMNS", ""))) > 0:
            return told
    with contextlib.suppress(ValueError, OSError):
        return os.get_terminal_size(sys.stdout.fileno()).columns or _ENDLESS
    return _ENDLESS


def fitted_table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], left: int, cells: int, *,
    least: Mapping[str, int] = MappingProxyType({}), drop: Sequence[str] = (), words: int = 0,
) -> str:  # fmt: skip
    """`plain_table` within so many cells.

    Columns of text are cut down to their `least` cells, the widest first; where that is not enough those of `drop` are
    left out, in that order; what still has no room stands in further tables below, beside the first columns, as many of
    them as tell the rows apart.
    """
    heads, table = list(heads), [list(row) for row in rows]
    widths = [max(cell_len(row[at]) for row in (heads, *table)) for at in range(len(heads))]
    for name in drop:
        if (
            _wide([min(width, least.get(head, width)) for head, width in zip(heads, widths, strict=True)])
            <= cells
        ):
            break
        if name in heads:
            gone = heads.index(name)
            left -= gone < left
            del widths[gone]
            for row in (heads, *table):
                del row[gone]
    while _wide(widths) > cells:
        soft = [at for at, head in enumerate(heads) if widths[at] > least.get(head, widths[at])]
        if not soft:
            break
        widths[max(soft, key=lambda at: widths[at])] -= 1
    table = [[_cut(cell, width) for cell, width in zip(row, widths, strict=True)] for row in table]
    named = _telling(table, widths, left, cells // 2)
    blocks, start = [], named
    while start < len(heads):
        end = start + 1
        while end < len(heads) and _wide([*widths[:named], *widths[start : end + 1]]) <= cells:
            end += 1
        shown = [*range(named), *range(start, end)]
        blocks.append(
            plain_table([heads[at] for at in shown], [[row[at] for at in shown] for row in table],
                        sum(at < left for at in shown), sum(at >= len(heads) - words for at in shown))
        )  # fmt: skip
        start = end
    return "\n\n".join(blocks)


def _telling(table: Sequence[Sequence[str]], widths: Sequence[int], left: int, cells: int) -> int:
    """How many of the columns of names tell each row from the others; 1 where so many have no room."""
    for count in range(1, left + 1):
        if _wide(widths[:count]) > cells:
            break
        if len({tuple(row[:count]) for row in table}) == len(table):
            return count
    return 1


def fits(heads: Sequence[str], rows: Sequence[Sequence[str]], cells: int) -> bool:
    """Whether a table has room in so many cells as it is."""
    return _wide([max(cell_len(row[at]) for row in (heads, *rows)) for at in range(len(heads))]) <= cells


def short_ids(ids: Iterable[str]) -> dict[str, str]:
    """The beginning of each session id that tells it from the others here, of eight letters at least.

    A sub-agent that is filed under a session (`id/name`) has that one's.
    """
    names = {one: one.partition("/")[0] for one in ids}
    found, ordered = {}, sorted(set(names.values()))
    for at, name in enumerate(ordered):
        near = [ordered[other] for other in (at - 1, at + 1) if 0 <= other < len(ordered)]
        same = [
            next((k for k, (a, b) in enumerate(zip(name, other, strict=False)) if a != b), len(name))
            for other in near
        ]
        found[name] = name[: max([8, *(count + 1 for count in same)])]
    return {one: found[name] for one, name in names.items()}


def _wide(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (len(widths) - 1)


def _cut(cell: str, width: int) -> str:
    while cell_len(cell) > width:
        cell = cell.removesuffix("…")[:-1] + "…"
    return cell


def wrapped(line: str, cells: int, indent: int) -> list[str]:
    """A line in pieces of so many cells, the later ones indented."""
    cells = max(cells, indent + 1)  # each piece brings one letter at least
    pieces = []
    while len(line) > cells:
        at = line.rfind(" ", indent + 1, cells + 1)
        at = at if at > indent else cells
        pieces.append(line[:at].rstrip())
        line = " " * indent + line[at:].lstrip()
    return [*pieces, line]


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
