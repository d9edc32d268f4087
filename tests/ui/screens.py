"""Every screen and dialog that has snapshots: one line each. `make snapshots` writes those that are new or changed.

A shot names the keys that lead to it and a text that is on the screen once it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from msgspec import Struct
from msgspec.structs import replace

from tests.ui import build, film
from tests.ui.told import SAID, told
from tokentop.demo import DemoSource
from tokentop.engine.plans import split
from tokentop.engine.statement import Bills, Day, Statement
from tokentop.nouns.actions import Action, Countdown, Means, Orphan, PlannedProc
from tokentop.nouns.billing import Standing
from tokentop.nouns.facts import Diagnostic, Progress
from tokentop.nouns.looks import LogTail, Minutes, Port, Step
from tokentop.nouns.money import Forecast
from tokentop.nouns.picture import Row, Snapshot
from tokentop.nouns.processes import ProcRole
from tokentop.nouns.sessions import State
from tokentop.ui.app import TokentopApp
from tokentop.ui.source import UiOptions

SIZES = ((80, 24), (120, 40), (200, 60))


class Shot(Struct, frozen=True):
    """A screen: the source it draws, the keys that lead to it, a text that tells when it is there."""

    name: str
    keys: Sequence[str]
    shows: str
    source: Callable[[], build.FakeSource] = lambda: build.FakeSource(build.snapshot())
    options: UiOptions = UiOptions()
    cursor: str = ""  # key of the row that is selected first
    before: Callable[[TokentopApp], None] = lambda app: None
    apart: bool = False  # cannot change its colours while it is open: each look has a start of its own


@cache
def demo() -> Snapshot:
    """The invented fleet at one moment."""
    return DemoSource(7).snapshot(build.NOW)


def _source(snapshot: Callable[[], Snapshot], **fields: object) -> Callable[[], build.FakeSource]:
    def make() -> build.FakeSource:
        source = build.FakeSource(snapshot())
        for name, value in fields.items():
            setattr(source, name, value)
        return source

    return make


def _with(*rows: Row, **fields: object) -> Callable[[], build.FakeSource]:
    return _source(lambda: build.snapshot(rows or None, **fields))


def _looked() -> build.FakeSource:
    """What somebody sees who looks at one agent: its steps, tokens over time, ports and environment."""
    second, cells = 1000, tuple(400 * (at % 7) for at in range(60))
    source = build.FakeSource(build.snapshot())
    steps = (
        Step("tool", "Read", "src/retry.py", build.NOW - 300 * second, "ok", 40),
        Step("tool", "Bash", "pytest -x", build.NOW - 65 * second, "failed", 12_300),
        Step("tool", "Edit", "src/retry.py", build.NOW - 5 * second, "open"),
    )
    source.look_fields = {
        "steps": steps, "minutes": Minutes(cells, cells, cells, cells, build.NOW - 3_600_000, "memory"),
        "ports": (Port(5173, "127.0.0.1", 4711, "node vite"),), "compactions": 2,
        "compacted_ms": build.NOW - 720_000, "seen_ms": build.NOW - 3_600_000, "quality": "exact",
        "log": "Claude Code, 1.2 MB", "price": "anthropic/claude-opus-5-5: litellm, 2026-11-20",
    }  # fmt: skip
    source.tail_answer = LogTail(('{"type":"assistant"}',), steps, 2_000_000, "", (1, 2, 3))
    return source


def _told() -> build.FakeSource:
    source = build.FakeSource(build.snapshot())
    source.told, source.said = told(), (SAID, "")
    return source


def _limits() -> build.FakeSource:
    """A plan limit that is full, and the agent that waits for it."""
    rows = build.change(build.picture(), "d1", status=replace(build.row("x").status, state=State.LIMITED))
    quotas = build.snapshot().quotas
    full = replace(quotas[0], used_pct=100.0)
    old = replace(quotas[2], resets_at_ms=build.NOW - build.MINUTE)
    return build.FakeSource(build.snapshot(rows, quotas=(full, quotas[1], old)))


@cache
def bill() -> Statement:
    """What the invented fleet has spent by noon, its plans, providers and bills."""
    return DemoSource(7).statement(build.NOW - 9 * 60 * build.MINUTE)


def _billed() -> build.FakeSource:
    source = build.FakeSource(build.snapshot())
    source.statement_answer = bill()
    return source


_NO_BILL = Statement(
    build.NOW, day=Day(build.NOW - 76_445_000, build.NOW + 9_955_000, ((build.NOW - 76_445_000, 0), (build.NOW, 0))),
    forecast=Forecast(build.NOW, "2026-11-21", 0, 0, 0, 0, "none"), plans=split((), (), {}, {}, {}), bills=Bills(),
    providers=(Standing("anthropic", "Anthropic", "off"), Standing("openai", "OpenAI", "off")),
)  # fmt: skip


def orphans(count: int) -> tuple[Orphan, ...]:
    found = []
    for at in range(count):
        row = build.row(
            f"o{at}", kind="orphan", pid=28_311 + at, title="", session_id="", resume="",
            command=f"node server.js --port {3000 + at}",
        )  # fmt: skip
        plan = build.plan_for(
            row, Action.TERMINATE, refusal="it may belong to a living agent" if at == 2 else ""
        )
        found.append(Orphan(plan, build.NOW - 90 * build.MINUTE, 3.5, 90 << 20, "claude"))
    return tuple(found)


_WAITS = (
    build.row("c1", title="terraform plan for staging", project="infra", state=State.PERMISSION, cost=4.1),
)
_READING = Progress(3, 12, 1_200_000_000, 4_800_000_000, 12.0, reading=True)
_HEALTH = (
    Diagnostic("/home/dev/.claude/projects/-home-dev-api/a1.jsonl", "unparsed", "not JSON, line 41", 3),
    Diagnostic("/home/dev/.codex/sessions/2026/11/21/rollout.jsonl", "unreadable", "permission denied"),
)
_COUNTDOWNS = (
    Countdown(
        id=1, rule="burn_rate", row_key="d1", action=Action.FREEZE, agent="gemini", session_id="d1-4f2a",
        title="rewrite the guide", project="docs", pid=4242, processes=3, why="$39.75/h for 5 min",
        left_ms=24_000,
    ),
)  # fmt: skip


def _counting() -> build.FakeSource:
    source = build.FakeSource(build.snapshot(countdowns=_COUNTDOWNS))
    source.statement_answer = bill()
    return source


_HARD = {"refusal": "not permitted, owner=root"}
_TURN = {
    "rungs": (("keys", 5.0),), "way": "Escape into its own tmux pane %3 (/dev/pts/4)", "turn_only": True,
    "tree": tuple(
        PlannedProc(build.ident(pid), ProcRole.TOOL, command, depth)
        for pid, command, depth in (
            (30124, "node /srv/api/node_modules/.bin/vitest run", 3), (30123, "timeout 600 npm test", 2),
            (30122, "/bin/bash -c timeout 600 npm test", 1),
        )
    ),
    "means": Means(awaited=tuple(build.ident(pid) for pid in (30122, 30123, 30124))),
    "stays": (PlannedProc(build.ident(29981), ProcRole.MCP, "npm exec @playwright/mcp", 1),),
}  # fmt: skip
_SHARED = {"shared_session_ids": ("s1", "s2", "s3")}
_EMPTY = {"rows": (), "alerts": ()}

_SET = UiOptions(config_path="/nowhere/config.toml")

# fmt: off
SHOTS: tuple[Shot, ...] = (
    Shot("live", (), "flaky retry"),
    Shot("live-busy", ("j", "j"), "tok/min", _source(demo)),
    Shot("live-ascii", (), "flaky retry", options=UiOptions(ascii=True)),
    Shot("live-empty", (), "No agent is running", _source(lambda: build.snapshot(**_EMPTY, history_events=12_345))),  # type: ignore[arg-type]
    Shot("live-waiting", (), "terraform", _with(*_WAITS)),
    Shot("live-limit", (), "100% ", _limits),
    Shot("live-reading", (), "reading 1.2", _with(progress=_READING, health=_HEALTH)),
    Shot("live-paused", ("p",), "PAUSED"),
    Shot("live-flat", ("t", "P"), "flaky retry"),
    Shot("live-folded", ("asterisk",), "+2"),
    Shot("live-follow", ("j", "F"), "» "),
    Shot("live-countdown", (), "calls it off", _with(countdowns=_COUNTDOWNS)),
    Shot("limits-countdown", ("4",), "calls it off", _counting),
    Shot("limits-words", ("4", "question_mark"), "even use", _billed),
    Shot("orphans-none", ("5",), "Nothing was left behind", _with(*_WAITS)),
    Shot("live-read-only", (), "flaky retry", options=UiOptions(read_only=True)),
    Shot("filter-open", ("slash", *"agent:claude"), "of 9 rows"),
    Shot("filter-kept", ("slash", *"proj:api", "enter"), "of 9 rows"),
    Shot("filter-error", ("slash", *"~("), "✗ pattern"),
    Shot("filter-nothing", ("slash", *"zebra"), "no row matches"),
    Shot("drawer", ("enter",), "─ fix the flaky", cursor="a1"),
    Shot("drawer-looked", ("enter",), "pytest -x", _looked, cursor="a1"),
    Shot("log", ("L",), "pytest -x", _looked, cursor="a1"),
    Shot("process", ("e",), "--continue", _looked, cursor="a1"),
    Shot("session", ("s",), "TURN", _told, cursor="a1"),
    Shot("session-unfolded", ("s", "m", "enter", "a"), "call sites", _told, cursor="a1"),
    Shot("session-error", ("s", "e", "e"), "429", _told, cursor="a1"),
    Shot("session-unknown", ("s",), "not in the store yet", cursor="a1"),
    Shot("session-keys", ("s", "question_mark"), "most expensive", _told, cursor="a1"),
    Shot("transcript", ("s", "t"), "one time in five", _told, cursor="a1"),
    Shot("sources", ("i",), "pid", _looked, cursor="a1"),
    Shot("drawer-tool", ("enter",), "─ 30122", cursor="a1t"),
    Shot("help", ("question_mark",), "next row"),
    Shot("receipts", ("z", "R"), "Receipts", cursor="a1"),
    Shot("receipts-empty", ("R",), "nothing was done"),
    Shot("problems", ("H",), "unparsed", _with(health=_HEALTH)),
    Shot("problems-none", ("H",), "could be read"),
    Shot("stop-turn", ("x",), "outlives it", _source(build.snapshot, plan_fields=_TURN), cursor="a1"),
    Shot("terminate", ("K",), "Esc no", cursor="a1"),
    Shot("terminate-kill", ("K", "k"), "cannot be caught", cursor="a1"),
    Shot("terminate-typed", ("K", "y"), "type codex", _source(build.snapshot, plan_fields=_SHARED), cursor="b1"),
    Shot("terminate-inferred", ("K",), "matched by inference", cursor="b1s"),
    Shot("refusal", ("K",), "owner=root", _source(build.snapshot, plan_fields=_HARD), cursor="a1"),
    Shot("sweep", ("X",), "server.js --port 3001", _source(build.snapshot, orphans=orphans(3))),
    Shot("sweep-many", ("X", "y"), "type orphans", _source(build.snapshot, orphans=orphans(9))),
    Shot("palette", ("colon",), "open the detail drawer", apart=True),
    Shot("palette-search", ("colon", *"vite"), "go to move the build", apart=True),
    Shot("columns", ("w",), "─ columns"),
    Shot("grouped", ("b",), "flaky retry"),
    Shot("tagged", ("space", "space"), "flaky retry"),
    Shot("tagged-terminate", ("space", "space", "K"), "Esc no", cursor="a1"),
    Shot("settings", ("comma",), "refresh_s", options=_SET),
    Shot("settings-changed", ("comma", "j", "j", "j", "space"), "at the next start, once", options=_SET),
    Shot("settings-typing", ("comma", "enter", "backspace", "9", "9", "enter"), "not taken", options=_SET),
    Shot("settings-rules", ("comma", "G", *"kkkkkk"), "rules.", options=_SET),
    Shot("limits", ("4",), "so far", _billed),
    Shot("limits-end", ("4", "G"), "not compared", _billed),
    Shot("limits-empty", ("4",), "no projection yet", _source(build.snapshot, statement_answer=_NO_BILL)),
    Shot("limits-ascii", ("4",), "so far", _billed, options=UiOptions(ascii=True)),
    Shot("history", ("3",), "sessions   newest first", _source(demo)),
    Shot("history-search", ("3", "slash", *"flky retry"), "the likest first"),
    Shot("history-grouped", ("3", "b", "b"), "by project", _source(demo)),
    Shot("history-unfolded", ("3", "plus"), "├", _source(demo)),
    Shot("history-help", ("3", "question_mark"), "Keys of the history", _source(demo)),
    Shot("history-error", ("3", "slash", *"cost>x"), "needs a number"),
    Shot("history-empty", ("3",), "0 sessions", _source(lambda: build.snapshot(**_EMPTY))),  # type: ignore[arg-type]
    Shot("history-ascii", ("3",), "newest first", _source(demo), options=UiOptions(ascii=True)),
    Shot("past", ("B",), "today", film.source),
    Shot("past-gap", ("B", "see: ago", "g", *["shift+right"] * 12), "did not run", film.source),
    Shot("past-empty", ("B",), "nothing is recorded yet", lambda: film.source(with_film=False)),
    Shot("past-span", ("B", "see:today", "J", "see:Where the bill", "enter"), "48.0%", film.source),
    Shot("past-jumps", ("B", "see:today", "J"), "Where the bill jumped", film.source),
    Shot("past-help", ("B", "see:today", "question_mark"), "play, or hold", film.source),
    Shot("past-refused", ("B", "see:today", "K"), "this is the past", film.source),
    Shot("toast", ("x",), "SIGINT sent", cursor="a1"),
)
# fmt: on
