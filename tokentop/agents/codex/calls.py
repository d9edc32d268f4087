"""The request in flight and the running tools of one rollout, as far as its lines tell. Pure.

A rollout has no record of a request: one goes out when a turn starts, and again when the last tool output
of a step is there. It is answered when its usage is written: by the `token_usage_record` in front of the
outputs, or in older logs by the `token_count` behind them.
"""

from __future__ import annotations

from msgspec import Struct

_TOOLS = 64  # tools of one step that are remembered


class Calls(Struct):
    """Plain data, kept with the decoder's state. A call id is the same whoever reads the line."""

    call: str = ""  # the open request, "" = none
    tools: dict[str, str] = {}  # running tools: call id -> name
    asks: bool = False  # all outputs of the step are there, its usage is not

    @property
    def tool(self) -> str:
        """The first of the running tools, "" = none."""
        return next(iter(self.tools.values()), "")

    def send(self, call: str) -> str:
        self.call, self.asks = call, False
        return call

    def start_tool(self, tool_id: str, name: str) -> None:
        """A tool of the provider (web search) has no id and no output: it is a part of the request."""
        if tool_id and len(self.tools) < _TOOLS:
            self.tools[tool_id] = name

    def end_tool(self, tool_id: str, call: str) -> str:
        """Return `call` if the next request goes out now, "" if something of this step is missing."""
        self.tools.pop(tool_id, None)
        if self.tools:
            return ""
        if self.call:
            self.asks = True
            return ""
        return self.send(call)

    def answer(self, call: str) -> tuple[str, str]:
        """The usage is there: return the ended request and the next one (`call`) if that goes out now."""
        ended, asks = self.call, self.asks and not self.tools
        self.call = ""
        return ended, self.send(call) if asks else ""

    def end(self) -> str:
        """The turn is over, or its lines were not followed: return the request that was open."""
        ended = self.call
        self.call, self.asks = "", False
        self.tools.clear()
        return ended
