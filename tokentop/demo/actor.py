"""One invented agent: what it is doing, and how it looks in a process table. Pure."""

from __future__ import annotations

import random
from collections import deque

from msgspec.structs import replace

from tokentop.demo.cast import FILES, PROGRAMS, SAID, TESTING, Model, dice
from tokentop.engine.track import session_key
from tokentop.nouns.looks import Step
from tokentop.nouns.outline import Deed
from tokentop.nouns.processes import AgentProc, ChildProc, Ident, ProcRole
from tokentop.nouns.sessions import Role, Session, State
from tokentop.nouns.usage import Figures, Tokens

FIRST_PID = 1 << 23  # beyond every real pid: Linux ends at 2^22
_UID = 1000
_REGISTRY = {
    "idle": State.IDLE,
    "call": State.WORKING,
    "tool": State.WORKING,
    "team": State.WORKING,
    "ask": State.PERMISSION,
    "limit": State.WORKING,
}


def deed(
    tool: str, detail: str, at_ms: int, took_ms: int, *, failed: bool = False, call_id: str = ""
) -> Deed:
    """A tool call as an outline tells it; `detail` is the command, or the path of a file."""
    program = PROGRAMS.get(detail, "" if tool != "Bash" else detail.split(maxsplit=1)[0] if detail else "")
    rng = dice(f"{tool}/{detail}/{at_ms}")
    edits = tool in {"Edit", "Write"}
    tests = ("failed" if failed else "passed") if program in TESTING else ""
    return Deed(
        "tool", tool, program or detail, at_ms, "failed" if failed else "ok", took_ms, call_id,
        rng.randint(1, 60) if edits else None, rng.randint(0, 20) if edits else None, tests,
        "program" if program else "file" if detail else "",
    )  # fmt: skip


class Actor:
    """An agent, a nested agent or a sub-agent. `phase` is idle, call, tool, team, ask, limit or ended."""

    def __init__(self, number: int, seed: int, agent: str, model: Model, place: tuple[str, str, str]) -> None:
        self.rng = dice(f"{seed}/{number}")
        self.number = number
        self.agent = agent
        self.model = model
        self.project, self.branch, self.title = place
        hexed = f"{self.rng.getrandbits(128):032x}"
        self.session_id = "-".join((hexed[:8], hexed[8:12], hexed[12:16], hexed[16:20], hexed[20:]))
        self.pid = FIRST_PID + 17 * number
        self.phase = "idle"
        self.phase_ms = 0
        self.started_ms = 0
        self.call_started_ms = 0
        self.calls = 0
        self.calls_left = -1  # -1 = a main agent without an end; else a sub-agent or one-shot
        self.context = self.rng.randint(18_000, 60_000)
        self.own = Figures()
        self.parent: Actor | None = None  # sub-agents
        self.nested_in: Actor | None = None  # agents started by a tool of another agent
        self.team = 0  # sub-agents that still run
        self.tool = ""
        self.command = ""
        self.frozen = False
        self.due = 0  # the moment of its next event; an event with another one is outdated
        self.steps: deque[Step] = deque(maxlen=60)  # what its log would tell
        self.deeds: list[Deed] = []  # what an outline of its log would hold
        self.temper = "normal"  # normal, runaway, limited, asking

    @property
    def key(self) -> str:
        return session_key(self.agent, self.session_id)

    @property
    def alive(self) -> bool:
        return self.phase != "ended"

    @property
    def ident(self) -> Ident:
        return Ident(self.pid, self.number + 1, _UID, "demo", f"/usr/bin/{self.agent}", self.agent)

    @property
    def tool_ident(self) -> Ident:
        return Ident(self.pid + 1, self.calls + 1, _UID, "demo", "/bin/sh", "sh")

    def has_tool_process(self) -> bool:
        return self.phase == "tool" and bool(self.command)

    def enter(self, phase: str, at_ms: int, for_ms: int) -> None:
        self.phase, self.phase_ms, self.due = phase, at_ms, at_ms + for_ms

    def begin_step(self, at_ms: int) -> None:
        """A tool call is in the log, its result is not."""
        detail = self.command or dice(f"{self.pid}/{at_ms}").choice(FILES)
        self.steps.append(Step("tool", self.tool, detail, at_ms, "open"))

    def end_step(self, at_ms: int) -> None:
        """The result of the last tool call, where one is open."""
        last = self.steps[-1] if self.steps else None
        if last is not None and last.result == "open":
            failed = bool(self.command) and dice(f"{self.pid}/{last.at_ms}").random() < 0.12
            self.steps[-1] = replace(last, result="failed" if failed else "ok", took_ms=at_ms - last.at_ms)
            self.deeds.append(
                deed(
                    last.name,
                    last.detail,
                    last.at_ms,
                    at_ms - last.at_ms,
                    failed=failed,
                    call_id=str(self.calls),
                )
            )

    def say(self, at_ms: int) -> None:
        """The model's words before what it does next."""
        words = dice(f"{self.pid}/say/{at_ms}").choice(SAID)
        self.steps.append(Step("answer", self.model.name, words, at_ms))

    def spend(self, tokens: Tokens, cost_nusd: int | None) -> None:
        own = self.own
        self.own = Figures(
            own.tokens + tokens,
            own.responses + 1,
            own.cost_nusd + (cost_nusd or 0),
            own.unpriced_tokens + (tokens.total if cost_nusd is None else 0),
        )

    def session(self, at_ms: int) -> Session:
        return Session(
            self.agent,
            self.session_id,
            parent_id=self.parent.session_id if self.parent else "",
            role=Role.SUB_AGENT if self.parent else Role.MAIN,
            cwd=f"/home/dev/src/{self.project}",
            branch=self.branch,
            title=self.title,
            model=self.model.name,
            first_ms=self.started_ms,
            last_ms=at_ms,
            version="demo",
            surface="exec" if self.nested_in else "cli",
        )

    def process(self, now_ms: int) -> AgentProc:
        """As a process pass would see it: Claude Code publishes its state, the others do not."""
        reports = self.agent == "claude"
        state = _REGISTRY[self.phase] if reports else None
        noise = dice(f"{self.pid}/{now_ms // 3_000}")
        busy = self.phase in {"call", "tool", "team"} and not self.frozen
        one_shot = self.nested_in is not None
        return AgentProc(
            ident=self.ident,
            agent=self.agent,
            role=ProcRole.AGENT,
            cwd=f"/home/dev/src/{self.project}",
            command=f"{self.agent} -p {self.title!r}" if one_shot else self.agent,
            started_ms=self.started_ms,
            cpu_pct=round(noise.uniform(1.5, 14.0) if busy else noise.uniform(0.0, 0.4), 1),
            rss_bytes=(180 + self.number * 37 % 240) << 20,
            run_state="T" if self.frozen else "S",
            one_shot=one_shot,
            session_id=self.session_id,
            confidence="inferred" if self.agent in {"gemini", "opencode"} else "exact",
            parent_session_id=self.nested_in.session_id if self.nested_in else "",
            state=state,
            state_detail="permission prompt" if state is State.PERMISSION else "",
            state_since_ms=self.phase_ms,
            state_source="registry" if reports else "",
            children=self._children(noise, busy),
            tty=f"/dev/pts/{self.number % 40}",
            tmux=f"demo,%{self.number}" if self.number % 3 else "",
        )

    def _children(self, noise: random.Random, busy: bool) -> tuple[ChildProc, ...]:
        if not self.has_tool_process():
            return ()
        cpu = round(noise.uniform(20.0, 180.0), 1) if busy else 0.0
        tool = ChildProc(self.tool_ident, self.pid, ProcRole.TOOL, self.command, self.phase_ms, cpu, 90 << 20)
        return (tool,)


def orphan(start_ms: int) -> AgentProc:
    """A server that an agent of this morning has left running."""
    return AgentProc(
        ident=Ident(FIRST_PID - 5, 1, _UID, "demo", "/usr/bin/node", "node"),
        agent="claude",
        role=ProcRole.ORPHAN,
        cwd="/home/dev/src/web",
        command="node node_modules/.bin/vite --port 5173",
        started_ms=start_ms - 11 * 3_600_000,
        cpu_pct=3.1,
        rss_bytes=412 << 20,
        run_state="S",
    )
