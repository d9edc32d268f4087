"""The one list of columns: the table, the chooser, the help and the documentation are made from it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct

from tokentop.nouns.picture import Row
from tokentop.nouns.sessions import State
from tokentop.nouns.usage import Figures
from tokentop.ui import cells
from tokentop.ui.cells import Cell, Scene, figures, has_figures, unread
from tokentop.ui.glyphs import LOOKS

FROZEN = frozenset({"status", "session", "rate", "cost"})  # on every width, whatever is chosen
LEAST_SESSION = 12  # cells of SESSION that a column must leave to be shown
MINUTE = 1
WINDOWS_MIN = {1: "1m", 5: "5m", 60: "1h", 1440: "24h"}  # what rates can be averages over

SortKey = tuple[int, float, str]
_BY_HAND = 1 << 20  # no screen is that wide: the column is shown where it is chosen


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
    sort: Callable[[Row, Scene], SortKey] | None = None
    timed: bool = False  # its text moves with the clock alone
    windowed: bool = False  # an average over the time window, which its head names
    summed: bool = False  # makes sense for a group of rows

    def width_at(self, screen_width: int) -> int | None:
        """Cells on a screen this wide, 0 = takes what is left, None = not shown unless it is chosen."""
        best = None
        for least, width in self.widths:
            if screen_width >= least:
                best = width
        return best

    @property
    def first_width(self) -> int | None:
        """The screen width from which on it is shown by itself; None = by the chooser alone."""
        least = self.widths[0][0]
        return least if least < _BY_HAND else None

    def head(self, window_min: int = MINUTE) -> str:
        return (
            f"{self.header} {WINDOWS_MIN[window_min]}"
            if self.windowed and window_min != MINUTE
            else self.header
        )


# ---------------------------------------------------------------- sort keys


def _by_state(row: Row, scene: Scene) -> SortKey:
    state = row.status.state
    if row.key in scene.alerts and LOOKS[state].rank > LOOKS[State.ERROR].rank:
        state = State.ERROR  # it spends without progress: somebody has to look
    return LOOKS[state].rank, figures(row, scene.tree).tokens_per_min, ""


def _by_text(pick: Callable[[Row], str]) -> Callable[[Row, Scene], SortKey]:
    return lambda row, scene: (0, 0.0, pick(row).casefold())


def _by_number(pick: Callable[[Row], float | None]) -> Callable[[Row, Scene], SortKey]:
    return _by_scene(lambda row, _: pick(row))


def _by_scene(pick: Callable[[Row, Scene], float | None]) -> Callable[[Row, Scene], SortKey]:
    """Rows whose value is unknown come last."""

    def key(row: Row, scene: Scene) -> SortKey:
        value = pick(row, scene)
        return (1, 0.0, "") if value is None else (0, float(value), "")

    return key


def _by_figure(pick: Callable[[Figures], float | None]) -> Callable[[Row, Scene], SortKey]:
    """The same for figures."""

    def value(row: Row, scene: Scene) -> float | None:
        if not has_figures(row) or unread(row, scene.tree):
            return None
        return pick(figures(row, scene.tree))

    return _by_scene(value)


def _writes_and_input(numbers: Figures) -> int:
    return numbers.tokens.prompt - numbers.tokens.cache_read


COLUMNS: tuple[Column, ...] = (
    Column(
        "status", "STATUS", "", "what it does now; who needs you comes first; ∅ spends without changing a file",
        ((0, 1), (60, 8), (80, 12), (120, 13)), cell=cells.status, sort=_by_state,
    ),
    Column("agent", "AGENT", "", "the program", ((60, 8),), cell=cells.agent, sort=_by_text(lambda r: r.agent)),
    Column(
        "project", "PROJECT", "", "last part of the working directory, or the repository",
        ((120, 7),), cell=cells.project, sort=_by_text(lambda r: r.project),
    ),
    Column("session", "SESSION", "", "title of the session, or the command", ((0, 0),),
           sort=_by_text(lambda r: r.title)),
    Column("model", "MODEL", "", "model of the newest response", ((120, 9),), cell=cells.model,
           sort=_by_text(lambda r: r.model)),
    Column(
        "rate", "TOK/MIN", "tokens/min",
        "tokens produced and newly read in the last 60 s, without cache reads; [ ] average over longer",
        ((0, 5), (23, 7)), right=True, cell=cells.rate, windowed=True, summed=True,
        sort=_by_figure(lambda f: f.tokens_per_min if f.rates_known else None),
    ),
    Column("spark", "", "tokens/min", "tok/min of the last minutes, each row on its own scale",
           ((120, 6), (150, 12)), cell=cells.spark),
    Column("burn", "$/H", "$/hour", "the last 60 s at list price; [ ] average over longer", ((80, 6),), right=True,
           cell=cells.burn, windowed=True, summed=True,
           sort=_by_figure(lambda f: f.burn_nusd_per_h if f.rates_known else None)),
    Column("cost", "COST", "$", "the session so far at list price; ≈ estimated, ≥ incomplete, $? unpriced",
           ((0, 5), (23, 6), (120, 7)), right=True, cell=cells.cost, sort=_by_figure(lambda f: f.cost_nusd), summed=True),
    Column("ctx", "CTX", "%", "how full the context window is", ((60, 4),), right=True, cell=cells.context,
           sort=_by_number(cells.context_pct)),
    Column("in", "IN", "tokens", "newly read: input and cache writes", ((150, 6),), right=True,
           cell=cells.tokens_of(_writes_and_input), sort=_by_figure(_writes_and_input), summed=True),
    Column("out", "OUT", "tokens", "produced, reasoning included", ((150, 6),), right=True, summed=True,
           cell=cells.tokens_of(lambda f: f.tokens.output), sort=_by_figure(lambda f: f.tokens.output)),
    Column("cache", "CACHE", "tokens", "read from the prompt cache", ((150, 6),), right=True, summed=True,
           cell=cells.tokens_of(lambda f: f.tokens.cache_read), sort=_by_figure(lambda f: f.tokens.cache_read)),
    Column("age", "AGE", "", "since the session or process started", ((120, 5),), right=True, cell=cells.age,
           sort=_by_number(lambda r: -r.started_ms if r.started_ms else None), timed=True),
    Column("pid", "PID", "", "process; ~ inferred, – only known from its log", ((150, 8),), right=True,
           cell=cells.pid, sort=_by_number(lambda r: None if r.pid is None else -r.pid)),
    Column("where", "WHERE", "", "tmux session:window.pane, kitty or wezterm window, tty", ((150, 10),),
           cell=cells.where, sort=_by_text(lambda r: r.where)),
    Column("memory", "MEM", "bytes", "resident memory of the process", ((_BY_HAND, 5),), right=True,
           cell=cells.memory, sort=_by_number(lambda r: r.rss_bytes if r.pid is not None else None)),
    Column("cpu", "CPU", "%", "processor time of the process, 100 % = one core", ((_BY_HAND, 5),), right=True,
           cell=cells.cpu, sort=_by_number(lambda r: r.cpu_pct if r.pid is not None else None)),
    Column("subs", "SUBS", "", "sub-agents and agents below it: at work / all", ((_BY_HAND, 5),), right=True,
           cell=cells.sub_agents, sort=_by_number(lambda r: r.sub_agents if has_figures(r) else None)),
    Column("responses", "RESP", "responses", "responses so far", ((_BY_HAND, 5),), right=True, summed=True,
           cell=cells.tokens_of(lambda f: f.responses), sort=_by_figure(lambda f: f.responses)),
    Column("hit", "HIT", "%", "part of the prompts that came from the prompt cache", ((_BY_HAND, 4),), right=True,
           cell=cells.cache_hit, sort=_by_figure(cells.hit_pct), summed=True),
    Column("tool", "LAST TOOL", "", "newest tool that its log names", ((_BY_HAND, 10),), cell=cells.last_tool,
           sort=_by_text(lambda r: r.last_tool)),
    Column("branch", "BRANCH", "", "git branch that its log names", ((_BY_HAND, 12),), cell=cells.branch,
           sort=_by_text(lambda r: r.branch)),
    Column("limit", "LIMIT", "%", "the fullest plan limit of who sets the agent's limits", ((_BY_HAND, 8),),
           right=True, cell=cells.limit, sort=_by_scene(cells.limit_pct)),
    Column("host", "HOST", "", "machine that it runs on", ((_BY_HAND, 10),), cell=cells.host,
           sort=_by_text(lambda r: r.host)),
    Column("since", "SINCE", "", "time in the present state", ((_BY_HAND, 5),), right=True, cell=cells.in_state,
           sort=_by_number(lambda r: -r.status.since_ms if r.status.since_ms else None), timed=True),
)  # fmt: skip

BY_ID = {column.id: column for column in COLUMNS}
SORTS: tuple[Column, ...] = tuple(column for column in COLUMNS if column.sort is not None)


# ---------------------------------------------------------------- which of them


class Choice(Struct, frozen=True):
    """What a person made of the columns; those in neither `on` nor `off` follow the width of the screen."""

    order: tuple[str, ...] = ()  # all ids; () = as declared
    on: frozenset[str] = frozenset()
    off: frozenset[str] = frozenset()

    def columns(self) -> tuple[Column, ...]:
        """All columns in their order; ids that no version knows are passed over, new ones come last."""
        return tuple(BY_ID[name] for name in dict.fromkeys((*self.order, *BY_ID)) if name in BY_ID)

    def switched(self, name: str, on: bool) -> Choice:
        """With a column switched on or off; the frozen ones stay on."""
        if name in FROZEN or name not in BY_ID:
            return self
        others_on, others_off = self.on - {name}, self.off - {name}
        return Choice(
            self.order, others_on | ({name} if on else set()), others_off | (set() if on else {name})
        )

    def moved(self, name: str, by: int) -> Choice:
        """With a column `by` places further to the right."""
        ids = [column.id for column in self.columns()]
        at = ids.index(name)
        ids.insert(min(max(at + by, 0), len(ids) - 1), ids.pop(at))
        return Choice(tuple(ids), self.on, self.off)


AS_DECLARED = Choice()


class Placed(NamedTuple):
    column: Column
    width: int


def wanted(screen_width: int, choice: Choice, window_min: int = MINUTE) -> list[Placed]:
    """The columns that are to be shown on a screen this wide, whether or not there is room."""
    out = []
    for column in choice.columns():
        width = column.width_at(screen_width)
        if width is None and column.id in choice.on:
            width = column.widths[0][1]
        if width is not None and column.id not in choice.off:
            if column.windowed and width >= len(column.header):
                width = max(width, len(column.head(window_min)))
            out.append(Placed(column, width))
    return out


def place(
    screen_width: int, room: int | None = None, choice: Choice = AS_DECLARED, window_min: int = MINUTE
) -> tuple[Placed, ...]:
    """The columns of a table this wide; SESSION gets what is left of `room`, at least a cell.

    Two cells in front belong to the cursor; one space stands between columns. Where a choice leaves too little
    room, columns go from the right: those that nobody asked for first, the frozen ones never.
    """
    shown = wanted(screen_width, choice, window_min)
    if choice != AS_DECLARED:
        for dropped in _dispensable(shown, choice):
            if screen_width - _fixed(shown) >= LEAST_SESSION:
                break
            shown.remove(dropped)
    rest = max(1, (screen_width if room is None else room) - _fixed(shown))
    return tuple(Placed(column, width or rest) for column, width in shown)


def _fixed(shown: list[Placed]) -> int:
    return 2 + sum(width for _, width in shown) + len(shown) - 1


def _dispensable(shown: list[Placed], choice: Choice) -> list[Placed]:
    free = [one for one in reversed(shown) if one.column.id not in FROZEN]
    return sorted(free, key=lambda one: one.column.id in choice.on)
