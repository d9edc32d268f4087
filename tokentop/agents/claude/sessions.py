"""Which session a line of a transcript belongs to, and what the line says of it. Pure."""

from __future__ import annotations

from msgspec import Struct

from tokentop.agents.base import LogFile
from tokentop.agents.decoding import identifier
from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Role, Session
from tokentop.text import clean, title

from .content import AGENT_ID
from .records import Line, Meta

_FIRST_EXACT_VERSION = (2, 1, 138)  # before it, lines of a response may hold only a part of its output


class Memory(Struct, omit_defaults=True):
    """Decoder state between slices and restarts: plain data."""

    session_id: str = ""
    first_ms: int = 0
    newest_ms: int = 0
    totals: int = 0  # cost-state lines so far
    titled: int = 0  # rank of the title so far
    told: tuple[str, ...] = ()  # what was last said of the session
    copied_to_ms: int = 0
    parent_id: str = ""
    own_call: bool = False
    open_calls: dict[str, int] = {}
    answered: tuple[str, int] = ("", 0)  # the last call that was answered, and its start


class Sessions:
    """The sessions of one transcript; what is new about one is added to `facts`."""

    def __init__(self, file: LogFile, memory: Memory, facts: list[Fact]) -> None:
        self.owner_id = ""  # of the line before
        self.sub_file = file.stem.startswith("agent-")
        self.exact = _is_exact(memory.told[3] if memory.told else "")
        self._file = file
        self._memory = memory
        self._facts = facts
        self._who: tuple[object, ...] = ()  # who wrote the line before, as logged

    def of(self, record: Line, at_ms: int) -> str:
        """The session that owns the line; says what is new about it."""
        who = (
            record.sessionId, record.requestSessionId, record.agentId, record.isSidechain, record.cwd,
            record.gitBranch, record.version,
        )  # fmt: skip
        if who == self._who and not record.requestSessionId:
            return self.owner_id
        self._who = who
        memory = self._memory
        named = self.named(record)
        original = identifier(record.requestSessionId)
        if original and original != named:
            # A fork copies its parent's lines and stamps them with the session that made the call.
            if not memory.own_call:
                memory.parent_id = original
                memory.copied_to_ms = max(memory.copied_to_ms, at_ms)
            self.tell(named, record)
            return original
        agent_id = identifier(record.agentId) or (self._file.stem[6:] if self.sub_file else "")
        self.owner_id = f"{named}/{agent_id}" if record.isSidechain and agent_id else named
        self.tell(self.owner_id, record)
        return self.owner_id

    def tell(self, session_id: str, record: Line | Meta) -> None:
        """Add what the line says of its session, where that is new."""
        memory = self._memory
        said = (
            session_id, record.cwd or "", record.gitBranch or "", record.version or "",
            memory.parent_id, str(memory.copied_to_ms),
        )  # fmt: skip
        if said == memory.told:
            return
        memory.told = said
        memory.session_id = session_id
        root, _, sub = session_id.partition("/")
        parent = root if sub and not self._in_folder() else memory.parent_id
        self._facts.append(
            Session(
                agent=AGENT_ID, id=session_id, parent_id=parent, root_id=root,
                role=Role.SUB_AGENT if sub else Role.FORK if memory.parent_id else Role.MAIN,
                cwd=clean(record.cwd or "", 400), branch=clean(record.gitBranch or "", 100),
                first_ms=memory.first_ms, version=clean(record.version or "", 20),
                surface=clean(record.entrypoint or "", 20), log_path=self._file.path,
                forked_at_ms=memory.copied_to_ms,
            )
        )  # fmt: skip
        self.exact = _is_exact(record.version or "")

    def _in_folder(self) -> bool:
        """True where a `.meta.json` beside the file names the sub-agent's parent."""
        return "subagents" in self._file.parents

    def titled(self, record: Meta, rank: int, text: str) -> None:
        """Tell a title; one of a lower rank than the last one is passed over."""
        if rank >= self._memory.titled:
            self._memory.titled = rank
            self._facts.append(Session(AGENT_ID, self.named(record), title=title(text), title_rank=rank))

    def named(self, record: Line | Meta) -> str:
        """The session that the line names, a sub-agent's lines their root."""
        return identifier(record.sessionId) or self._file.stem

    def of_meta(self, record: Meta) -> str:
        """The session that owns a line without usage."""
        named = self.named(record)
        agent_id = identifier(record.agentId) or (self._file.stem[6:] if self.sub_file else "")
        return f"{named}/{agent_id}" if agent_id else named


def _is_exact(version: str) -> bool:
    """Whether every line of a response holds its final usage; true as well where the version is not known."""
    parts = version.split(".")[:3]
    known = len(parts) == 3 and all(part.isdecimal() and len(part) < 10 for part in parts)
    return not known or tuple(map(int, parts)) >= _FIRST_EXACT_VERSION
