"""Columns and cells of the history. Pure; a cell is (text, role)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from msgspec import Struct

from tokentop import text
from tokentop.nouns.history import COST, LAST, RESPONSES, TOKENS, Entry, Group
from tokentop.ui.glyphs import safe

Cell = tuple[str, str]
NAME = "session"  # the column that takes what the others leave


class Column(Struct, frozen=True):
    """One column: where it stands when the terminal is narrow says how much it matters."""

    id: str
    head: str
    width: int
    least: int  # cells of the terminal from which on it is shown
    cell: Callable[[Entry, int], Cell]  # entry, now in ms
    right: bool = False
    sort: str = ""
    wide: int = 0  # its width on a wide terminal


def _when(entry: Entry, now_ms: int) -> Cell:
    return (
        text.clock_near(entry.last_ms, now_ms, by_day=True) if entry.last_ms > 0 else text.UNKNOWN
    ), "muted"


def _cost_text(cost_nusd: int, *, incomplete: bool, estimated: bool) -> str:
    """`$31.20`; `$?` no part is known, `≥` a part is unpriced or unknown, `≈` a part is estimated."""
    if incomplete and not cost_nusd:
        return "$?"
    return text.money(cost_nusd, "≥" if incomplete else "≈" if estimated else "", width=8)


def _cost(entry: Entry, now_ms: int) -> Cell:
    incomplete = entry.unpriced_tokens > 0 or entry.unknown_calls > 0
    shown = _cost_text(entry.cost_nusd, incomplete=incomplete, estimated=entry.estimated)
    return shown, "" if entry.cost_nusd else "dim"


def _took(entry: Entry, now_ms: int) -> Cell:
    if entry.first_ms <= 0 or entry.last_ms < entry.first_ms:
        return text.UNKNOWN, "dim"
    return text.duration((entry.last_ms - entry.first_ms) / 1000), "muted"


def _tokens(entry: Entry, now_ms: int) -> Cell:
    if not entry.tokens and entry.unknown_calls:
        return text.UNKNOWN, "dim"
    return text.digits3(entry.tokens), "muted"


def outcome(entry: Entry, now_ms: int) -> Cell:
    """Commits, else files changed, as far as it has been worked out."""
    if entry.commits:
        return text.plural(entry.commits, "commit"), "good"
    if entry.files is None:
        return text.UNKNOWN, "faint"
    return (text.plural(entry.files, "file"), "muted") if entry.files else ("no change", "dim")


COLUMNS: tuple[Column, ...] = (
    Column("last", "LAST", 11, 0, _when, right=True, sort=LAST),
    Column("agent", "AGENT", 8, 0, lambda e, _: (safe(e.agent, 20), "")),
    Column("project", "PROJECT", 12, 70, lambda e, _: (safe(e.project, 40), "muted"), wide=18),
    Column(NAME, "SESSION", 0, 0, lambda e, _: (safe(e.title), "")),
    Column("branch", "BRANCH", 18, 150, lambda e, _: (safe(e.branch, 60), "muted"), wide=24),
    Column("model", "MODEL", 12, 100, lambda e, _: (safe(text.short_model(e.model), 40) or text.UNKNOWN, "muted"),
           wide=16),
    Column("outcome", "OUTCOME", 10, 114, outcome),
    Column("took", "TOOK", 5, 110, _took, right=True),
    Column("responses", "RESP", 6, 90, lambda e, _: (f"{e.responses:,}", "muted"), right=True, sort=RESPONSES),
    Column("tokens", "TOKENS", 6, 0, _tokens, right=True, sort=TOKENS),
    Column("cost", "COST", 8, 0, _cost, right=True, sort=COST),
)  # fmt: skip
_WIDE = 130


def placed(width: int) -> list[tuple[Column, int]]:
    """The columns that a table of so many cells has room for, with their widths; the name takes the rest."""
    shown = [(c, c.wide if c.wide and width >= _WIDE else c.width) for c in COLUMNS if width >= c.least]
    rest = width - 2 - sum(cells + 1 for _, cells in shown) + 1
    return [(c, max(4, rest) if c.id == NAME else cells) for c, cells in shown]


def name(entry: Entry) -> Cell:
    if entry.title:
        return safe(entry.title), ""
    return f"({safe(entry.session_id, 13)})", "muted"


def group_figures(group: Group) -> dict[str, Cell]:
    """What stands in the columns of a header."""
    cost = _cost_text(group.cost_nusd, incomplete=group.unpriced, estimated=group.estimated)
    tokens = text.digits3(group.tokens) if group.tokens or not group.unpriced else text.UNKNOWN
    return {"tokens": (tokens, "title"), "cost": (cost, "title")}


def group_name(group: Group, by: str) -> str:
    """`last used Fri 2026-11-20` of a day: its sum is that of whole sessions, not of the day. Else the name."""
    if by != "day":
        return safe(text.short_model(group.name) if by == "model" else group.name, 60)
    return f"last used {date.fromisoformat(group.name):%a} {group.name}"


def sorted_column(sort: str) -> str:
    """The id of the column that is sorted by."""
    return next((column.id for column in COLUMNS if column.sort == sort), "")
