"""The invented world: agents that think, run tools, wait, send out sub-agents. Pure and seeded.

An agenda of moments drives it: the same seed and the same calls give the same world.
"""

from __future__ import annotations

from tokentop.demo.account import MINUTE_MS, Account
from tokentop.demo.actor import Actor, deed, orphan
from tokentop.demo.agenda import Agenda
from tokentop.demo.cast import (
    ASKED,
    FILES,
    HAIKU,
    HOUSE,
    IN_A_LOOP,
    PLACES,
    PROJECTS,
    SUB_TASKS,
    TITLES,
    TOOLS,
    Model,
    dice,
)
from tokentop.engine.live import LiveState
from tokentop.nouns.outline import Deed
from tokentop.nouns.processes import AgentProc
from tokentop.nouns.sessions import Activity, Context, State
from tokentop.nouns.usage import Tokens

FLEET = 40
GAP_MS = 30 * MINUTE_MS  # a longer pause of the clock (a machine that slept) passes in the world unseen
_TEMPERS = {3: "runaway", 5: "limited", 8: "asking", 20: "asking", 33: "asking"}


class World:
    """Forty agents from `start_ms` on; `run()` moves it and feeds the live state."""

    def __init__(self, live: LiveState, seed: int, start_ms: int) -> None:
        self.live = live
        self.seed = seed
        self.now_ms = start_ms
        self.account = Account()
        self.rng = dice(f"{seed}/world")
        self.actors: dict[str, Actor] = {}
        self._born = 0
        self.gone: list[Actor] = []  # ended, until their deeds are taken
        self._agenda = Agenda()
        self.orphan: AgentProc | None = orphan(start_ms)
        for _ in range(FLEET):
            self._birth(start_ms, self.rng.randint(5, 290) * MINUTE_MS)

    # ------------------------------------------------------------ time

    def run(self, now_ms: int) -> None:
        """Let everything happen until `now_ms`; a clock that stands or steps back moves nothing."""
        if now_ms - self.now_ms > 2 * GAP_MS + 10 * MINUTE_MS:
            gap_ms = now_ms - self.now_ms - GAP_MS
            self._agenda.postpone(self.actors.values(), gap_ms)
            self.now_ms += gap_ms
        for at_ms, actor in self._agenda.due(now_ms):
            self.now_ms = at_ms
            self.live.advance(at_ms)
            self._step(actor, at_ms)
        self.now_ms = max(self.now_ms, now_ms)
        self.live.advance(now_ms)

    # ------------------------------------------------------------ births and ends

    def _birth(self, at_ms: int, age_ms: int) -> Actor:
        number = self._born
        agent, model = PLACES[number % len(PLACES)]
        if number == 17:
            model = HOUSE
        project, branch = PROJECTS[(number * 5 + number // 12) % len(PROJECTS)]
        actor = self._actor(agent, model, (project, branch, TITLES[number % len(TITLES)]))
        actor.temper = _TEMPERS.get(number, "normal")
        actor.started_ms = at_ms - age_ms
        for before in range(age_ms // (2 * MINUTE_MS)):
            tokens = self._tokens(actor)
            actor.spend(tokens, actor.model.cost_nusd(tokens))
            self._tell_before(actor, actor.started_ms + before * 2 * MINUTE_MS, tokens)
        self.live.load_session(actor.session(at_ms), actor.own)
        self._agenda.enter(actor, "idle", at_ms, actor.rng.uniform(0, 4 * MINUTE_MS))
        return actor

    def _tell_before(self, actor: Actor, at_ms: int, tokens: Tokens) -> None:
        """A call from before the world began, and what was done after it."""
        rng = dice(f"{actor.session_id}/{at_ms}")
        if at_ms == actor.started_ms or rng.random() < 0.12:
            actor.deeds.append(Deed("prompt", at_ms=at_ms))
        at_ms += rng.randrange(1_000, 60_000)
        self.account.tell(actor, at_ms, tokens, rng.randrange(2_000, 30_000))
        tool, command = rng.choice(TOOLS)
        failed = bool(command) and rng.random() < 0.12
        actor.deeds.append(
            deed(tool, command or rng.choice(FILES), at_ms + 31_000, rng.randrange(20, 9_000), failed=failed)
        )

    def _actor(self, agent: str, model: Model, place: tuple[str, str, str]) -> Actor:
        actor = Actor(self._born, self.seed, agent, model, place)
        self._born += 1
        self.actors[actor.key] = actor
        return actor

    def _helper(self, parent: Actor, agent: str, model: Model, title: str, at_ms: int) -> Actor:
        actor = self._actor(agent, model, (parent.project, parent.branch, title))
        actor.context = actor.rng.randint(9_000, 20_000)
        actor.calls_left = actor.rng.randint(4, 14)
        actor.started_ms = at_ms
        return actor

    def end(self, actor: Actor, at_ms: int) -> None:
        """The process is gone, with everything that lives in it; someone starts another one later."""
        actor.phase = "ended"
        for other in list(self.actors.values()):
            if other.parent is actor or other.nested_in is actor:
                self.end(other, at_ms)
        if self.actors.pop(actor.key, None) is not None:
            self.gone.append(actor)
        if actor.parent is None and actor.nested_in is None:
            self._birth(at_ms, 0)
        elif actor.nested_in is not None and actor.nested_in.alive:
            self._agenda.wake(actor.nested_in, at_ms)

    # ------------------------------------------------------------ what an agent does

    def _step(self, actor: Actor, at_ms: int) -> None:
        if actor.phase == "call":
            self._answer(actor, at_ms)
            self._decide(actor, at_ms)
        elif actor.phase == "idle" and actor.calls_left < 0 and actor.rng.random() < 0.012:
            self.end(actor, at_ms)
        else:
            self.call(actor, at_ms)

    def call(self, actor: Actor, at_ms: int) -> None:
        """Start a call to the model."""
        if actor.phase == "idle" or not actor.calls:
            actor.deeds.append(Deed("prompt", at_ms=at_ms))
        elif actor.phase == "ask":
            actor.deeds.append(
                Deed("permission", "Bash", at_ms=actor.phase_ms, took_ms=at_ms - actor.phase_ms)
            )
        actor.calls += 1
        actor.call_started_ms = at_ms
        actor.end_step(at_ms)
        self._say(actor, at_ms, State.WORKING, call_id=str(actor.calls))
        length = (
            actor.rng.lognormvariate(2.6, 0.6) if actor.temper != "runaway" else actor.rng.uniform(20, 36)
        )
        self._agenda.enter(actor, "call", at_ms, min(90.0, max(2.0, length)) * 1000)

    def _tokens(self, actor: Actor, seconds: float = 15.0) -> Tokens:
        rng = actor.rng
        read = actor.context
        fresh = (
            round(rng.lognormvariate(7.6, 0.8)) if actor.temper != "runaway" else rng.randint(48_000, 80_000)
        )
        out = max(20, round(seconds * actor.model.speed * rng.uniform(0.5, 0.95)))
        actor.context += fresh + out
        if actor.context > 0.93 * actor.model.window:
            actor.context = round(actor.model.window * rng.uniform(0.12, 0.3))  # compacted
        read = min(read, actor.model.window)
        if actor.agent == "claude":
            return Tokens(input=rng.randint(2, 9), cache_read=read, cache_write_1h=fresh, output=out)
        return Tokens(input=fresh, cache_read=read, output=out, reasoning=out // 3)

    def _answer(self, actor: Actor, at_ms: int) -> None:
        seconds = (at_ms - actor.call_started_ms) / 1000
        tokens = self._tokens(actor, seconds)
        cost = actor.model.cost_nusd(tokens)
        actor.spend(tokens, cost)
        actor.say(at_ms)
        priced = self.account.answered(actor, at_ms, tokens, cost)
        self.live.load_session(actor.session(at_ms), actor.own)
        self.live.apply_usage(priced)
        self.live.apply_context(
            Context(actor.agent, actor.session_id, at_ms, actor.context, actor.model.window)
        )

    def _decide(self, actor: Actor, at_ms: int) -> None:
        """After an answer: a tool, helpers, a question, a limit, or the end of the turn."""
        rng, roll, ended = actor.rng, actor.rng.random(), str(actor.calls)
        helper = actor.calls_left >= 0
        if helper:
            actor.calls_left -= 1
            if actor.calls_left <= 0:
                self._finish(actor, at_ms)
                return
        if actor.temper == "limited" and roll < 0.3:
            actor.deeds.append(Deed("limit", "429", at_ms=at_ms))
            self._say(actor, at_ms, State.LIMITED, detail="usage limit, resets in 9 min", ends_call="")
            self._agenda.enter(actor, "limit", at_ms, rng.uniform(7, 9) * MINUTE_MS)
        elif actor.temper == "runaway":
            self._tool(actor, at_ms, ended, rng.uniform(1, 4))
        elif not helper and roll < 0.02:
            self._team(actor, at_ms, ended)
        elif not helper and roll < (0.12 if actor.temper == "asking" else 0.04):
            self._ask(actor, at_ms, ended)
        elif helper or roll < 0.82:
            self._tool(actor, at_ms, ended, rng.lognormvariate(2.2, 1.1))
        else:
            self._say(actor, at_ms, State.IDLE, ends_call=ended)
            self._agenda.enter(actor, "idle", at_ms, min(20.0, rng.lognormvariate(0.7, 0.8)) * MINUTE_MS)

    def _tool(self, actor: Actor, at_ms: int, ended: str, seconds: float) -> None:
        tools = IN_A_LOOP if actor.temper == "runaway" else TOOLS
        actor.tool, actor.command = actor.rng.choice(tools)
        if actor.parent is not None:
            actor.command = ""  # the process of a sub-agent's tool is a child of the main agent
        if not actor.command:
            seconds = min(seconds, 2.0)  # reading and writing files is quick
        nests = actor.agent == "codex" and actor.calls_left < 0 and actor.rng.random() < 0.03
        if nests:
            actor.tool, actor.command = "Bash", "claude -p 'review the diff'"
            self._nest(actor, at_ms)
            seconds = 600
        actor.begin_step(at_ms)
        self._say(actor, at_ms, State.TOOL, tool=actor.tool, ends_call=ended)
        self._agenda.enter(actor, "tool", at_ms, min(600.0, max(0.4, seconds)) * 1000)

    def _nest(self, actor: Actor, at_ms: int) -> None:
        nested = self._helper(actor, "claude", HAIKU, "review the diff", at_ms)
        nested.nested_in = actor
        self.live.load_session(nested.session(at_ms), nested.own)
        self.call(nested, at_ms + 900)

    def _team(self, actor: Actor, at_ms: int, ended: str) -> None:
        actor.team = actor.rng.randint(2, 4) if actor.agent == "claude" else 1
        actor.tool, actor.command = "Task", ""
        actor.deeds.append(Deed("tool", "Task", at_ms=at_ms, result="ok", call_id=str(actor.calls)))
        self._say(actor, at_ms, State.TOOL, tool="Task", ends_call=ended)
        self._agenda.enter(actor, "team", at_ms, 60 * MINUTE_MS)
        for number, title in enumerate(actor.rng.sample(SUB_TASKS, actor.team)):
            sub = self._helper(
                actor, actor.agent, HAIKU if actor.agent == "claude" else actor.model, title, at_ms
            )
            sub.parent = actor
            self.live.load_session(sub.session(at_ms), sub.own)
            self.call(sub, at_ms + 300 * (number + 1))

    def _ask(self, actor: Actor, at_ms: int, ended: str) -> None:
        actor.tool, actor.command = "Bash", ""
        state = State.TOOL if actor.agent == "claude" else State.PERMISSION
        self._say(actor, at_ms, state, tool="Bash", detail=actor.rng.choice(ASKED), ends_call=ended)
        self._agenda.enter(actor, "ask", at_ms, actor.rng.uniform(0.3, 4) * MINUTE_MS)

    def _finish(self, actor: Actor, at_ms: int) -> None:
        """A sub-agent or one-shot has answered for the last time; who waits for it goes on."""
        self._say(actor, at_ms, State.IDLE, ends_call=str(actor.calls))
        self.end(actor, at_ms)
        waiting = actor.parent
        if waiting is not None and waiting.alive:
            waiting.team -= 1
            if waiting.team <= 0 and waiting.phase == "team":
                self._agenda.wake(waiting, at_ms)

    def _say(
        self,
        actor: Actor,
        at_ms: int,
        state: State,
        tool: str = "",
        detail: str = "",
        call_id: str = "",
        ends_call: str = "",
    ) -> None:
        fact = Activity(actor.agent, actor.session_id, at_ms, state, tool, detail, call_id, ends_call)
        self.live.apply_activity(fact)

    # ------------------------------------------------------------ from outside

    def interrupt(self, actor: Actor, at_ms: int) -> None:
        """Stop the turn: a call that runs is lost, the agent waits at its prompt."""
        for other in list(self.actors.values()):
            if other.parent is actor or other.nested_in is actor:
                self.end(other, at_ms)
        actor.team = 0
        actor.deeds.append(Deed("interrupt", at_ms=at_ms))
        self._say(actor, at_ms, State.IDLE, detail="interrupted", ends_call=str(actor.calls))
        self._agenda.enter(actor, "idle", at_ms, actor.rng.uniform(2, 9) * MINUTE_MS)

    def freeze(self, actor: Actor, at_ms: int, frozen: bool) -> None:
        """Stop or continue the process with its sub-agents."""
        below = (a for a in self.actors.values() if a.parent is actor)
        self._agenda.freeze((actor, *below), at_ms, frozen)

    def end_tool(self, actor: Actor, at_ms: int) -> None:
        """The tool is gone: its agent reads the failure."""
        for other in list(self.actors.values()):
            if other.nested_in is actor:
                self.end(other, at_ms)
        self._agenda.wake(actor, at_ms)

    def processes(self, now_ms: int) -> tuple[AgentProc, ...]:
        """One pass over the invented process table."""
        found = [a.process(now_ms) for a in self.actors.values() if a.parent is None and a.alive]
        return (*found, self.orphan) if self.orphan else tuple(found)
