"""The JSON files that OpenCode wrote up to 1.1, and that stay behind after the upgrade to a database. Pure."""

from __future__ import annotations

from tokentop.nouns.facts import Fact

from . import _opencode_records as records
from ._opencode_records import About, Message
from .base import LogFile
from .decoding import document, obj


def message_file(agent: str, file: LogFile, data: bytes) -> list[Fact]:
    """`storage/message/<session>/<message>.json`: the message with its ids inside."""
    found = obj(document(data))
    if found.get("role") != "assistant":
        return []
    folder = file.parents[-1] if file.parents else ""
    one = Message(agent, found.get("sessionID") or folder, found.get("id") or file.stem, file.mtime_ms, found)
    facts: list[Fact] = []
    if not (one.created_ms and one.id and one.session_id) or records.is_late_id(one):
        return facts
    used = records.counts(one, facts)
    fact = records.usage(one, used)
    if fact is not None:
        facts.append(fact)
    if used.total:
        facts.append(records.context(one, used))
    facts.append(records.ended(one, used) if one.completed_ms else records.started(one))
    return facts


def session_file(agent: str, file: LogFile, data: bytes) -> list[Fact]:
    """`storage/session/<project>/<session>.json`."""
    found = obj(document(data))
    time = obj(found.get("time"))
    about = About(
        found.get("id") or file.stem, found.get("parentID"), found.get("directory"), found.get("title"),
        found.get("version"), found.get("agent"), found.get("model"), time.get("created"), time.get("updated"),
    )  # fmt: skip
    return [records.session(agent, about, file.path)]
