"""Small builders for engine tests."""

from __future__ import annotations

from tokentop.engine.live import LiveState
from tokentop.engine.snapshot import take
from tokentop.nouns.picture import Row
from tokentop.nouns.processes import AgentProc, ChildProc, Ident, ProcRole
from tokentop.nouns.sessions import Activity, Role, Session, State
from tokentop.nouns.usage import Figures, Priced, Tokens, Usage

NOW = 1_795_294_800_000
START = NOW - 3_600_000


def agent_proc(pid: int = 10, session_id: str = "s", **more: object) -> AgentProc:
    fields: dict[str, object] = {
        "ident": Ident(pid, pid * 100, 1000),
        "agent": "claude",
        "role": ProcRole.AGENT,
        "cwd": "/w/app",
        "command": "claude",
        "started_ms": START,
        "cpu_pct": 0.0,
        "rss_bytes": 1 << 20,
        "run_state": "S",
        "session_id": session_id,
        "confidence": "exact",
    }
    return AgentProc(**{**fields, **more})  # type: ignore[arg-type]


def child(pid: int = 20, role: ProcRole = ProcRole.TOOL, age_ms: int = 5_000, **more: object) -> ChildProc:
    fields: dict[str, object] = {
        "ident": Ident(pid, pid * 100, 1000),
        "ppid": 10,
        "role": role,
        "command": "sleep 100",
        "started_ms": NOW - age_ms,
        "cpu_pct": 0.0,
        "rss_bytes": 1 << 20,
    }
    return ChildProc(**{**fields, **more})  # type: ignore[arg-type]


def session(sid: str = "s", agent: str = "claude", **more: object) -> Session:
    fields: dict[str, object] = {
        "title": f"title of {sid}",
        "cwd": "/w/app",
        "first_ms": START,
        "last_ms": NOW - 60_000,
    }
    return Session(agent, sid, **{**fields, **more})  # type: ignore[arg-type]


def sub_agent(sid: str, parent: str = "s", **more: object) -> Session:
    return session(sid, role=Role.SUB_AGENT, parent_id=parent, **more)


def act(state: State, ago_ms: int = 10_000, sid: str = "s", agent: str = "claude", **more: str) -> Activity:
    return Activity(agent, sid, NOW - ago_ms, state, **more)


def usage(event_id: int, sid: str = "s", ago_ms: int = 10_000, cost: int | None = 1_000, output: int = 100):
    fact = Usage("claude", sid, f"k{event_id}", NOW - ago_ms, "opus", Tokens(output=output))
    return Priced(event_id, fact, cost)


def spent(cost: int, output: int = 10) -> Figures:
    return Figures(Tokens(output=output), 1, cost)


def rows_of(live: LiveState, at_ms: int = NOW) -> dict[str, Row]:
    return {row.key: row for row in take(live, at_ms).rows}
