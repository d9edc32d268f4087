"""Carries out a plan and says what happened: verified afterwards, never assumed.

The agent's leaf goes first: if a tool went first, the agent would see a failed tool and go on spending.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Collection, Sequence

from tokentop.agents.processes import Processes
from tokentop.nouns.actions import Action, KillPlan, Receipt, Rung, receipt_of
from tokentop.nouns.processes import Ident, ProcRole
from tokentop.procs.ladder import KEYS, STOP_COMMAND, TURN_INTERRUPT
from tokentop.procs.leftovers import Leftovers
from tokentop.procs.never import read_own, why_never
from tokentop.procs.probe import GONE, SENT, Handle, Probe, default_probe, wait_until
from tokentop.procs.sweep import Sweep
from tokentop.procs.table import program_of

WRAPPER_S = 1.0
RESPAWN_S = 2.5
RESTART_S = 1.0  # a loop that nobody knows of
STORM_LOOK_S = 0.05
STORM_PROCESSES = 3


def execute(
    plan: KillPlan,
    *,
    now_ms: Callable[[], int],
    reason: str = "manual",
    agents: Sequence[Processes] = (),
    probe: Probe | None = None,
) -> Receipt:
    """Carry out `plan`; blocks until it is verified, at most about half a minute.

    `agents` lets the sweep recognise a shared service that started after the plan was made. Results:
    ended, already gone, still alive, respawned, refused, failed, interrupted, requested,
    frozen, thawed.
    """
    return _Execution(plan, now_ms, reason, agents, probe or default_probe()).run()


class _Execution:
    def __init__(
        self,
        plan: KillPlan,
        now_ms: Callable[[], int],
        reason: str,
        agents: Sequence[Processes],
        probe: Probe,
    ) -> None:
        self._plan, self._now_ms, self._reason, self._probe = plan, now_ms, reason, probe
        self._at_ms = now_ms()
        self._begin_s = time.monotonic()
        self._rungs: list[Rung] = []
        self._ended: list[int] = []
        self._survivors: list[int] = []
        self._left: tuple[Ident, ...] = ()
        self._notes: list[str] = []
        self._own = read_own(probe, probe.brief)
        self._sweep = Sweep(plan, probe, self._own, agents, self._note)
        self._tools = Leftovers(plan, probe, self._own, agents, self._note)

    def run(self) -> Receipt:
        plan = self._plan
        if plan.refusal:
            return self._receipt("refused", plan.refusal)
        if plan.rungs and plan.rungs[0][0] == TURN_INTERRUPT:
            return self._interrupt_turn()
        if plan.target is None:
            return self._receipt("refused", "the plan names no process")
        why = why_never(plan.target, self._own, self._probe.brief, self._probe)
        if why:
            return self._receipt("refused", why)
        handle = self._probe.open(plan.target)
        if handle is None:
            return self._already_gone()
        try:
            return self._act(handle)
        finally:
            handle.close()

    def _act(self, handle: Handle) -> Receipt:
        name = self._plan.rungs[0][0] if self._plan.rungs else ""
        if name == KEYS:
            return self._press_keys()
        if name == STOP_COMMAND:
            return self._stop_supervised(handle)
        if self._plan.action in (Action.FREEZE, Action.THAW):
            return self._freeze_or_thaw(handle)
        return self._end(handle, self._plan.rungs)

    def _interrupt_turn(self) -> Receipt:
        """A turn in a shared daemon: asked over its socket, never by a signal to it."""
        from tokentop.procs.codex_rpc import RpcError, interrupt_turn

        plan = self._plan
        daemon_pid = plan.means.daemon.pid if plan.means.daemon else 0
        if plan.turn_only:
            self._tools.record()
        try:
            turn_id = interrupt_turn(plan.means.control_socket, plan.session_id, plan.rungs[0][1])
        except RpcError as error:
            self._note(daemon_pid, TURN_INTERRUPT, f"refused: {error}")
            return self._receipt("failed", f"{error}; no signal was sent")
        self._note(daemon_pid, TURN_INTERRUPT, SENT if turn_id else "no turn was running")
        self._notes.append("the turn was interrupted" if turn_id else "no turn was running")
        if plan.turn_only:
            self._finish_turn(stopped=bool(turn_id))
            return self._receipt("interrupted" if turn_id else "already gone")
        rungs = plan.rungs[1:]
        handle = self._probe.open(plan.target) if plan.target and rungs else None
        if handle is None:
            self._finish_sweep()
            if turn_id or self._ended:
                return self._receipt("interrupted" if turn_id else "ended")
            if plan.target is None:
                return self._receipt("refused", "it has no process of its own: nothing to end")
            return self._receipt("already gone")
        try:
            why = why_never(plan.target, self._own, self._probe.brief, self._probe) if plan.target else ""
            return self._receipt("interrupted", why) if why else self._end(handle, rungs)
        finally:
            handle.close()

    def _press_keys(self) -> Receipt:
        from tokentop.procs.requests import RequestError, send_keys

        self._tools.record()
        try:
            send_keys(self._plan.means)
        except RequestError as error:
            return self._receipt("refused", str(error))
        self._note(self._target.pid, " ".join(self._plan.means.keys), SENT)
        self._finish_turn(stopped=True)
        return self._receipt(
            "requested", "the key was sent to its pane; its status shows when the turn has stopped"
        )

    def _finish_turn(self, *, stopped: bool) -> None:
        """End what the stopped turn has left behind; where none ran, say what runs."""
        tools = self._tools
        if stopped:
            tools.settle()
        else:
            tools.leave()
        alive = tools.end() if tools.left else []
        self._ended += tools.ended_pids
        self._left = (*alive, *tools.background)
        self._survivors += [ident.pid for ident in self._left]
        self._notes += tools.in_words(alive)
        self._notes += [f"left alone: pid {pid} ({why})" for pid, why in tools.skipped.items()]

    def _stop_supervised(self, handle: Handle) -> Receipt:
        from tokentop.procs.requests import RequestError, run_stop_command

        name, grace_s = self._plan.rungs[0]
        try:
            run_stop_command(self._plan.means, grace_s)
        except RequestError as error:
            self._note(self._target.pid, name, f"refused: {error}")
            return self._receipt("failed", f"{error}; no signal was sent")
        self._note(self._target.pid, name, SENT)
        if not handle.wait(grace_s):
            return self._receipt("still alive", "the stop command was accepted but its process lives on")
        self._ended.append(self._target.pid)
        self._finish_sweep()
        return self._receipt("ended")

    def _freeze_or_thaw(self, handle: Handle) -> Receipt:
        freeze = self._plan.action is Action.FREEZE
        number = signal.SIGSTOP if freeze else signal.SIGCONT
        result = self._send(handle, number)
        if result != SENT:
            return self._receipt("already gone" if result == GONE else "refused", result)
        done = wait_until(lambda: (self._state() in "Tt") is freeze, self._plan.rungs[0][1])
        if not done:
            return self._receipt("failed", f"its state is {self._state()} still")
        return self._receipt("frozen" if freeze else "thawed")

    def _end(self, handle: Handle, rungs: Sequence[tuple[str, float]]) -> Receipt:
        self._sweep.look()  # descendants lose their parent with the first signal
        watch_s, before = self._may_respawn(), self._probe.snapshot().keys()
        self._calm_storm(handle)
        for name, grace_s in rungs:
            number = signal.Signals[f"SIG{name}"]
            result = self._send(handle, number)
            if result.startswith("refused"):
                return self._receipt("refused", result)
            if number != signal.SIGKILL and self._state() in "Tt":
                self._send(handle, signal.SIGCONT)  # a stopped process takes the signal only when it goes on
            if result == GONE or handle.wait(grace_s):
                break
        if not handle.wait(0):
            self._survivors.append(self._target.pid)
            asleep = "; it is in uninterruptible sleep (D)" if self._state() == "D" else ""
            return self._receipt("still alive", f"it did not end within the grace periods{asleep}")
        self._ended.append(self._target.pid)
        self._end_wrappers()
        self._finish_sweep()
        reborn = self._respawned(watch_s, before)
        if reborn:
            who = "its supervisor" if self._plan.means.supervised else "something"
            return self._receipt("respawned", f"{who} started it again as pid {reborn}")
        return self._receipt("ended")

    def _calm_storm(self, handle: Handle) -> None:
        """An agent that forks without end is stopped while its tree is recorded, then goes on to die."""
        before = {ident.pid for ident in self._sweep.look()}
        time.sleep(STORM_LOOK_S)
        fresh = [ident for ident in self._sweep.look() if ident.pid not in before]
        if len(fresh) < STORM_PROCESSES:
            return
        self._notes.append("it was forking without end, so it was stopped first")
        if self._send(handle, signal.SIGSTOP) == SENT:
            wait_until(lambda: self._state() in "Tt", 0.5)
            self._sweep.look()

    def _already_gone(self) -> Receipt:
        """No signal to whoever has the pid now; what the agent left behind is still to be ended."""
        now = self._probe.ident(self._target.pid)
        if now is not None and now.start_ticks == self._target.start_ticks:
            return self._receipt(
                "refused", "it runs another program or as another user since the plan was made"
            )
        if self._plan.action in (Action.TERMINATE, Action.KILL):
            self._end_wrappers()
            self._finish_sweep()
        taken = f"; pid {self._target.pid} is another process now, which was left alone" if now else ""
        return self._receipt("already gone", f"its process had ended before the first signal{taken}")

    def _end_wrappers(self) -> None:
        wrappers = [planned.ident for planned in self._plan.tree if planned.role is ProcRole.WRAPPER]
        if self._plan.wrapper and self._plan.wrapper not in wrappers:
            wrappers.insert(0, self._plan.wrapper)
        for ident in wrappers:
            handle = self._probe.open(ident)
            if handle is None:
                now = self._probe.ident(ident.pid)
                if now is None or now.start_ticks != ident.start_ticks:
                    self._ended.append(ident.pid)  # it followed its worker
                else:
                    self._notes.append(f"left alone: pid {ident.pid} (it runs another program now)")
                continue
            why = why_never(ident, self._own, self._probe.brief, self._probe)
            gone = handle.wait(WRAPPER_S)
            for number, grace_s in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 2.0)):
                if not gone and not why:
                    self._note(ident.pid, number.name.removeprefix("SIG"), handle.send(number))
                    gone = handle.wait(grace_s)
            (self._ended if gone else self._survivors).append(ident.pid)
            handle.close()

    def _finish_sweep(self) -> None:
        left = self._sweep.end()
        self._ended += [pid for pid in self._sweep.ended if pid not in self._ended]
        self._survivors += [ident.pid for ident in left]
        for pid, why in self._sweep.skipped.items():
            self._notes.append(f"left alone: pid {pid} ({why})")

    def _may_respawn(self) -> float:
        """How long to watch for the same session after the end: where it would be known again by its arguments."""
        if self._plan.means.supervised:
            return RESPAWN_S
        session_id = self._plan.session_id
        return RESTART_S if session_id and session_id in self._probe.argv(self._target.pid) else 0.0

    def _respawned(self, watch_s: float, before: Collection[int]) -> int:
        """The pid of the same session's new process, where something started it again; 0 = none."""
        end_s = time.monotonic() + watch_s
        while time.monotonic() < end_s:
            for pid, brief in self._probe.snapshot().items():
                if pid in before or brief.state in "ZX" or brief.start_ticks < self._target.start_ticks:
                    continue
                argv = self._probe.argv(pid)
                if self._plan.session_id in argv and program_of(argv) == self._target.argv0:
                    return pid
            time.sleep(0.1)
        return 0

    @property
    def _target(self) -> Ident:
        assert self._plan.target is not None
        return self._plan.target

    def _state(self) -> str:
        brief = self._probe.snapshot().get(self._target.pid)
        return brief.state if brief else "X"

    def _send(self, handle: Handle, number: signal.Signals) -> str:
        result = handle.send(number)
        self._note(self._target.pid, number.name.removeprefix("SIG"), result)
        return result

    def _note(self, pid: int, name: str, result: str) -> None:
        self._rungs.append(Rung(pid, name, self._now_ms(), result))

    def _receipt(self, result: str, detail: str = "") -> Receipt:
        return receipt_of(
            self._plan,
            self._at_ms,
            self._reason,
            result,
            "; ".join(filter(None, (detail, *self._notes))),
            rungs=tuple(self._rungs),
            ended_pids=tuple(self._ended),
            survivors=tuple(self._survivors),
            took_ms=round((time.monotonic() - self._begin_s) * 1000),
            left_behind=self._left,
        )
