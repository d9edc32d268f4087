"""Zed's own agent: `threads.db`, one row a thread, rewritten in place. Pure.

    threads(id, parent_id, summary, folder_paths, created_at, updated_at, data_type: zstd|json, data)
    data: {"model": {"provider", "model"}, "request_token_usage": {<user message id>: <usage>},
           "cumulative_token_usage": <usage>, "updated_at"}
    usage: {"input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"}, disjoint

`request_token_usage` keeps the last request of each user message alone; tool rounds replace each other in it.
`cumulative_token_usage` adds all of them up. It is empty in what versions between the summer of 2025 and June 2026
wrote: then the last requests are all that is known. No request has a time of its own. Agents that Zed runs over
ACP keep logs of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Role, Session
from tokentop.nouns.usage import RunningTotal, Tokens, Usage
from tokentop.text import title

from .base import Agent, Ask, Database, LogFile, Quality, Reading, Roots
from .decoding import decompressed, epoch_ms, identifier, label, obj, record, text, tokens, unparsed

AGENT_ID = "zed"
_THREADS = 20  # of one look
_MAX_BYTES = 64 << 20
_LISTED = 4_000
_NEWEST = 4  # threads whose content is compared at every look
_AGAIN = 200  # threads around the watermark that may still change without a new time


class _Mark(Struct):
    updated_at: str = ""
    seen: dict[str, str] = {}  # thread -> what was read of it, for the newest ones


def read(file: LogFile, ask: Ask, state: bytes) -> Reading:
    """Threads that were written since the last look."""
    mark = msgspec.msgpack.decode(state, type=_Mark) if state else _Mark()
    columns = frozenset(name for (name,) in ask("SELECT name FROM pragma_table_info('threads')"))
    if not {"id", "updated_at", "data_type", "data"} <= columns:
        return Reading([], state)
    # The columns behind `data` are left to the second question: to reach them, all of `data` has to be read.
    listed = ask(
        "SELECT id, updated_at, length(data) FROM threads WHERE updated_at >= ? ORDER BY updated_at, id"
        f" LIMIT {_LISTED}", mark.updated_at,
    )  # fmt: skip
    news = [row for row in listed if not mark.seen.get(str(row[0]), "").startswith(_stamp(row))]
    facts: list[Fact] = []
    for row in (*news[:_THREADS], *(row for row in listed[-_NEWEST:] if row not in news)):
        found = _fields(ask, columns, row[0])
        stamp = _stamp(row) + _checksum(_bytes(found.get("data")))
        if mark.seen.get(str(row[0])) != stamp:
            mark.seen[str(row[0])] = stamp
            facts += _thread(file, row[0], found)
    more, before = len(news) > _THREADS, mark.updated_at
    done = [row for row in listed if mark.seen.get(str(row[0]), "").startswith(_stamp(row))]
    if done:
        # A thread may be written again under its old time: the watermark stays behind the newest ones.
        kept = done[-_AGAIN:]
        mark = _Mark(str(kept[0][1]), {str(row[0]): mark.seen[str(row[0])] for row in kept})
    more = more or (len(listed) == _LISTED and mark.updated_at > before)
    return Reading(facts, msgspec.msgpack.encode(mark), more)


def _stamp(row: Sequence[object]) -> str:
    return f"{row[1]}:{row[2]}:"


def _checksum(data: bytes) -> str:
    from zlib import crc32  # a library of its own, which no start should wait for

    return str(crc32(data))


def _fields(ask: Ask, columns: frozenset[str], thread_id: object) -> dict[str, Any]:
    wanted = ("data_type", "data", "updated_at", "created_at", "parent_id", "folder_paths", "summary")
    fields = ", ".join(name if name in columns else "NULL" for name in wanted)
    found = ask(f"SELECT {fields} FROM threads WHERE id = ?", thread_id)
    return dict(zip(wanted, found[0], strict=True)) if found else {}


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else value.encode() if isinstance(value, str) else b""


def _thread(file: LogFile, thread_id: object, row: dict[str, Any]) -> list[Fact]:
    data = _bytes(row.get("data"))
    thread = record((decompressed(data, _MAX_BYTES) or b"") if row.get("data_type") == "zstd" else data)
    if thread is None:
        return [unparsed(AGENT_ID)]
    session_id, parent = identifier(text(thread_id)) or "unknown", identifier(text(row["parent_id"]))
    at_ms = epoch_ms(row["updated_at"]) or epoch_ms(thread.get("updated_at")) or file.mtime_ms
    model = obj(thread.get("model"))
    facts: list[Fact] = [
        Session(
            AGENT_ID, session_id, parent, role=Role.SUB_AGENT if parent else Role.MAIN,
            cwd=text(str(row["folder_paths"] or "").partition("\n")[0], 400),
            title=title(text(row["summary"], 400)), title_rank=2, model=label(text(model.get("model"))),
            first_ms=epoch_ms(row["created_at"]), last_ms=at_ms, log_path=file.path,
        )
    ]  # fmt: skip
    if not _is_external(thread):
        _count(facts, thread, session_id, at_ms)
    return facts


def _count(facts: list[Fact], thread: dict[str, Any], session_id: str, at_ms: int) -> None:
    about = obj(thread.get("model"))
    model, provider = label(text(about.get("model"))), label(text(about.get("provider")))
    total = _tokens(facts, thread.get("cumulative_token_usage"))
    for request, used in obj(thread.get("request_token_usage")).items():
        counts = _tokens(facts, used)
        if counts.total:
            # Where there is a total, its growth is counted: these are then the answers that it is spread over.
            shown = Tokens() if total.total else counts
            key = f"{session_id}:{identifier(text(request))}"
            facts.append(Usage(AGENT_ID, session_id, key, at_ms, model, shown, provider, at_estimated=True))
    if total.total:
        facts.append(
            RunningTotal(
                AGENT_ID, session_id, 0, at_ms, 0, ((model, total, 0),), only=True, provider=provider
            )
        )


def _tokens(facts: list[Fact], used: object) -> Tokens:
    usage = obj(used)
    return tokens(
        AGENT_ID, facts, fresh=usage.get("input_tokens"), cache_read=usage.get("cache_read_input_tokens"),
        cache_write=usage.get("cache_creation_input_tokens"), output=usage.get("output_tokens"),
    )  # fmt: skip


def _is_external(thread: dict[str, Any]) -> bool:
    """Whether another agent ran the thread (ACP): it keeps its own log."""
    name = text(thread.get("agent") or thread.get("agent_id"))
    return bool(name) and not name.lower().startswith("zed")


AGENT = Agent(
    id=AGENT_ID,
    label="Zed",
    version=1,
    roots=Roots(
        dirs=(
            "$XDG_DATA_HOME/zed/threads", "~/.local/share/zed/threads",
            "~/Library/Application Support/Zed/threads", "$LOCALAPPDATA/Zed/threads",
        )
    ),
    sources=(Database(suffixes=("threads.db",), levels=(), read=read),),
    processes=None,
    resume="",
    start_hint="open the agent panel of Zed",
    tokens=Quality.TOTAL,
    missing="times; of threads from before June 2026 all but the last request of each prompt",
)  # fmt: skip
