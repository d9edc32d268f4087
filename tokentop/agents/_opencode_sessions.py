"""The sessions of a database of OpenCode or Kilo. Pure."""

from __future__ import annotations

import json
from binascii import crc32
from collections.abc import Iterable

import msgspec

from tokentop.nouns.facts import Fact

from . import _opencode_records as records
from ._opencode_records import About
from ._opencode_rows import V1, V2
from .base import Ask
from .decoding import epoch_ms, identifier, record

_RECENT_SESSIONS = 12  # whose rows are read again each time: a title comes late, and leaves no other trace
_SESSION = (
    "id", "parent_id", "directory", "title", "version", "agent", "model", "time_created", "time_updated",
    "fork_session_id",
)  # fmt: skip


class Sessions:
    """What one look at a database learns of its sessions; news is added to `facts`."""

    def __init__(self, agent: str, path: str, ask: Ask, tables: list[str], facts: list[Fact]) -> None:
        """`tables` are the message tables that can be read."""
        self.about: dict[str, About] = {}
        self._agent, self._path, self._ask, self._tables, self._facts = agent, path, ask, tables, facts
        self._named = [name for name in ("session_v2", "session") if "id" in ask.tables.get(name, ())]

    def learn(self, ids: Iterable[str]) -> None:
        """Read the rows of sessions; those of the newer generation win."""
        for table in self._named:
            missing = [one for one in ids if one not in self.about]
            if not missing:
                return
            has = self._ask.tables[table]
            columns = [f"s.{name}" if name in has else "NULL" for name in _SESSION]
            branch = "NULL"
            if "workspace_id" in has and "branch" in self._ask.tables.get("workspace", ()):
                branch = "(SELECT branch FROM workspace w WHERE w.id = s.workspace_id)"
            for values in self._ask(
                f"SELECT {', '.join(columns)}, {branch} FROM {table} s"
                " WHERE s.id IN (SELECT value FROM json_each(?))",
                json.dumps(missing),
            ):
                *_, fork_of, branch_name = values
                about = About(*values[:9])
                about.branch, about.fork_of = (
                    branch_name,
                    identifier(fork_of) if isinstance(fork_of, str) else "",
                )
                self.about[str(about.id)] = about

    def tell(self, told: dict[str, int]) -> dict[str, int]:
        """Sessions of new messages, and what has changed of those that were told last; returns the last ones.

        `told` and what is returned: session and a checksum of what was told of it.
        """
        self.learn(told)
        for session_id, about in self.about.items():
            prompt = "" if records.has_title(about) else self._prompt(session_id)
            fact = records.session(self._agent, about, self._path, prompt)
            checksum = crc32(msgspec.msgpack.encode(fact))
            if told.pop(session_id, None) != checksum:
                self._facts.append(fact)
            told[session_id] = checksum
        newest = sorted(self.about, key=lambda s: epoch_ms(self.about[s].updated))[-_RECENT_SESSIONS:]
        return {session_id: told[session_id] for session_id in newest}

    def _prompt(self, session_id: str) -> str:
        """The first words of a session without a title."""
        if V1 in self._tables and "data" in self._ask.tables.get("part", ()):
            for (data,) in self._ask(
                "SELECT data FROM part WHERE message_id = (SELECT id FROM message WHERE session_id = ?"
                " ORDER BY time_created, id LIMIT 1) ORDER BY id LIMIT 2",
                session_id,
            ):
                if found := records.words([record(data) or {}]):
                    return found
        if V2 in self._tables:
            for (data,) in self._ask(
                f"SELECT data FROM {V2} WHERE session_id = ? AND type = 'user' ORDER BY seq LIMIT 1",
                session_id,
            ):
                return records.words([{**(record(data) or {}), "type": "text"}])
        return ""
