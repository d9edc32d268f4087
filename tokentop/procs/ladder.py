"""Which signals or requests an action on an agent takes, in order, or why it is not possible. Pure."""

from __future__ import annotations

from msgspec import Struct

from tokentop.agents.processes import Processes
from tokentop.nouns.actions import Action, Means
from tokentop.nouns.processes import AgentProc

TURN_INTERRUPT = "turn/interrupt"
TURN_INTERRUPT_S = 6.0
KEYS = "keys"
STOP_COMMAND = "stop command"
SINGLE = (("TERM", 2.0), ("KILL", 2.0))

Rungs = tuple[tuple[str, float], ...]


class Case(Struct, frozen=True):
    """One agent process as the choice sees it. `daemon` owns its turns, if there is one."""

    agent: AgentProc
    spec: Processes
    state: str
    daemon: AgentProc | None
    supervised: bool
    force: bool


class Choice(Struct, frozen=True):
    rungs: Rungs = ()
    refusal: str = ""
    warning: str = ""


def choose(case: Case, action: Action) -> Choice:
    if action is Action.THAW and case.state not in "Tt":
        return Choice(refusal="it is not frozen")
    if action is Action.FREEZE and case.state in "Tt":
        return Choice(refusal="it is frozen already")
    if case.supervised:
        return _supervised(case, action)
    if case.daemon is not None:
        return _in_daemon(case, action, case.daemon)
    match action:
        case Action.FREEZE:
            return Choice(
                (("STOP", 1.0),), warning="its tools keep running; the response in flight may still be billed"
            )
        case Action.THAW:
            return Choice(
                (("CONT", 1.0),), warning="started from a shell it comes back as a background job: type fg"
            )
        case Action.INTERRUPT:
            return _interrupt(case)
        case Action.KILL:
            return Choice((("KILL", 2.0),), warning="nothing is saved; its tools are ended afterwards")
        case Action.TERMINATE:
            return Choice(case.spec.one_shot_ladder if case.agent.one_shot else case.spec.ladder)


def _interrupt(case: Case) -> Choice:
    if case.agent.one_shot:
        return _interrupt_one_shot(case.spec.one_shot_ladder)
    if not case.spec.interrupt_keys:
        return Choice(
            refusal=f"no way is known to stop a turn of {case.spec.label} and keep it running: terminate it instead"
        )
    if not case.agent.tmux:
        keys = " ".join(case.spec.interrupt_keys)
        return Choice(
            refusal=f"not in tmux: press {keys} in its terminal ({case.agent.tty or 'no terminal'})"
        )
    return Choice(((KEYS, 5.0),))


def _interrupt_one_shot(ladder: Rungs) -> Choice:
    """Its turn is all that it does. Where INT is what lets it write its end, it gets that and nothing harder."""
    if ladder[0][0] == "INT":
        return Choice(ladder[:1], warning="a one-shot run ends with its turn; INT lets it write what it has")
    return Choice(refusal="a one-shot run has no turn to stop without ending it: terminate it instead")


def way(rungs: Rungs, means: Means, pid: int) -> str:
    """How a plan is carried out, in words, "" = not at all."""
    words = []
    for name, _ in rungs:
        if name == TURN_INTERRUPT:
            words.append(
                f"turn/interrupt over the control socket of daemon {means.daemon.pid if means.daemon else '?'}"
            )
        elif name == KEYS:
            pane = means.tmux.rpartition(",")[2]
            words.append(f"{' '.join(means.keys)} into its own tmux pane {pane} ({means.tty})")
        elif name == STOP_COMMAND:
            program = means.stop_argv[-3:] if len(means.stop_argv) > 3 else means.stop_argv
            words.append(f"its own command `{' '.join(program)}`")
        else:
            words.append(f"SIG{name} to pid {pid}" if not words else f"SIG{name}")
    return ", then ".join(words)


def _supervised(case: Case, action: Action) -> Choice:
    if case.force and action in (Action.TERMINATE, Action.KILL):
        rungs = SINGLE if action is Action.TERMINATE else SINGLE[1:]
        return Choice(rungs, warning="its supervisor will start it again")
    if action in (Action.FREEZE, Action.THAW):
        return Choice(refusal="a supervisor watches it: terminate it instead")
    if action is Action.KILL:
        return Choice(
            refusal="its supervisor would start it again: terminate uses the agent's own stop command"
        )
    if not case.agent.background_id:
        return Choice(refusal="a supervisor runs it, and its id for the stop command is not known")
    return Choice(((STOP_COMMAND, case.spec.stop_grace_s),))


def _in_daemon(case: Case, action: Action, daemon: AgentProc) -> Choice:
    """The process is only a screen: its turns run in the daemon and go on without it."""
    count = len(daemon.shared_session_ids)
    turn = ((TURN_INTERRUPT, TURN_INTERRUPT_S),)
    if action in (Action.FREEZE, Action.THAW):
        return Choice(refusal="its turn runs in the shared daemon: interrupt it instead")
    if not case.agent.session_id:
        if case.force and action in (Action.TERMINATE, Action.KILL):
            rungs = case.spec.ladder if action is Action.TERMINATE else case.spec.ladder[-1:]
            return Choice(rungs, warning="ends the screen only; a turn in the daemon goes on")
        text = f"which of the {count} sessions in the shared daemon it shows is not known"
        return Choice(refusal=f"{text}: stop the session instead")
    if action is Action.INTERRUPT:
        return Choice(turn)
    return Choice(turn + (case.spec.ladder if action is Action.TERMINATE else case.spec.ladder[-1:]))
