"""The nouns of tokentop: frozen values that pass between rooms and threads.

Money is an integer of nano-dollars (`*_nusd`), time is UTC epoch milliseconds (`*_ms`).
An empty string means "the log does not say"; `None` means "unknown" where 0 would be a claim.
Pure: no I/O, no clock.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Tokens(Struct, frozen=True, gc=False):
    """Disjoint token counts of one response, or a sum of them. `reasoning` is a part of `output`."""

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def total(self) -> int:
        return self.prompt + self.output

    @property
    def prompt(self) -> int:
        """The whole prompt: what fills the context window and decides the price tier."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @property
    def fresh(self) -> int:
        """Tokens produced and newly read: what `tok/min` counts (cache reads are shown apart)."""
        return self.input + self.cache_write_5m + self.cache_write_1h + self.output

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.input + other.input,
            self.cache_read + other.cache_read,
            self.cache_write_5m + other.cache_write_5m,
            self.cache_write_1h + other.cache_write_1h,
            self.output + other.output,
            self.reasoning + other.reasoning,
        )


class Kind(StrEnum):
    """What a usage fact is: a response with a record of its own, spend seen only inside a total, or a call
    whose tokens the log does not tell (a running step, a step that was killed, a log of money or credits)."""

    RESPONSE = "response"
    HIDDEN = "hidden"
    UNKNOWN = "unknown"


class Usage(Struct, frozen=True, gc=False):
    """One billed API response.

    `key` is the natural identity of the response (unique within the agent, free of paths and machine
    names); the record with the highest output wins, the earliest `at_ms` is kept. A `kind` UNKNOWN gives way to
    any other record of its key. `logged_nusd` is the cost where there are no tokens to price.
    """

    agent: str
    session_id: str
    key: str
    at_ms: int
    model: str  # as logged; "" = the log has not named one yet
    tokens: Tokens
    provider: str = ""
    duration_ms: int = 0  # from the request to the last part of the answer; 0 = the log gives no start
    tier: str = ""  # "" or "standard", else fast, priority, flex, batch
    geo: str = ""  # inference region as logged, such as "us"
    web_searches: int = 0
    logged_nusd: int | None = None
    kind: Kind = Kind.RESPONSE
    estimated: bool = False
    start_ms: int = 0  # when the request was sent, if that is known; 0 = at_ms
    at_estimated: bool = False  # the log does not tell the time: `at_ms` is when it was seen
    credits_milli: int | None = None  # thousandths of the agent's own unit, where it logs one
    request_id: str = (
        ""  # the provider's name of the request, where it is not the key: joins log and telemetry
    )
    telemetry: bool = False  # no log has told it, the agent's telemetry did: a record in a log replaces it


class Priced(Struct, frozen=True, gc=False):
    """A usage fact as committed: `id` is the 63-bit hash of its natural key, the same on every machine."""

    id: int
    usage: Usage
    cost_nusd: int | None  # None = unpriced
    estimated: bool = False  # tokens or price are an estimate


class Role(StrEnum):
    MAIN = "main"
    SUB_AGENT = "sub-agent"
    FORK = "fork"


class Session(Struct, frozen=True, gc=False):
    """What one record says about a session; the store merges non-empty fields.

    A sub-agent that its agent files under the parent's own session id (Claude Code) has the id
    `<session id>/<agent id>`; the part before the slash is the session that the agent names.
    """

    agent: str
    id: str
    parent_id: str = ""
    root_id: str = ""
    role: Role | None = None
    cwd: str = ""
    branch: str = ""
    title: str = ""
    title_rank: int = 0  # a title replaces one of the same or a lower rank
    model: str = ""
    first_ms: int = 0  # first timestamp of its log; decides who owns a copied response
    last_ms: int = 0
    version: str = ""
    surface: str = ""  # cli, exec, vscode ... as the agent calls it
    log_path: str = ""
    forked_at_ms: int = 0
    tool_use_id: str = ""  # the parent's tool call that started this sub-agent


class Spawn(Struct, frozen=True, gc=False):
    """A tool call that starts a sub-agent was made by this session (links nested sub-agents)."""

    agent: str
    session_id: str
    tool_use_id: str


class State(StrEnum):
    """Status words, in the order in which they sort on the screen (who needs a human comes first)."""

    PERMISSION = "permission"
    INPUT = "input"
    ERROR = "error"
    LIMITED = "limited"
    ORPHAN = "orphan"
    TOOL = "tool"
    WORKING = "working"
    FROZEN = "frozen"
    IDLE = "idle"
    UNKNOWN = "unknown"
    DONE = "done"


class Activity(Struct, frozen=True, gc=False):
    """One record that moves the status of a session.

    `call_id` names an API call that has started (`State.WORKING`) until an activity with
    `ends_call` names it, or `lost_call`: it was cut off and its usage will never be logged. `tool` is the
    tool that runs while `State.TOOL`.
    """

    agent: str
    session_id: str
    at_ms: int
    state: State
    tool: str = ""
    detail: str = ""
    call_id: str = ""
    ends_call: str = ""
    lost_call: str = ""


class Context(Struct, frozen=True, gc=False):
    """Context gauge of a session after its newest call. `window` 0 = not told."""

    agent: str
    session_id: str
    at_ms: int
    used: int
    window: int = 0


class Quota(Struct, frozen=True, gc=False):
    """One plan limit window as its source reported it at `at_ms`."""

    provider: str
    account: str
    window_minutes: int
    limit_id: str
    used_pct: float
    resets_at_ms: int
    source: str
    at_ms: int
    plan: str = ""
    full_at_ms: int = 0  # at the recent pace, set in a snapshot; 0 = not before the reset, or not known


class RunningTotal(Struct, frozen=True, gc=False):
    """A session's own running total.

    Beside calls with records of their own (Claude Code `cost-state`, sub-agents included): what it holds beyond
    them is hidden spend. `n` counts such records in the log from 0; `started_ms` is equal in a fork and its
    parent; `models` = (model, tokens, logged cost in nano-dollars) for each model.

    `only` = the agent keeps nothing but the total, of the whole session (Droid, Goose): its growth is what is
    counted. `n` and `started_ms` are then 0 and `models` has one entry: the model in use and the session's total.
    The growth is spread over the session's responses without tokens of their own since the total before.
    """

    agent: str
    session_id: str
    n: int
    at_ms: int
    started_ms: int
    models: tuple[tuple[str, Tokens, int], ...]
    only: bool = False
    provider: str = ""  # for the price of what has no record of its own


class Diagnostic(Struct, frozen=True, gc=False):
    """Something that could not be read, counted and shown. `detail` never holds raw log text."""

    source: str
    kind: str  # unparsed, oversize, unreadable, bad-number, missing-parent, ...
    detail: str = ""
    count: int = 1


Fact = Usage | Session | Spawn | Activity | Context | Quota | RunningTotal | Diagnostic


class Cursor(Struct, frozen=True, gc=False):
    """How far a file has been read; committed together with the facts from before `offset`."""

    path: str
    agent: str
    dev: int
    ino: int
    head_len: int
    head_hash: int
    offset: int
    tail_hash: int
    size: int  # of the file when it was read; with `mtime_ns` the cheap test for "nothing new"
    mtime_ns: int
    agent_version: int
    state: bytes = b""  # the decoder's own state, MessagePack


# ---------------------------------------------------------------- processes


class ProcRole(StrEnum):
    AGENT = "agent"
    WRAPPER = "wrapper"
    TOOL = "tool"
    MCP = "mcp"
    SERVER = "server"
    DAEMON = "daemon"
    PTY_HOST = "pty-host"
    SPARE = "spare"
    UPDATER = "updater"
    ORPHAN = "orphan"


class Ident(Struct, frozen=True, gc=False):
    """Identity of a process: (pid, start) is what counts, the rest is checked before a signal."""

    pid: int
    start_ticks: int
    uid: int
    boot_id: str = ""
    exe: str = ""
    argv0: str = ""


class ChildProc(Struct, frozen=True, gc=False):
    """A descendant of an agent (tool shell, MCP server, dev server)."""

    ident: Ident
    ppid: int
    role: ProcRole
    command: str  # cleaned, for display
    started_ms: int
    cpu_pct: float
    rss_bytes: int


class Terminal(Struct, frozen=True, gc=False):
    """A terminal that a process was started in, as its own environment says; `server` and `place` may be ""."""

    kind: str  # tmux, kitty, wezterm, zellij, screen, or what the terminal program calls itself
    server: str = ""  # socket
    place: str = ""  # pane, window or session


class Jump(Struct, frozen=True, gc=False):
    """What became of the wish to see an agent's terminal. `text` is one line for the user."""

    text: str
    done: bool = False
    attach: tuple[str, ...] = ()  # the command that shows it in tokentop's own terminal
    copy: str = ""  # a command for the user's clipboard


class AgentProc(Struct, frozen=True, gc=False):
    """One agent process (the leaf), or a process without a living owner (`role` orphan)."""

    ident: Ident
    agent: str
    role: ProcRole
    cwd: str
    command: str  # cleaned argv, for display
    started_ms: int
    cpu_pct: float
    rss_bytes: int
    run_state: str  # R, S, D, T, Z as the kernel says
    one_shot: bool = False  # -p / exec: never idle while alive
    session_id: str = ""  # "" = not mapped
    confidence: str = ""  # exact, strong, inferred
    parent_session_id: str = ""  # environment marker: started by a tool of this session
    state: State | None = None  # the agent's own live state, if it publishes one
    state_detail: str = ""
    state_since_ms: int = 0
    state_source: str = ""
    shared_session_ids: tuple[str, ...] = ()  # a daemon: the sessions that live in it
    left_session_ids: tuple[str, ...] = ()  # those of them whose terminal client is gone
    children: tuple[ChildProc, ...] = ()
    wrapper: Ident | None = None
    tty: str = ""
    tmux: str = ""  # "socket,pane" from the environment of the process
    terminals: tuple[Terminal, ...] = ()  # all that its environment names, the most likely first
    background_id: str = ""  # supervised: the id for the agent's own stop command
    log_root: str = ""  # profile directory that the process uses
    profile: str = ""  # the same, where its environment names one (CLAUDE_CONFIG_DIR, CODEX_HOME)


class Action(StrEnum):
    INTERRUPT = "interrupt"
    FREEZE = "freeze"
    THAW = "thaw"
    TERMINATE = "terminate"
    KILL = "kill"


class PlannedProc(Struct, frozen=True, gc=False):
    ident: Ident
    role: ProcRole
    command: str
    depth: int
    nested_session_id: str = ""  # an agent of its own, started by a tool


class Means(Struct, frozen=True, gc=False):
    """How a plan is carried out beyond signals, and what it must not touch."""

    marks: tuple[tuple[str, str], ...] = ()  # environment (name, value) of processes to sweep
    keep: tuple[Ident, ...] = ()  # not touched, nor anything below them
    daemon: Ident | None = None  # owns the session; never signalled
    control_socket: str = ""  # where the daemon takes requests
    supervised: bool = False  # a supervisor may start it again
    stop_argv: tuple[str, ...] = ()  # the agent's own stop command
    stop_env: tuple[tuple[str, str], ...] = ()
    keys: tuple[str, ...] = ()  # tmux key names
    tmux: str = ""  # "socket,pane"
    tty: str = ""  # what the pane must be on
    awaited: tuple[Ident, ...] = ()  # of a turn that is stopped: what it waits for, ended where it stays


class KillPlan(Struct, frozen=True, gc=False):
    """Everything an action will hit, frozen when the key was pressed. `refusal` "" = allowed."""

    action: Action
    agent: str
    session_id: str
    title: str
    project: str
    cwd: str
    target: Ident | None
    command: str
    confidence: str
    rungs: tuple[tuple[str, float], ...]  # (signal name, grace in seconds), in order
    tree: tuple[PlannedProc, ...]
    wrapper: Ident | None
    cost_nusd: int | None
    burn_nusd_per_h: int | None
    resume: str
    refusal: str = ""
    warning: str = ""
    shared_session_ids: tuple[str, ...] = ()
    means: Means = Means()
    way: str = ""  # how it is carried out, in words: a signal, keys, a request to a daemon
    through: Ident | None = None  # it ends with this target of the same batch and is not signalled itself
    turn_only: bool = False  # the agent lives on: of `tree` only what outlives its turn is ended
    stays: tuple[PlannedProc, ...] = ()  # below such an agent too, and not touched


class Orphan(Struct, frozen=True, gc=False):
    """A process without a living owner and what ending it would hit, both frozen at one look."""

    plan: KillPlan
    started_ms: int
    cpu_pct: float
    rss_bytes: int
    origin: str  # what started it, in words


class Rung(Struct, frozen=True, gc=False):
    pid: int
    signal: str
    at_ms: int
    result: str  # sent, gone, refused: why


class After(Struct, frozen=True, gc=False):
    """What a session, with everything below it, spent in the `seconds` after an action had ended.

    `unknown` says why nothing can be said; what was seen to be spent counts all the same.
    """

    seconds: int
    calls: int = 0
    tokens: int = 0
    cost_nusd: int | None = 0  # None = a part has no price
    where: str = ""
    unknown: str = ""


class Receipt(Struct, frozen=True, gc=False):
    """What an action did, verified afterwards. Stored in `actions`."""

    at_ms: int
    action: Action
    reason: str  # manual, or policy:<name>
    agent: str
    session_id: str
    pid: int
    start_ticks: int
    argv0: str
    cwd: str
    result: str  # ended, already gone, still alive, refused, respawned, frozen, thawed ...
    detail: str
    rungs: tuple[Rung, ...]
    ended_pids: tuple[int, ...]
    survivors: tuple[int, ...]
    took_ms: int
    cost_nusd: int | None
    burn_nusd_per_h: int | None
    resume: str
    title: str = ""
    project: str = ""
    way: str = ""  # how it was carried out, in words
    after: After | None = None  # None = not watched, or not to its end
    left_behind: tuple[Ident, ...] = ()  # of the survivors: tools of a stopped turn

    @property
    def key(self) -> tuple[int, str, int, str]:
        """What tells one receipt from another; it stays when `after` is added."""
        return self.at_ms, self.action.value, self.pid, self.session_id


def receipt_of(
    plan: KillPlan,
    at_ms: int,
    reason: str,
    result: str,
    detail: str,
    *,
    rungs: tuple[Rung, ...] = (),
    ended_pids: tuple[int, ...] = (),
    survivors: tuple[int, ...] = (),
    took_ms: int = 0,
    left_behind: tuple[Ident, ...] = (),
) -> Receipt:
    """The receipt of a plan; without more, of one that nothing was done of."""
    target = plan.target
    return Receipt(
        at_ms=at_ms,
        action=plan.action,
        reason=reason,
        agent=plan.agent,
        session_id=plan.session_id,
        pid=target.pid if target else 0,
        start_ticks=target.start_ticks if target else 0,
        argv0=target.argv0 if target else "",
        cwd=plan.cwd,
        result=result,
        detail=detail,
        rungs=rungs,
        ended_pids=ended_pids,
        survivors=survivors,
        took_ms=took_ms,
        cost_nusd=plan.cost_nusd,
        burn_nusd_per_h=plan.burn_nusd_per_h,
        resume=plan.resume,
        title=plan.title,
        project=plan.project,
        way=plan.way,
        left_behind=left_behind,
    )


# ---------------------------------------------------------------- snapshot


class Figures(Struct, frozen=True, gc=False):
    """Rates and sums of one session, or of a session with everything below it."""

    tokens: Tokens = Tokens()
    responses: int = 0
    cost_nusd: int = 0
    unpriced_tokens: int = 0
    estimated: bool = False  # some of it is an estimate
    unknown_calls: int = 0  # calls that ended without their usage on disk
    tokens_per_min: float = 0.0  # fresh tokens of the last 60 s
    reads_per_min: float = 0.0  # cache reads of the last 60 s
    burn_nusd_per_h: int = 0
    rates_known: bool = True  # False: averages over a longer time that have not been worked out yet


class Average(Struct, frozen=True, gc=False):
    """Rates over a longer time than the last 60 s."""

    tokens_per_min: float = 0.0
    reads_per_min: float = 0.0
    burn_nusd_per_h: int = 0


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


class Step(Struct, frozen=True, gc=False):
    """One thing that a session did, as its own log tells it: made when it is asked for, never stored.

    Texts are on one line, cleaned, secrets masked.
    """

    kind: str  # tool, answer, prompt, compaction
    name: str = ""  # the tool, or the model that answered
    detail: str = ""  # its telling argument, or the first words
    at_ms: int = 0  # 0 = the log gives no time
    result: str = ""  # ok, failed, open (the log has no result yet), "" = the log does not tell
    took_ms: int | None = None


class Port(Struct, frozen=True, gc=False):
    """A TCP port on which a process of an agent listens."""

    port: int
    address: str  # as bound: 127.0.0.1, ::, ...
    pid: int
    command: str


class Minutes(Struct, frozen=True, gc=False):
    """Tokens of one session by kind in cells of a minute, oldest first; the last cell is the present minute."""

    output: tuple[int, ...] = ()
    writes: tuple[int, ...] = ()
    input: tuple[int, ...] = ()
    reads: tuple[int, ...] = ()
    from_ms: int = 0  # what happened before is not in it
    source: str = ""  # memory, store


class Look(Struct, frozen=True, gc=False):
    """What was looked up about one row because somebody wants to see it. A note says why something is missing."""

    row_key: str
    at_ms: int
    steps: tuple[Step, ...] = ()  # oldest first
    steps_note: str = ""
    log: str = ""  # the log's kind, size and last change, in words
    ports: tuple[Port, ...] = ()
    ports_note: str = ""
    minutes: Minutes | None = None
    compactions: int = 0  # since `seen_ms`
    compacted_ms: int = 0  # the newest one, 0 = none seen
    seen_ms: int = 0  # since when the session's context is watched, 0 = it is not
    quality: str = ""  # how good the agent's token counts are at best
    missing: str = ""  # what its logs do not give
    price: str = ""  # the price list and its date, "" = the model has no price
    price_estimated: bool = False


class LogTail(Struct, frozen=True, gc=False):
    """The end of a session's log: whole lines, cleaned and masked, and the steps that they tell."""

    lines: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    skipped: int = 0  # bytes before the first line
    note: str = ""  # what is wrong with it, "" = nothing
    state: tuple[int, int, int] = (0, 0, 0)  # inode, size, mtime_ns when it was read


class Inside(Struct, frozen=True, gc=False):
    """What one process was started with. `refusal` says why nothing is shown, "" = it is shown."""

    pid: int
    start_ticks: int
    refusal: str = ""
    argv: tuple[str, ...] = ()  # secrets masked
    cwd: str = ""
    env: tuple[tuple[str, str, bool], ...] = ()  # name, value, whether the value is shown as it is
    env_note: str = ""
    ports: tuple[Port, ...] = ()
    ports_note: str = ""
    note: str = ""  # how the process belongs to the row, where that is not plain


class FolderChange(Struct, frozen=True, gc=False):
    """When something last changed in a folder, as far as git can tell."""

    folder: str
    source: str  # git, none (in no work tree), slow (git did not answer in time)
    changed_ms: int  # 0 = not known
    looked_ms: int


class Forecast(Struct, frozen=True, gc=False):
    """Today's bill and its projection to local midnight: the median, with an 80 % and a 50 % interval."""

    at_ms: int
    day: str  # local calendar day, ISO
    today_nusd: int
    projected_nusd: int
    low_nusd: int
    high_nusd: int
    method: str  # profile, burn, none
    days_of_history: int = 0
    low_half_nusd: int = 0  # the 50 % interval
    high_half_nusd: int = 0
    curve: tuple[tuple[int, int], ...] = ()  # (at_ms, projected spend of the day by then), to midnight
    month: MonthForecast | None = None


class MonthForecast(Struct, frozen=True, gc=False):
    """The bill of the local calendar month and its projection to the end of the month."""

    month: str  # 2026-11
    spent_nusd: int
    projected_nusd: int
    low_nusd: int
    low_half_nusd: int
    high_half_nusd: int
    high_nusd: int
    end_ms: int


class Budget(Struct, frozen=True, gc=False):
    """Where one budget stands; `projected_nusd` None = nothing is known of what is to come."""

    scope: str  # all, project, agent
    name: str  # of the project or agent
    period: str  # day, week, month
    amount_nusd: int
    spent_nusd: int
    projected_nusd: int | None
    exhausted_ms: int  # when the projection reaches it; 0 = not within the period, or it is exhausted already
    start_ms: int
    end_ms: int

    @property
    def used(self) -> float:
        """Spent as a share of the budget."""
        return self.spent_nusd / self.amount_nusd

    @property
    def label(self) -> str:
        """`day`, `week of project api`."""
        return self.period if self.scope == "all" else f"{self.period} of {self.scope} {self.name}"


class Alert(Struct, frozen=True, gc=False):
    kind: str
    row_key: str
    text: str
    since_ms: int


class Countdown(Struct, frozen=True, gc=False):
    """A rule is about to act; until `left_ms` is 0 it can be called off."""

    id: int
    rule: str
    action: Action
    row_key: str
    agent: str
    session_id: str
    title: str
    project: str
    pid: int
    processes: int  # that will be hit, the tree included
    why: str
    left_ms: int


class Notice(Struct, frozen=True, gc=False):
    """Something a rule tells a person. `id` grows; the text is clean."""

    id: int
    at_ms: int
    rule: str
    title: str
    body: str
    row_key: str = ""


class Progress(Struct, frozen=True, gc=False):
    """The backlog: how much of the logs is still to be read."""

    files_done: int = 0
    files_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    seconds_left: float | None = None
    reading: bool = False


class Series(Struct, frozen=True, gc=False):
    """The last 60 minutes, oldest first, one sample per `step_s`; all tuples have the same length."""

    step_s: int = 30
    output_per_min: tuple[float, ...] = ()
    writes_per_min: tuple[float, ...] = ()
    input_per_min: tuple[float, ...] = ()
    reads_per_min: tuple[float, ...] = ()
    burn_nusd_per_h: tuple[float, ...] = ()


class Looked(Struct, frozen=True, gc=False):
    """Where an agent's logs were looked for, and what was there (empty screen, doctor)."""

    agent: str
    label: str
    path: str
    found: str  # "12 files", "no such folder", "not readable"


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
