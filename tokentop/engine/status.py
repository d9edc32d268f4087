"""The status of a session, from the evidence at hand. Pure.

Evidence in falling order: a stopped process; the agent's own live state; an open call or turn in the
log; the log's tail; a running tool. What the log leaves open counts only while its process lives: it
stays open after a SIGKILL.
"""

from __future__ import annotations

from msgspec import Struct

from tokentop.nouns.picture import Status
from tokentop.nouns.processes import AgentProc, ChildProc
from tokentop.nouns.sessions import Activity, State

PROMPT_AFTER_MS = 3_000  # an unanswered tool call without a child or growth is a permission prompt
QUIET_MS = 120_000  # a log without a process that grew this recently is probably still being written
LOG_ONLY_MS = 900_000  # a log without a process counts as a running agent for this long
HELPER_MS = 2_000  # agents that start ask git, ps and others: without a log only what goes on is a tool
TOOL_SLACK_MS = 1_000  # some agents log an answer without a word of the tools that it asks for
START_SLACK_MS = 5_000  # a log may open its turn a little before the process table shows the start
_OPEN = frozenset({State.WORKING, State.TOOL})
_DELEGATES = frozenset({"task", "agent"})


class Evidence(Struct, frozen=True):
    """All that is known about one session at one moment."""

    proc: AgentProc | None = None  # alive and verified; for a sub-agent the process of its root
    owns_proc: bool = True  # `proc.state` speaks of this session (not of its root, not of a daemon)
    ended_ms: int = 0  # when its process was seen to be gone; 0 = none was ever seen
    frozen_since_ms: int = 0
    last: Activity | None = None  # newest record that moves the status
    open_call: Activity | None = None  # a call in the log without an end
    limited: Activity | None = None  # refused for a limit, no successful call since
    record_ms: int = 0  # newest record of any kind
    tool_child: ChildProc | None = None
    other_tools: bool = False  # its daemon runs tools, of this session or of another
    sub_agent: bool = False
    working_below: int = 0


def judge(evidence: Evidence, now_ms: int) -> Status:
    """Return the status; `source` and `since_ms` are always set and `since_ms` is never in the future."""
    status = _judge(evidence, now_ms)
    proc = evidence.proc
    since = status.since_ms or evidence.record_ms or (proc.started_ms if proc else 0) or now_ms
    detail = status.detail
    if status.state is State.ERROR and not detail:
        detail = "the log gives no reason"
    return Status(status.state, detail, status.source or "none", min(since, now_ms), status.inferred)


def _judge(e: Evidence, now_ms: int) -> Status:
    if e.proc is None:
        return _gone(e, now_ms)
    if e.proc.run_state in {"T", "t"}:
        return Status(State.FROZEN, "", "process", e.frozen_since_ms)
    if e.limited is not None and not _waits(e):
        return Status(State.LIMITED, e.limited.detail, "log", e.limited.at_ms)
    if e.owns_proc and e.proc.state is not None:
        return _reported(e, e.proc, e.proc.state)
    return _from_log(e, e.proc, now_ms)


def _waits(e: Evidence) -> bool:
    """The agent itself says that a human must answer: more urgent than a limit."""
    return e.owns_proc and e.proc is not None and e.proc.state in {State.PERMISSION, State.INPUT}


def _reported(e: Evidence, proc: AgentProc, state: State) -> Status:
    source = proc.state_source or "registry"
    since = proc.state_since_ms
    if state in _OPEN:
        return _reported_busy(e, proc, source)
    if state is State.IDLE:
        if e.last is not None and e.last.state is State.ERROR:
            return Status(State.ERROR, e.last.detail, "log", e.last.at_ms)
        if e.working_below:
            return Status(State.WORKING, _below(e), "log", since)
        if proc.one_shot:
            return Status(State.WORKING, "", "process", since)
    if state is State.PERMISSION and e.last is not None and e.last.state is State.TOOL:
        asked = ": ".join(x for x in (e.last.tool, e.last.detail) if x)
        return Status(state, asked or proc.state_detail, source, since)
    return Status(state, proc.state_detail, source, since)


def _reported_busy(e: Evidence, proc: AgentProc, source: str) -> Status:
    """Busy is thinking or a tool: the log's tail names the tool, else a running child does."""
    since = proc.state_since_ms
    last = e.last
    calling = e.open_call is not None and (last is None or e.open_call.at_ms >= last.at_ms)
    if last is not None and last.state is State.TOOL and not calling:
        if e.working_below and last.tool.lower() in _DELEGATES:
            return Status(State.WORKING, _below(e), source, since)
        return Status(State.TOOL, last.tool or last.detail, source, max(since, last.at_ms))
    if e.tool_child is not None and not calling:
        return Status(State.TOOL, command_name(e.tool_child.command), "process", e.tool_child.started_ms)
    detail = proc.state_detail or (_below(e) if e.working_below else "")
    return Status(State.WORKING, detail, source, since)


def _from_log(e: Evidence, proc: AgentProc, now_ms: int) -> Status:
    last = e.last
    started = proc.started_ms - START_SLACK_MS
    call = e.open_call
    in_tool = call is not None and last is not None and last.state is State.TOOL and last.at_ms > call.at_ms
    if call is not None and call.at_ms >= started and not in_tool:
        return Status(State.WORKING, "", "log", call.at_ms)
    if last is None:
        return _without_tail(e, proc, now_ms)
    if last.state in _OPEN and last.at_ms < started:
        # The turn was open when an earlier process of this session died; this one was resumed later.
        return _rests(e, proc, Status(State.IDLE, "", "log", proc.started_ms, inferred=True))
    if last.state is State.TOOL:
        return _tool(e, proc, last, now_ms)
    if last.state in {State.IDLE, State.DONE}:
        return _rests(e, proc, Status(last.state, last.detail, "log", last.at_ms))
    return Status(last.state, last.detail, "log", last.at_ms)


def _tool(e: Evidence, proc: AgentProc, last: Activity, now_ms: int) -> Status:
    if e.working_below:
        return Status(State.WORKING, _below(e), "log", last.at_ms)
    running = Status(State.TOOL, last.tool or last.detail, "log", last.at_ms)
    asks = not proc.one_shot and (e.owns_proc or proc.state is None)
    quiet_ms = now_ms - max(last.at_ms, e.record_ms)
    no_tool = e.tool_child is None and not e.other_tools
    if no_tool and asks and quiet_ms > PROMPT_AFTER_MS:
        return Status(State.PERMISSION, last.tool or last.detail, "log", last.at_ms, inferred=True)
    return running


def _rests(e: Evidence, proc: AgentProc, status: Status) -> Status:
    if e.working_below:
        return Status(State.WORKING, _below(e), "log", status.since_ms)
    if e.sub_agent:
        return Status(State.DONE, status.detail, status.source, status.since_ms, status.inferred)
    tool = e.tool_child
    if tool is not None and tool.started_ms >= status.since_ms - TOOL_SLACK_MS:
        return Status(State.TOOL, command_name(tool.command), "process", tool.started_ms)
    if proc.one_shot:
        return Status(State.WORKING, "", "process", status.since_ms)
    if status.state is State.DONE:  # its log says ended, its process lives
        return Status(State.IDLE, status.detail, status.source, status.since_ms, inferred=True)
    return status


def _without_tail(e: Evidence, proc: AgentProc, now_ms: int) -> Status:
    child = e.tool_child
    if child is not None and now_ms - child.started_ms >= HELPER_MS:
        return Status(State.TOOL, command_name(child.command), "process", child.started_ms)
    if e.working_below:
        return Status(State.WORKING, _below(e), "log")
    if proc.one_shot:
        return Status(State.WORKING, "", "process", proc.started_ms)
    if e.record_ms and now_ms - e.record_ms > QUIET_MS:
        # Its records were read by an earlier run of ours; alive, no tool, long quiet: most likely it rests.
        return Status(State.IDLE, "", "log", e.record_ms, inferred=True)
    return Status(State.UNKNOWN, "no log yet" if not e.record_ms else "", "none")


def _gone(e: Evidence, now_ms: int) -> Status:
    last = e.last
    is_open = e.open_call is not None or (last is not None and last.state in _OPEN)
    if e.ended_ms:
        return Status(State.DONE, "ended in the middle of a turn" if is_open else "", "process", e.ended_ms)
    age_ms = now_ms - e.record_ms
    if age_ms >= LOG_ONLY_MS or (is_open and age_ms >= QUIET_MS):
        return Status(State.DONE, "no sign of life", "log", e.record_ms, inferred=True)
    if e.limited is not None:
        return Status(State.LIMITED, e.limited.detail, "log", e.limited.at_ms, inferred=True)
    if e.open_call is not None:
        return Status(State.WORKING, "", "log", e.open_call.at_ms, inferred=True)
    if last is None:
        return Status(State.UNKNOWN, "", "log", e.record_ms, inferred=True)
    if e.working_below and last.state is State.IDLE:
        return Status(State.WORKING, _below(e), "log", last.at_ms, inferred=True)
    done = e.sub_agent and last.state is State.IDLE
    state = State.DONE if done else last.state
    return Status(state, last.tool or last.detail, "log", last.at_ms, inferred=True)


def _below(e: Evidence) -> str:
    return f"{e.working_below} sub-agent" + ("s" if e.working_below > 1 else "")


def command_name(command: str) -> str:
    """Return the bare name of a command: `/usr/bin/python3 -m pytest` -> `pytest`, else `python3`."""
    words = command.split()
    if not words:
        return ""
    name = words[0].rsplit("/", 1)[-1]
    if name.startswith("python") and len(words) > 2 and words[1] == "-m":
        return words[2]
    return name
