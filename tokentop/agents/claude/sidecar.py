"""The small JSON file beside each Claude Code sub-agent transcript: what it is for and who started it. Pure."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from tokentop.agents.base import LogFile
from tokentop.agents.decoding import decode, unparsed
from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Role, Session
from tokentop.text import clean, title

from .content import AGENT_ID


class _SubAgent(Struct):
    agentType: str | None = None
    description: str | None = None
    toolUseId: str | None = None
    parentAgentId: str | None = None
    spawnDepth: int | None = None
    finished: bool | None = None
    model: str | None = None


_SUB_AGENT = msgspec.json.Decoder(_SubAgent)


def read_sub_agent(file: LogFile, data: bytes) -> list[Fact]:
    """Facts of `<session id>/subagents/**/agent-<id>.meta.json`.

    Without `parentAgentId` (before 2.1.3xx) the parent of a nested agent is whoever made the tool call.
    """
    if "subagents" not in file.parents:
        return []
    root = file.parents[file.parents.index("subagents") - 1]
    agent_id = file.stem.removeprefix("agent-")
    about = decode(data, _SUB_AGENT)
    if about is None:
        return [unparsed(AGENT_ID)]
    nested = (about.spawnDepth or 1) > 1
    parent = f"{root}/{about.parentAgentId}" if about.parentAgentId else root
    words = [part for part in (about.agentType, about.description) if part]
    return [
        Session(
            AGENT_ID, f"{root}/{agent_id}", parent_id=clean(parent, 200), root_id=root, role=Role.SUB_AGENT,
            title=title(": ".join(words)), title_rank=3, model=clean(about.model or "", 100),
            tool_use_id=clean(about.toolUseId or "", 100) if nested and not about.parentAgentId else "",
        )
    ]  # fmt: skip
