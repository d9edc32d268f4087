"""Which thread a rollout is of: its file name, its first `session_meta`, its first prompt. Pure."""

from __future__ import annotations

from msgspec import Struct

from tokentop.agents.decoding import count, epoch_ms, identifier
from tokentop.nouns.sessions import Role, Session
from tokentop.text import clean, title

from .records import AGENT_ID, LooseLine, MetaLine

_NOT_A_PROMPT = ("<environment_context", "# AGENTS.md", "<user_instructions", "<recommended_plugins", "<")


class Identity(Struct):
    """What `session_meta` tells of a thread."""

    session: Session
    provider: str
    own_ordinal: int  # records with a lower one are its parent's
    copies: str  # the thread whose counts it may begin with


def file_thread(stem: str) -> str:
    """Thread id of a rollout file name: `rollout-<local time>-<uuid>`."""
    return stem[-36:] if len(stem) >= 36 else stem


def identity(meta: MetaLine, thread_id: str, path: str) -> Identity:
    """`thread_id` is what the file's name says, where the record names none."""
    about = meta.payload
    thread_id = identifier(about.id) or thread_id
    first_ms = epoch_ms(meta.timestamp)
    source = about.source if isinstance(about.source, dict) else {}
    child = source.get("subagent")
    spawn = child.get("thread_spawn") if isinstance(child, dict) else None
    spawn = spawn if isinstance(spawn, dict) else {}
    parent = identifier(
        about.parent_thread_id or about.forked_from_id or str(spawn.get("parent_thread_id") or "")
    )
    sub_agent = about.thread_source == "subagent" or child is not None
    nickname = about.agent_nickname or spawn.get("agent_nickname") or ""
    git = about.git if isinstance(about.git, dict) else {}
    surface = about.source if isinstance(about.source, str) else "subagent" if sub_agent else ""
    session = Session(
        AGENT_ID, thread_id, parent,
        identifier(about.session_id) or parent or thread_id,
        Role.SUB_AGENT if sub_agent else Role.FORK if parent else Role.MAIN,
        clean(about.cwd or "", 400), clean(str(git.get("branch") or ""), 100),
        title(str(nickname)) if nickname else "", 0, "", first_ms, first_ms,
        clean(about.cli_version or "", 20), clean(about.originator or surface, 40), path,
    )  # fmt: skip
    return Identity(
        session,
        clean(about.model_provider or "", 60),
        count(about.subagent_history_start_ordinal) or 0,
        parent if about.history_mode in (None, "legacy") else "",
    )


def prompt_of(record: LooseLine | None, field: str) -> str:
    """What a person wrote, in the `message` of an event or the `content` of an item; "" = a person did not."""
    payload = record.payload if record is not None and isinstance(record.payload, dict) else {}
    content = payload.get(field)
    if field == "content":
        if payload.get("role") != "user":
            return ""
        texts = [p.get("text") for p in content if isinstance(p, dict)] if isinstance(content, list) else []
        content = next((t for t in texts if isinstance(t, str)), "")
    if isinstance(content, str) and content.strip() and not content.lstrip().startswith(_NOT_A_PROMPT):
        return content
    return ""
