"""The one list of columns: the table, the help and the documentation are made from it. Pure.

A cell is (text, role); a role is a name of `theme.Palette`, so that a column knows no colour.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct

from tokentop import text
from tokentop.model import Figures, Row, State
from tokentop.ui.glyphs import LOOKS, RESTING, safe, sparkline

HOT_NUSD_PER_H = (10_000_000_000, 30_000_000_000)  # $/h from which a burn rate is warm, hot
HOT_CONTEXT_PCT = (80, 92)

Cell = tuple[str, str]
SortKey = tuple[int, float, str]


class Scene(NamedTuple):
    """What a cell needs beside its row."""

    now_ms: int
    width: int  # of the cell
    tree: bool  # figures include everything below
    alerts: dict[str, int]  # row key -> since when an alert stands


def _no_cell(row: Row, scene: Scene) -> Cell:
    return "", ""


class Column(Struct, frozen=True):
    """One column. `sort` gives (group, number, text), where a higher number comes first."""

    id: str
    header: str
    unit: str
    help: str
    widths: tuple[tuple[int, int], ...]  # (from this screen width on, cells), ascending; 0 = flexible
    right: bool = False
    cell: Callable[[Row, Scene], Cell] = _no_cell
    sort: Callable[[Row, bool], SortKey] | None = None

    def width_at(self, screen_width: int) -> int | None:
        """Cells on a screen this wide, 0 = takes what is left, None = not shown."""
        best = None
        for least, cells in self.widths:
            if screen_width >= least:
                best = cells
        return best


def figures(row: Row, tree: bool) -> Figures:
    return row.tree if tree else row.own


def _has_figures(row: Row) -> bool:
    return row.kind not in {"tool", "orphan"}


def unread(row: Row, tree: bool) -> bool:
    """Nothing has been read about these figures: they are unknown, not zero.

    A process without a session, or a session of which no response and no other record has been read.
    """
    numbers = figures(row, tree)
    return not row.session_id or (not row.last_ms and not numbers.responses and not numbers.tokens.total)


# ---------------------------------------------------------------- cells


def _status(row: Row, scene: Scene) -> Cell:
    state = row.status.state
    look = LOOKS[state]
    mark = "~" if row.status.inferred else ""
    role = "inferred" if mark else state.value
    if scene.width < 4:
        return look.glyph, role
    short = scene.width < 12
    word = look.short if short else look.word
    if state is State.TOOL and row.status.detail:
        word = safe(row.status.detail, 40)
    shown = f"{look.glyph} {mark}{word}"
    since = scene.alerts.get(row.key)
    if since is not None and not short:
        note = f"∅{text.duration((scene.now_ms - since) / 1000)}"
        room = scene.width - len(note) - 1
        return f"{shown[:room]:<{room}} {note}", role
    return shown, role


def _agent(row: Row, scene: Scene) -> Cell:
    return safe(row.agent, 20), "dim" if row.kind == "tool" else ""


def _project(row: Row, scene: Scene) -> Cell:
    return safe(row.project, 40), "muted"


def _model(row: Row, scene: Scene) -> Cell:
    if not _has_figures(row):
        return "", ""
    return safe(text.short_model(row.model), 40) or text.UNKNOWN, "muted"


def _rate(row: Row, scene: Scene) -> Cell:
    if not _has_figures(row):
        return "", ""
    if unread(row, scene.tree):
        return text.UNKNOWN, "dim"
    value = figures(row, scene.tree).tokens_per_min
    if value <= 0:
        return (text.NOT_APPLICABLE if row.status.state in RESTING else "0"), "dim"
    return text.rate(value), "strong"


def _spark(row: Row, scene: Scene) -> Cell:
    if not _has_figures(row) or not row.spark or unread(row, scene.tree):
        return "", ""
    return sparkline(row.spark, scene.width), "spark" if any(row.spark) else "faint"


def _burn(row: Row, scene: Scene) -> Cell:
    if not _has_figures(row):
        return "", ""
    numbers = figures(row, scene.tree)
    if unread(row, scene.tree):
        return text.UNKNOWN, "dim"
    if numbers.burn_nusd_per_h <= 0:
        if numbers.tokens_per_min > 0 and numbers.unpriced_tokens:
            return text.UNKNOWN, "dim"
        return (text.NOT_APPLICABLE if row.status.state in RESTING else "0"), "dim"
    heat = sum(numbers.burn_nusd_per_h >= step for step in HOT_NUSD_PER_H)
    return text.money(numbers.burn_nusd_per_h, sign="", width=scene.width), ("", "warm", "hot")[heat]


def cost_text(numbers: Figures, width: int = 6, partial: bool = False) -> str:
    """`$31.20`; `$?` unpriced, `≥` a part is unpriced, lost or (`partial`) unread, `≈` a part is estimated."""
    incomplete = partial or numbers.unpriced_tokens > 0 or numbers.unknown_calls > 0
    if numbers.cost_nusd == 0 and incomplete:
        return "$?"
    mark = "≥" if incomplete else "≈" if numbers.estimated else ""
    return text.money(numbers.cost_nusd, mark, width=width)


def _cost(row: Row, scene: Scene) -> Cell:
    if not _has_figures(row):
        return "", ""
    if unread(row, scene.tree):
        return text.UNKNOWN, "dim"
    numbers = figures(row, scene.tree)
    shown = cost_text(numbers, scene.width, partial=unread(row, tree=False))
    return shown, "dim" if shown in {"$?", "$0.00"} else ""


def context_pct(row: Row) -> float | None:
    """How full the context window is in per cent; None where the use or the window is not known."""
    if row.context_used is None or row.context_window <= 0 or unread(row, tree=False):
        return None
    return 100 * row.context_used / row.context_window


def _context(row: Row, scene: Scene) -> Cell:
    if not _has_figures(row):
        return "", ""
    share = context_pct(row)
    if share is None:
        return text.UNKNOWN, "dim"
    heat = sum(share >= step for step in HOT_CONTEXT_PCT)
    return text.percent(share), ("", "warm", "hot")[heat]


def _age(row: Row, scene: Scene) -> Cell:
    if row.started_ms <= 0:
        return text.UNKNOWN, "dim"
    return text.duration((scene.now_ms - row.started_ms) / 1000), "muted"


def _tokens(pick: Callable[[Figures], int]) -> Callable[[Row, Scene], Cell]:
    def cell(row: Row, scene: Scene) -> Cell:
        if not _has_figures(row):
            return "", ""
        if unread(row, scene.tree):
            return text.UNKNOWN, "dim"
        return text.digits3(pick(figures(row, scene.tree))), "muted"

    return cell


def _pid(row: Row, scene: Scene) -> Cell:
    if row.pid is None:
        return text.NOT_APPLICABLE, "faint"
    inferred = row.confidence == "inferred"
    return f"{'~' if inferred else ''}{row.pid}", "inferred" if inferred else "muted"


def _where(row: Row, scene: Scene) -> Cell:
    """`tmux session:window.pane`; where the room is short the pane matters more than the word and the session."""
    shown = safe(row.where, 100)
    if len(shown) > scene.width:
        shown = shown.removeprefix("tmux ")
    session, colon, pane = shown.rpartition(":")
    room = scene.width - len(pane) - 2
    if len(shown) > scene.width and colon and room > 0:
        shown = f"{session[:room]}…:{pane}"
    return shown, "muted"


# ---------------------------------------------------------------- sort keys


def _by_state(row: Row, tree: bool) -> SortKey:
    return LOOKS[row.status.state].rank, figures(row, tree).tokens_per_min, ""


def _by_text(pick: Callable[[Row], str]) -> Callable[[Row, bool], SortKey]:
    return lambda row, tree: (0, 0.0, pick(row).casefold())


def _by_number(pick: Callable[[Row], float | None]) -> Callable[[Row, bool], SortKey]:
    def key(row: Row, tree: bool) -> SortKey:
        value = pick(row)
        return (1, 0.0, "") if value is None else (0, float(value), "")

    return key


def _by_figure(pick: Callable[[Figures], float]) -> Callable[[Row, bool], SortKey]:
    """Rows whose figures are unknown come last."""

    def key(row: Row, tree: bool) -> SortKey:
        if not _has_figures(row) or unread(row, tree):
            return 1, 0.0, ""
        return 0, float(pick(figures(row, tree))), ""

    return key


def _writes_and_input(numbers: Figures) -> int:
    return numbers.tokens.prompt - numbers.tokens.cache_read


COLUMNS: tuple[Column, ...] = (
    Column(
        "status", "STATUS", "", "what it does now; who needs you comes first",
        ((0, 1), (60, 8), (80, 12), (120, 13)), cell=_status, sort=_by_state,
    ),
    Column("agent", "AGENT", "", "the program", ((60, 8),), cell=_agent, sort=_by_text(lambda r: r.agent)),
    Column(
        "project", "PROJECT", "", "last part of the working directory, or the repository",
        ((120, 7),), cell=_project, sort=_by_text(lambda r: r.project),
    ),
    Column("session", "SESSION", "", "title of the session, or the command", ((0, 0),),
           sort=_by_text(lambda r: r.title)),
    Column("model", "MODEL", "", "model of the newest response", ((120, 9),), cell=_model,
           sort=_by_text(lambda r: r.model)),
    Column(
        "rate", "TOK/MIN", "tokens/min",
        "tokens produced and newly read in the last 60 s, without cache reads",
        ((0, 7),), right=True, cell=_rate, sort=_by_figure(lambda f: f.tokens_per_min),
    ),
    Column("spark", "", "tokens/min", "tok/min of the last minutes, each row on its own scale",
           ((120, 6), (150, 12)), cell=_spark),
    Column("burn", "$/H", "$/hour", "the last 60 s at list price", ((80, 6),), right=True, cell=_burn,
           sort=_by_figure(lambda f: f.burn_nusd_per_h)),
    Column("cost", "COST", "$", "the session so far at list price; ≈ estimated, ≥ incomplete, $? unpriced",
           ((0, 6), (120, 7)), right=True, cell=_cost, sort=_by_figure(lambda f: f.cost_nusd)),
    Column("ctx", "CTX", "%", "how full the context window is", ((60, 4),), right=True, cell=_context,
           sort=_by_number(context_pct)),
    Column("in", "IN", "tokens", "newly read: input and cache writes", ((150, 6),), right=True,
           cell=_tokens(_writes_and_input), sort=_by_figure(_writes_and_input)),
    Column("out", "OUT", "tokens", "produced, reasoning included", ((150, 6),), right=True,
           cell=_tokens(lambda f: f.tokens.output), sort=_by_figure(lambda f: f.tokens.output)),
    Column("cache", "CACHE", "tokens", "read from the prompt cache", ((150, 6),), right=True,
           cell=_tokens(lambda f: f.tokens.cache_read), sort=_by_figure(lambda f: f.tokens.cache_read)),
    Column("age", "AGE", "", "since the session or process started", ((120, 5),), right=True, cell=_age,
           sort=_by_number(lambda r: -r.started_ms if r.started_ms else None)),
    Column("pid", "PID", "", "process; ~ inferred, – only known from its log", ((150, 8),), right=True,
           cell=_pid, sort=_by_number(lambda r: None if r.pid is None else -r.pid)),
    Column("where", "WHERE", "", "tmux session:window.pane, kitty or wezterm window, tty", ((150, 10),), cell=_where,
           sort=_by_text(lambda r: r.where)),
)  # fmt: skip

BY_ID = {column.id: column for column in COLUMNS}
MEMORY = Column("memory", "MEM", "bytes", "resident memory of the process", (), right=True,
                sort=_by_number(lambda r: r.rss_bytes))  # fmt: skip
SORTS: tuple[Column, ...] = (*(c for c in COLUMNS if c.sort is not None), MEMORY)


class Placed(NamedTuple):
    column: Column
    width: int


def place(screen_width: int, room: int | None = None) -> tuple[Placed, ...]:
    """The columns of a table this wide; SESSION gets what is left of `room`, at least 4 cells.

    Two cells in front belong to the cursor; one space stands between columns.
    """
    shown = [(c, w) for c in COLUMNS if (w := c.width_at(screen_width)) is not None]
    fixed = 2 + sum(w for _, w in shown) + len(shown) - 1
    rest = max(4, (screen_width if room is None else room) - fixed)
    return tuple(Placed(c, w or rest) for c, w in shown)
