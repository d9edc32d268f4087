"""The picture of the live state: the only thing a screen sees."""

from __future__ import annotations

from msgspec import Struct

from .actions import Countdown, Notice, Receipt
from .facts import Diagnostic, Looked, Progress
from .money import Budget, Forecast, Quota
from .processes import ChildProc
from .sessions import State
from .usage import Average, Figures


class Status(Struct, frozen=True, gc=False):
    state: State
    detail: str = ""  # tool name, error text, what is waited for
    source: str = ""  # registry, log, process, none
    since_ms: int = 0
    inferred: bool = False


class Row(Struct, frozen=True, gc=False):
    """One line of the live table. `key` is stable; everything a screen shows of it is here."""

    key: str  # "<agent>:<session id>", "proc:<pid>:<start ticks>" for processes without a session
    parent_key: str
    depth: int
    kind: str  # agent, sub-agent, tool, orphan
    agent: str
    session_id: str
    title: str
    project: str
    cwd: str
    branch: str
    model: str
    status: Status
    own: Figures
    tree: Figures  # own and everything below
    spark: tuple[float, ...]  # fresh tokens per minute, oldest first, 12 samples of a minute
    context_used: int | None
    context_window: int
    started_ms: int
    last_ms: int
    pid: int | None = None
    confidence: str = ""
    cpu_pct: float = 0.0
    rss_bytes: int = 0
    command: str = ""
    where: str = ""
    version: str = ""
    surface: str = ""
    log_path: str = ""
    resume: str = ""
    children: tuple[ChildProc, ...] = ()
    sub_agents: int = 0  # all below, shown when collapsed
    working_below: int = 0
    unchanged_since_ms: int = 0  # working since then without a change to a file; 0 = resting, or not known
    unchanged_nusd: int | None = None  # spent since then, with everything below; None = not known
    unchanged_at_least: bool = False  # it may be longer ago, or more
    unchanged_source: str = ""  # git, tools (calls of editing tools alone)
    notes: tuple[str, ...] = ()  # provenance: "2 duplicates dropped", "1 call lost", ...
    same_calls: int = 0  # the present tool call in a row; 0 = its argument is not logged
    same_call: str = ""
    compactions: int = 0  # within the last hour
    last_tool: str = ""  # newest tool that its log names, "" = none since tokentop looks
    host: str = ""  # machine that it runs on, "" = not told


class Alert(Struct, frozen=True, gc=False):
    kind: str
    row_key: str
    text: str
    since_ms: int


class Series(Struct, frozen=True, gc=False):
    """The last 60 minutes, oldest first, one sample per `step_s`; all tuples have the same length."""

    step_s: int = 30
    output_per_min: tuple[float, ...] = ()
    writes_per_min: tuple[float, ...] = ()
    input_per_min: tuple[float, ...] = ()
    reads_per_min: tuple[float, ...] = ()
    burn_nusd_per_h: tuple[float, ...] = ()
    minute: tuple[
        float, ...
    ] = ()  # output, writes and input of the last 60 s: the rate of all; () = not known


class Snapshot(Struct, frozen=True, gc=False):
    """One picture of the state: the only thing a screen sees. Rows are in tree order."""

    revision: int
    at_ms: int
    rows: tuple[Row, ...] = ()
    counts: tuple[tuple[State, int], ...] = ()
    totals: Figures = Figures()  # rates over all rows; sums are of today
    today: Figures = Figures()
    series: Series = Series()
    forecast: Forecast | None = None
    quotas: tuple[Quota, ...] = ()
    budgets: tuple[Budget, ...] = ()
    alerts: tuple[Alert, ...] = ()
    progress: Progress = Progress()
    health: tuple[Diagnostic, ...] = ()
    looked: tuple[Looked, ...] = ()
    own_cpu_pct: float = 0.0
    own_rss_bytes: int = 0
    mode: str = "live"  # live, reader (another tokentop writes), demo, paused: <why>
    history_events: int = 0
    countdowns: tuple[Countdown, ...] = ()
    notices: tuple[Notice, ...] = ()  # the newest of this run, oldest first
    acted: tuple[Receipt, ...] = ()  # what rules did in this run, oldest first
    window_min: int = 1  # what `averages` are over; 1 = none were asked for
    averages: dict[
        str, tuple[Average | None, Average | None]
    ] = {}  # row key -> own, with below; None = not known yet
    average: Average | None = None  # of all rows together
    watched: tuple[Receipt, ...] = ()  # the newest whose seconds afterwards are over, oldest first

    @property
    def today_is_known(self) -> bool:
        """Whether the store has been asked: the first picture comes before that, and it may not be readable."""
        return self.forecast is not None or self.today.cost_nusd > 0

    @property
    def burn_is_partial(self) -> bool:
        """Whether something without a price is being spent: the sum of $/h is then at least."""
        return any(row.own.unpriced_tokens and row.own.tokens_per_min > 0 for row in self.rows)
