"""The requests in flight and the running tools of one session, by sub-agent ("" = the main one). Pure."""

from __future__ import annotations

from msgspec import Struct

_MAX_OPEN = 64


class Calls(Struct):
    """Plain data, kept with the decoder's state."""

    calls: dict[str, tuple[str, int]] = {}  # open request by sub-agent: its id and start
    goes_on: dict[str, bool] = {}  # whether the last answer asked for a tool, by sub-agent
    tools: dict[str, tuple[str, str]] = {}  # running: sub-agent and name, by call

    def send(self, agent: str, call: str, at_ms: int) -> None:
        if len(self.calls) < _MAX_OPEN:
            self.calls[agent] = (call, at_ms)

    def take(self, agent: str) -> tuple[str, int]:
        """The open request of a sub-agent with its start, which is open no more; ("", 0) = there is none."""
        return self.calls.pop(agent, ("", 0))

    def answered(self, agent: str, *, goes_on: bool) -> None:
        """What the last answer was: whether it asked for a tool."""
        if agent in self.goes_on or len(self.goes_on) < _MAX_OPEN:
            self.goes_on[agent] = goes_on

    def end_turn(self, agent: str) -> bool:
        """Whether another turn follows: its last request is answered, and the answer asked for a tool."""
        if not agent:
            self.tools.clear()
        return self.goes_on.get(agent, False) and agent not in self.calls

    def start_tool(self, agent: str, tool_id: str, name: str) -> None:
        if len(self.tools) < _MAX_OPEN:
            self.tools[tool_id] = (agent, name)

    def running(self, agent: str) -> str:
        """The first of a sub-agent's running tools, "" = none."""
        return next((name for owner, name in self.tools.values() if owner == agent), "")
