"""Cursor: conversations of the editor, and the usage that a person exported from its dashboard.

`User/globalStorage/state.vscdb`, table `cursorDiskKV` (a changed row has a new rowid):
`composerData:<id>`       {"name", "createdAt", "lastUpdatedAt", "status", "contextTokensUsed", "contextTokenLimit",
                          "modelConfig": {"modelName"}}
`bubbleId:<id>:<bubble>`  {"type": 1 user | 2 assistant, "createdAt" (ISO), "tokenCount": {"inputTokens",
                          "outputTokens"}, "modelInfo"?: {"modelName"}, "toolFormerData"?}
Nearly every answer has a token count of 0 there: it is unknown. `ItemTable` holds secrets and is never asked.

`usage-events-*.csv`: Date, ..., Kind, Model, Max Mode, Input (w/ Cache Write), Input (w/o Cache Write), Cache Read,
Output Tokens, Total Tokens, Cost. Columns are added now and then: they are found by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tokentop.agents import decoding
from tokentop.agents.base import Agent, Ask, Database, JsonDocument, LogFile, Quality, Reading, Roots
from tokentop.agents.processes import Processes, role_without
from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Activity, Context, Session, State
from tokentop.nouns.usage import Kind, Tokens, Usage
from tokentop.text import title

AGENT_ID = "cursor"
EXPORT = "usage-export"  # the session of exported rows, which name none
_TABLE = "cursorDiskKV"
_LOOKED = 2_000  # rows that one slice looks at, by key alone
_READ = 200  # rows whose values one slice takes
_LONGEST = 8_000_000
_REUSED = 1_000
_STATE = msgspec.msgpack.Decoder(tuple[int, int])

# Texts only: other values are no conversation, and json_extract() fails on what is no JSON.
_VALUE = (
    f"CASE WHEN length(value) < {_LONGEST} AND json_valid(CAST(value AS TEXT))"
    " THEN json_extract(CAST(value AS TEXT), {paths}) END"
)
_BUBBLE = ("type", "createdAt", "tokenCount", "modelInfo.modelName", "toolFormerData.name")
_COMPOSER = (
    *("name", "createdAt", "lastUpdatedAt", "status", "contextTokensUsed", "contextTokenLimit"),
    "modelConfig.modelName",
)


# ---------------------------------------------------------------- conversations


def read(file: LogFile, ask: Ask, state: bytes) -> Reading:
    """What was written since the rowid in `state`."""
    if _TABLE not in ask.tables:
        return Reading([], state)
    done, highest = _known(state)
    top = ask(f"SELECT max(rowid) FROM {_TABLE}")[0][0] or 0
    if top < highest:
        # Deleted rows give their numbers to new ones; a table that is far smaller was made anew.
        done = max(0, min(done, top) - _REUSED) if highest - top < _REUSED else 0
    rows = ask(f"SELECT rowid, key FROM {_TABLE} WHERE rowid > ? ORDER BY rowid LIMIT {_LOOKED}", done)
    wanted = [row for row in rows if str(row[1]).startswith(("bubbleId:", "composerData:"))]
    facts: list[Fact] = []
    for rowid, key in wanted[:_READ]:
        facts += _facts(file, str(key), rowid, ask)
    more = len(rows) == _LOOKED or len(wanted) > _READ
    if len(wanted) > _READ:
        done = wanted[_READ - 1][0]
    elif rows:
        done = rows[-1][0]
    return Reading(facts, msgspec.msgpack.encode((done, top)), more)


def signs(file: LogFile, ask: Ask) -> list[Fact]:
    """Activities and contexts of the conversations that were written last."""
    if _TABLE not in ask.tables:
        return []
    rows = ask(f"SELECT rowid, key FROM {_TABLE} ORDER BY rowid DESC LIMIT 200")
    found = [(rowid, str(key)) for rowid, key in rows if str(key).startswith("composerData:")]
    facts = [fact for rowid, key in found[:20] for fact in _facts(file, key, rowid, ask)]
    return [fact for fact in facts if isinstance(fact, Activity | Context)]


def _known(state: bytes) -> tuple[int, int]:
    """(the last rowid that was read, the highest one then)."""
    try:
        return _STATE.decode(state)
    except decoding.DECODE_ERRORS:
        return 0, 0


def _facts(file: LogFile, key: str, rowid: int, ask: Ask) -> list[Fact]:
    kind, _, rest = key.partition(":")
    session, _, bubble = rest.partition(":")
    session_id = decoding.identifier(session)
    names = _BUBBLE if kind == "bubbleId" else _COMPOSER
    paths = ", ".join(f"'$.{name}'" for name in names)
    rows = ask(f"SELECT {_VALUE.format(paths=paths)} FROM {_TABLE} WHERE rowid = ?", rowid)
    values = (
        decoding.decode(rows[0][0].encode("utf-8", "replace"), _LIST)
        if rows and isinstance(rows[0][0], str)
        else None
    )
    if not session_id or not isinstance(values, list) or len(values) != len(names):
        return []
    if kind == "bubbleId":
        return _bubble(file, session_id, decoding.identifier(bubble), values)
    return _composer(session_id, values)


_LIST = msgspec.json.Decoder(list[Any])


def _bubble(file: LogFile, session_id: str, bubble: str, values: list[Any]) -> list[Fact]:
    kind, created, counts, model, tool = values
    at_ms = decoding.epoch_ms(created)
    if kind != 2 or not bubble:
        return []
    facts: list[Fact] = []
    told = decoding.obj(counts)
    tokens = decoding.tokens(
        AGENT_ID, facts, fresh=told.get("inputTokens"), output=told.get("outputTokens")
    )  # fmt: skip
    if not tokens.total and tool is not None:
        return facts  # a tool call of an answer, not one of its own
    name = decoding.text(model)
    usage = Usage(
        AGENT_ID, session_id, bubble, at_ms or file.mtime_ms, "" if name == "default" else name, tokens,
        kind=Kind.RESPONSE if tokens.total else Kind.UNKNOWN, at_estimated=not at_ms,
        estimated=bool(tokens.total),  # without what was cached, and not what the dashboard bills
    )  # fmt: skip
    return [*facts, usage]


def _composer(session_id: str, values: list[Any]) -> list[Fact]:
    name, created, updated, status, used, window, model = values
    first_ms = decoding.epoch_ms(created)
    last_ms = decoding.epoch_ms(updated) or first_ms
    facts: list[Fact] = [
        Session(
            AGENT_ID, session_id, title=title(name) if isinstance(name, str) else "", surface="editor",
            model="" if model == "default" else decoding.text(model), first_ms=first_ms, last_ms=last_ms,
        )
    ]  # fmt: skip
    filled = decoding.count(used) or 0
    if filled and last_ms:
        facts.append(Context(AGENT_ID, session_id, last_ms, filled, decoding.count(window) or 0))
    if last_ms and status in ("generating", "completed", "aborted"):
        state = State.WORKING if status == "generating" else State.IDLE
        facts.append(Activity(AGENT_ID, session_id, last_ms, state))
    return facts


# ---------------------------------------------------------------- exported usage


def read_export(file: LogFile, data: bytes) -> list[Fact]:
    """The rows of an export. Two exports that overlap give the same keys."""
    import csv  # only a person who has an export pays for it

    name = file.stem.lower()
    if not name.startswith(("usage-events", "cursor-usage")):
        return []
    text = data.decode("utf-8-sig", "replace").replace("\0", "")
    lines = text.splitlines()
    if lines and not text.endswith(("\n", "\r")):
        lines[-1] += "" if lines[-1].count(",") >= lines[0].count(",") else "\0"  # a torn row
    facts: list[Fact] = []
    seen: dict[str, int] = {}
    rows = csv.DictReader(line for line in lines if "\0" not in line)
    for row in _rows(rows, facts):
        usage = _row({key.strip(): value for key, value in row.items() if isinstance(key, str)}, seen, facts)
        if usage is not None:
            facts.append(usage)
    if any(isinstance(fact, Usage) for fact in facts):
        facts.append(Session(AGENT_ID, EXPORT, title="exported usage", surface="dashboard"))
    return facts


def _rows(rows: Iterator[dict[str, Any]], facts: list[Fact]) -> Iterator[dict[str, Any]]:
    import csv

    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error:
            facts.append(decoding.unparsed(AGENT_ID))
            continue
        yield row


def _row(row: dict[str, Any], seen: dict[str, int], facts: list[Fact]) -> Usage | None:
    at_ms = decoding.epoch_ms(row.get("Date"))
    kind = str(row.get("Kind") or "").lower()
    if not at_ms or "no charge" in kind or "not charged" in kind:
        return None
    tokens = _row_tokens(row, facts)
    if not tokens.total:
        return None
    model = decoding.text(row.get("Model"))
    key = f"csv:{at_ms}:{model}:{tokens.input}.{tokens.cache_read}.{tokens.cache_write_5m}.{tokens.output}"
    seen[key] = seen.get(key, 0) + 1
    return Usage(
        AGENT_ID, EXPORT, f"{key}:{seen[key]}", at_ms, "" if model in ("auto", "default") else model, tokens,
        logged_nusd=_dollars(row.get("Cost")),
    )  # fmt: skip


def _row_tokens(row: dict[str, Any], facts: list[Fact]) -> Tokens:
    """Whether `w/ Cache Write` holds `w/o Cache Write` as well is told by the total."""
    names = (
        "Input (w/ Cache Write)",
        "Input (w/o Cache Write)",
        "Cache Read",
        "Output Tokens",
        "Total Tokens",
    )
    written, fresh, read, out, total = (_figure(row.get(name)) for name in names)
    if all(type(n) is int for n in (written, fresh, read, out, total)):
        both = total == written + read + out != written + fresh + read + out
        written -= fresh if both and written >= fresh else 0
    return decoding.tokens(
        AGENT_ID, facts, fresh=fresh, cache_write=written, cache_read=read, output=out
    )  # fmt: skip


def _figure(cell: object) -> Any:
    text = cell.replace(",", "").strip() if isinstance(cell, str) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 14 else (text or 0)


def _dollars(cell: object) -> int | None:
    text = cell.strip().removeprefix("$") if isinstance(cell, str) else ""
    try:
        return decoding.nusd(float(text))
    except ValueError:
        return None  # "Included", another currency


AGENT = Agent(
    id=AGENT_ID,
    label="Cursor",
    version=1,
    roots=Roots(
        dirs=("~/.config/Cursor", "~/Library/Application Support/Cursor", "$APPDATA/Cursor", "~/.cursor")
    ),
    sources=(
        Database(folder="User/globalStorage", suffixes=("state.vscdb",), levels=(), read=read, signs=signs),
        JsonDocument(suffixes=(".csv",), levels=(), read=read_export),
    ),
    processes=Processes(
        agent=AGENT_ID,
        label="Cursor CLI",
        names=("cursor-agent",),
        root_dirs=(".cursor",),
        role_of=role_without({"login", "logout", "status", "update", "mcp", "worker-server"}),
        one_shot=lambda argv: bool({"-p", "--print"} & set(argv[1:])),
    ),
    resume="",
    signs=("cursoragent@cursor.com",),
    start_hint="open Cursor, or run `cursor-agent` in a project folder",
    tokens=Quality.UNKNOWN,
    missing="tokens and cost, but for exported ones: usage-events-*.csv from its dashboard, put into its data folder",
)
