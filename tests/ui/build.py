"""Snapshots, rows and a fake Source for the tests of the screen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC
from functools import cached_property
from typing import Any

from msgspec.structs import replace

from tests.ui.invented import put
from tokentop.agents._spoken import Said
from tokentop.answers.archive import MemoryArchive
from tokentop.answers.footage import Footage
from tokentop.engine.statement import Statement
from tokentop.engine.tally import Bought
from tokentop.engine.timeline import Timeline
from tokentop.nouns.actions import Action, Jump, KillPlan, Orphan, PlannedProc, Receipt, Rung
from tokentop.nouns.facts import Looked
from tokentop.nouns.history import Ask, Entry, Listing, Scan
from tokentop.nouns.looks import Inside, LogTail, Look
from tokentop.nouns.money import Forecast, Quota
from tokentop.nouns.picture import Alert, Row, Series, Snapshot, Status
from tokentop.nouns.processes import ChildProc, Ident, ProcRole
from tokentop.nouns.sessions import Session, State
from tokentop.nouns.usage import Figures, Tokens
from tokentop.procs.batch import arrange, carry_out
from tokentop.store.db import open_memory

NOW = 1_795_295_645_000  # 2026-11-21T21:14:05Z
USD = 1_000_000_000
MINUTE = 60_000


def ident(pid: int) -> Ident:
    return Ident(pid, 1000 + pid, 1000, "boot", "/usr/bin/agent", "agent")


def figures(rate: float = 0.0, burn: float = 0.0, cost: float = 0.0, **extra: Any) -> Figures:
    tokens = Tokens(1200, 2_400_000, 80_000, 40_000, 61_000, 12_000)
    return Figures(
        tokens=tokens,
        responses=41,
        cost_nusd=int(cost * USD),
        tokens_per_min=rate,
        reads_per_min=rate * 12,
        burn_nusd_per_h=int(burn * USD),
        **extra,
    )


def row(key: str, **fields: Any) -> Row:
    """An agent row; every field can be given."""
    rate, burn, cost = fields.pop("rate", 0.0), fields.pop("burn", 0.0), fields.pop("cost", 1.0)
    state = fields.pop("state", State.WORKING)
    detail = fields.pop("detail", "")
    own = fields.pop("own", figures(rate, burn, cost))
    defaults: dict[str, Any] = {
        "parent_key": "",
        "depth": 0,
        "kind": "agent",
        "agent": "claude",
        "session_id": f"{key}-4f2a-9c11",
        "title": f"title of {key}",
        "project": "api",
        "cwd": "/home/dev/api",
        "branch": "main",
        "model": "claude-opus-5-5",
        "status": Status(state, detail, "registry", NOW - 42_000),
        "own": own,
        "tree": own,
        "spark": (1.0, 2.0, 4.0, 8.0, 6.0, 9.0, 3.0, 2.0, 5.0, 7.0, 9.0, 8.0),
        "context_used": 142_000,
        "context_window": 200_000,
        "started_ms": NOW - 127 * MINUTE,
        "last_ms": NOW - 3_000,
        "pid": 4000 + sum(map(ord, key)) % 900,
        "confidence": "exact",
        "cpu_pct": 3.4,
        "rss_bytes": 412 << 20,
        "command": "claude --continue",
        "where": "work:1.2",
        "version": "2.1.30",
        "surface": "cli",
        "log_path": f"/home/dev/.claude/projects/-home-dev-api/{key}.jsonl",
        "resume": f"claude --resume {key}-4f2a-9c11",
    }
    return Row(key=key, **{**defaults, **fields})


def child(pid: int, command: str, role: ProcRole = ProcRole.TOOL) -> ChildProc:
    return ChildProc(ident(pid), 4000, role, command, NOW - 41_000, 12.5, 90 << 20)


# fmt: off
def picture() -> tuple[Row, ...]:
    """The rows of the design's picture."""
    low = (1.0, 2.0, 1.0, 1.0, 1.0, 2.0) * 2
    none = (0.0,) * 12
    children = (child(30122, "python -m pytest -x"), child(30007, "mcp-fs", ProcRole.MCP))
    return (
        row("a1", title="fix the flaky retry test", rate=64_200, burn=18.4, cost=31.2, sub_agents=1,
            working_below=1, children=children),
        row("a1s", parent_key="a1", depth=1, kind="sub-agent", title="explore: call sites of retry",
            model="claude-sonnet-5", rate=8_100, burn=1.1, cost=0.42, pid=None, confidence="", spark=low,
            context_used=24_000, started_ms=NOW - 4 * MINUTE, project="", where=""),
        row("a1t", parent_key="a1", depth=1, kind="tool", title="", command="python -m pytest -x", pid=30122,
            state=State.TOOL, detail="pytest", session_id="", started_ms=NOW - 41_000, project="", where="",
            resume=""),
        row("b1", agent="codex", title="move the build to vite", project="web", model="gpt-5.6-codex",
            rate=22_900, burn=6.3, cost=12.04, state=State.TOOL, detail="bash", context_used=76_000,
            started_ms=NOW - 72 * MINUTE, resume="codex resume b1-4f2a"),
        row("b1s", parent_key="b1", depth=1, agent="claude", title="claude -p review the diff", project="",
            model="claude-haiku-5", rate=3_000, burn=0.2, cost=0.08, context_used=18_000,
            started_ms=NOW - 2 * MINUTE, spark=low, confidence="strong"),
        row("c1", title="terraform plan for staging", project="infra", state=State.PERMISSION, cost=4.1,
            context_used=88_000, started_ms=NOW - 38 * MINUTE, spark=none),
        row("d1", agent="gemini", title="rewrite the guide", project="docs", model="gemini-3-pro",
            rate=41_000, burn=39.75, cost=9.11, context_used=166_000, started_ms=NOW - 56 * MINUTE),
        row("e1", agent="opencode", title="explain the cache layer", model="glm-5", state=State.IDLE,
            cost=0.31, context_used=34_000, started_ms=NOW - 200 * MINUTE, spark=none),
        row("o1", kind="orphan", agent="claude", session_id="", title="", project="api", resume="", where="",
            command="node server.js --port 3000", state=State.ORPHAN, pid=28311),
    )
# fmt: on


def series() -> Series:
    wave = [abs((at * 7) % 60 - 30) * 1300.0 + at * 400.0 for at in range(120)]
    return Series(
        step_s=30,
        output_per_min=tuple(v * 0.22 for v in wave),
        writes_per_min=tuple(v * 0.5 for v in wave),
        input_per_min=tuple(v * 0.25 for v in wave),
        reads_per_min=tuple(v * 11 for v in wave),
        burn_nusd_per_h=tuple(v / 2200 * USD for v in wave),
        minute=(41_000.0, 96_000.0, 47_000.0),
    )


def snapshot(rows: tuple[Row, ...] | None = None, revision: int = 1, **fields: Any) -> Snapshot:
    rows = picture() if rows is None else rows
    counts: dict[State, int] = {}
    for each in rows:
        if each.kind != "tool":
            counts[each.status.state] = counts.get(each.status.state, 0) + 1
    defaults: dict[str, Any] = {
        "at_ms": NOW + revision * 1000,
        "counts": tuple(counts.items()),
        "totals": figures(184_000, 41.2, 212.4),
        "today": figures(cost=212.4),
        "series": series(),
        "forecast": Forecast(
            NOW, "2026-11-21", int(212.4 * USD), 388 * USD, 341 * USD, 447 * USD, "profile", 21
        ),
        "quotas": (
            Quota("claude", "me", 300, "", 78.0, NOW + 146 * MINUTE, "statusline", NOW - MINUTE, "max"),
            Quota(
                "claude", "me", 10080, "", 31.0, NOW + 5 * 1440 * MINUTE, "statusline", NOW - MINUTE, "max"
            ),
            Quota("codex", "me", 300, "", 12.0, NOW + 66 * MINUTE, "log", NOW - 42 * MINUTE, "plus"),
        ),
        "alerts": (Alert("no-progress", "d1", "burns without a change to any file", NOW - 14 * MINUTE),),
        "own_cpu_pct": 1.2,
        "own_rss_bytes": 61 << 20,
        "looked": (
            Looked("claude", "Claude Code", "~/.claude/projects", "no such folder"),
            Looked("codex", "Codex", "~/.codex/sessions", "12 files"),
        ),
    }
    return Snapshot(revision=revision, rows=rows, **{**defaults, **fields})


def plan_for(of: Row, action: Action, **fields: Any) -> KillPlan:
    """A plan as the process room makes one, with one Ident per process of the row."""
    defaults: dict[str, Any] = {
        "action": action,
        "agent": of.agent,
        "session_id": of.session_id,
        "title": of.title,
        "project": of.project,
        "cwd": of.cwd,
        "target": ident(of.pid) if of.pid else None,
        "command": of.command,
        "confidence": of.confidence,
        "rungs": {
            Action.TERMINATE: (("SIGTERM", 5.0), ("SIGKILL", 1.0)),
            Action.KILL: (("SIGKILL", 1.0),),
            Action.FREEZE: (("SIGSTOP", 0.0),),
            Action.THAW: (("SIGCONT", 0.0),),
            Action.INTERRUPT: (("SIGINT", 2.0),),
        }[action],
        "tree": tuple(PlannedProc(c.ident, c.role, c.command, 1) for c in of.children),
        "wrapper": None,
        "cost_nusd": of.tree.cost_nusd,
        "burn_nusd_per_h": of.tree.burn_nusd_per_h,
        "resume": of.resume,
        "refusal": "" if of.pid else "this session has no process",
    }
    return KillPlan(**{**defaults, **fields})


def receipt_for(plan: KillPlan, **fields: Any) -> Receipt:
    assert plan.target is not None
    signal_name = plan.rungs[0][0]
    defaults: dict[str, Any] = {
        "at_ms": NOW,
        "action": plan.action,
        "reason": "manual",
        "agent": plan.agent,
        "session_id": plan.session_id,
        "pid": plan.target.pid,
        "start_ticks": plan.target.start_ticks,
        "argv0": plan.target.argv0,
        "cwd": plan.cwd,
        "result": "ended",
        "detail": "",
        "rungs": (Rung(plan.target.pid, signal_name, NOW, "sent"),),
        "ended_pids": (plan.target.pid,),
        "survivors": (),
        "took_ms": 1240,
        "cost_nusd": plan.cost_nusd,
        "burn_nusd_per_h": plan.burn_nusd_per_h,
        "resume": plan.resume,
    }
    return Receipt(**{**defaults, **fields})


class FakeSource:
    """Publishes what a test gives it and keeps what was asked of it."""

    def __init__(self, first: Snapshot | None = None, read_only: bool = False, label: str = "") -> None:
        self.read_only = read_only
        self.label = label
        self.first = first
        self.publish: Callable[[Snapshot], None] | None = None
        self.planned: list[tuple[str, Action]] = []
        self.executed: list[KillPlan] = []
        self.orphans: tuple[Orphan, ...] = ()
        self.jumped: list[str] = []
        self.attached: list[tuple[str, ...]] = []
        self.looked: list[str] = []
        self.tailed: list[str] = []
        self.look_fields: dict[str, Any] = {}
        self.inside_answer = Inside(4711, 99, argv=("claude", "--continue"), cwd="/home/dev/api")
        self.tail_answer = LogTail(("{}",), state=(1, 2, 3))
        self.jump_answer = Jump("tmux api:1.0", done=True)
        self.plan_fields: dict[str, Any] = {}
        self.receipt_fields: dict[str, Any] = {}
        self.started = threading.Event()
        self.cancelled: list[int] = []
        self.stopped = False
        self.recalled: str | None = ""
        self.remembered: list[str] = []
        self.windows: list[int] = []

        self.resumed: list[Receipt] = []
        self.batches: list[list[str]] = []
        self.plans_of: dict[str, dict[str, Any]] = {}  # fields of the plans of a batch, by row
        self.earlier: tuple[Receipt, ...] = ()
        self.history_asked: list[Ask] = []
        self.said_scan = Scan(
            problem="prompts and replies are not searched: search_prompts is off in the settings"
        )
        self.film: Callable[[], Footage] | None = None
        self.statement_answer: Statement | Exception = Statement(NOW)
        self.stated = 0
        self.told: Timeline | None = None
        self.asked: list[tuple[str, str]] = []
        self.bought_answer: Bought | None = None
        self.said: tuple[list[Said], str] = ([], "nothing was said")
        self.exported: list[str] = []

    def tell(self, agent: str, session_id: str) -> Timeline | None:
        self.asked.append((agent, session_id))
        return self.told

    def bought(self, agent: str, session_id: str) -> Bought | None:
        return self.bought_answer

    def transcript(self, session: Session) -> tuple[list[Said], str]:
        return self.said

    def export(self, told: Timeline, form: str) -> str:
        self.exported.append(form)
        return f"/state/exports/{told.session.id}.{form}"

    def recall(self) -> str | None:
        return self.recalled

    def remember(self, state: str) -> None:
        self.remembered.append(state)

    def look_back(self, minutes: int) -> None:
        self.windows.append(minutes)

    def start(self, publish: Callable[[Snapshot], None]) -> None:
        self.publish = publish
        if self.first is not None:
            publish(self.first)
        self.started.set()

    def stop(self) -> None:
        self.stopped = True

    def cancel(self, number: int) -> None:
        self.cancelled.append(number)

    def plan(self, row: Row, action: Action) -> KillPlan:
        self.planned.append((row.key, action))
        return plan_for(row, action, **self.plan_fields)

    def plan_many(self, rows: Sequence[Row], action: Action) -> tuple[KillPlan, ...]:
        self.batches.append([row.key for row in rows])
        plans = [plan_for(row, action, **self.plans_of.get(row.key, {})) for row in rows]
        return arrange(plans)

    def plan_orphans(self) -> tuple[Orphan, ...]:
        return self.orphans

    def footage(self) -> Footage | None:
        return self.film() if self.film is not None else None

    def jump(self, row: Row) -> Jump:
        self.jumped.append(row.key)
        return self.jump_answer

    def resume(self, receipt: Receipt) -> Jump:
        self.resumed.append(receipt)
        return Jump("resumed in tmux work:3", done=True)

    def look(self, row: Row) -> Look:
        self.looked.append(row.key)
        return Look(row.key, NOW, **self.look_fields)

    def inside(self, row: Row) -> Inside:
        return self.inside_answer

    def tail(self, row: Row, known: tuple[int, int, int]) -> LogTail | None:
        self.tailed.append(row.key)
        return None if known == self.tail_answer.state else self.tail_answer

    def attach(self, argv: tuple[str, ...]) -> int:
        self.attached.append(argv)
        return 0

    def execute(self, plan: KillPlan) -> Receipt:
        self.executed.append(plan)
        return receipt_for(plan, **self.receipt_fields)

    def execute_many(self, plans: Sequence[KillPlan]) -> tuple[Receipt, ...]:
        return carry_out(plans, lambda some: [self.execute(plan) for plan in some])

    def receipts(self) -> tuple[Receipt, ...]:
        return self.earlier

    def statement(self) -> Statement:
        self.stated += 1
        if isinstance(self.statement_answer, Exception):
            raise self.statement_answer
        return self.statement_answer

    def history(self, ask: Ask) -> Listing | None:
        self.history_asked.append(ask)
        return self.archive.answer(ask)

    def entries(self, ids: Sequence[int]) -> tuple[Entry, ...]:
        return self.archive.entries(ids)

    def search_said(self, query: str, told: Callable[[Scan], bool]) -> Scan:
        return self.said_scan

    def below(self, root: int) -> tuple[Entry, ...]:
        return self.archive.below(root)

    @cached_property
    def archive(self) -> MemoryArchive:
        """The sessions of the first picture."""
        connection = open_memory()
        put(connection, [row for row in (() if self.first is None else self.first.rows) if row.session_id])
        made = MemoryArchive(connection, UTC, lambda: NOW)
        made.index()
        return made


def change(rows: tuple[Row, ...], key: str, **fields: Any) -> tuple[Row, ...]:
    """`rows` with fields of one row replaced."""
    return tuple(replace(each, **fields) if each.key == key else each for each in rows)
