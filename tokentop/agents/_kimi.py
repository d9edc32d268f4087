"""What the wires of Kimi CLI and of Kimi Code share: a record a line, requests and tools that open and end. Pure."""

from __future__ import annotations

from msgspec import Struct

from tokentop.nouns.sessions import Activity, State

from .decoding import objects

_TOOLS = 64  # running tools that are remembered


class Turn(Struct):
    """The open request and the running tools of one wire: plain data."""

    call: str = ""
    tools: dict[str, str] = {}  # call id -> name

    @property
    def tool(self) -> str:
        return next(iter(self.tools.values()), "")

    def sends(self, agent: str, session_id: str, at_ms: int, call: str) -> Activity:
        self.call = call
        self.tools.clear()
        return Activity(agent, session_id, at_ms, State.WORKING, call_id=call)

    def answered(self, agent: str, session_id: str, at_ms: int) -> Activity:
        ended, self.call = self.call, ""
        state = State.TOOL if self.tools else State.WORKING
        return Activity(agent, session_id, at_ms, state, self.tool, ends_call=ended)

    def starts_tool(self, agent: str, session_id: str, at_ms: int, tool_id: str, name: str) -> Activity:
        if len(self.tools) < _TOOLS:
            self.tools[tool_id] = name
        return Activity(agent, session_id, at_ms, State.TOOL, name)

    def ends_tool(self, agent: str, session_id: str, at_ms: int, tool_id: str) -> Activity:
        self.tools.pop(tool_id, None)
        state = State.TOOL if self.tools else State.WORKING
        return Activity(agent, session_id, at_ms, state, self.tool)

    def ends(self, agent: str, session_id: str, at_ms: int, state: State, detail: str = "") -> Activity:
        """The turn is over; a request that is still open was cut off."""
        lost, self.call = self.call, ""
        self.tools.clear()
        return Activity(agent, session_id, at_ms, state, "", detail, lost_call=lost)


def prompt_text(value: object) -> str:
    """What a person typed: a text, or parts of which the first text counts."""
    if isinstance(value, str):
        return value.strip()
    parts = (part.get("text") for part in objects(value))
    return next((part.strip() for part in parts if isinstance(part, str) and part.strip()), "")
