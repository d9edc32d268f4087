"""Sessions: what they are, what moves their status, how full their context is."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


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
