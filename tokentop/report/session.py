"""`tokentop session ID`: its turns as text, JSON, Markdown or HTML, and its transcript."""

from __future__ import annotations

import sqlite3
from datetime import tzinfo
from pathlib import Path
from typing import Any

from tokentop import text
from tokentop.engine.tally import Bought
from tokentop.engine.timeline import Timeline, Turn
from tokentop.errors import Failure
from tokentop.export import document, sketch
from tokentop.export.brought import figures
from tokentop.export.values import is_unpriced, resume, tokens_document, usd
from tokentop.exporting import write_whole
from tokentop.model import Session, Tokens
from tokentop.store import lineage, reader

from .out import plain_table
from .sessions import event_document

_HEADS = [
    "TURN",
    "TIME",
    "MODEL",
    "RESP",
    "INPUT",
    "CACHE READ",
    "WRITES",
    "OUTPUT",
    "MISSED",
    "COST",
    "TOOLS",
    "EVENTS",
]


def as_document(db: sqlite3.Connection, told: Timeline, bought: Bought | None = None) -> dict[str, Any]:
    """The session, each of its events, and its turns."""
    session = told.session
    events = reader.events_of(db, session.agent, session.id)
    total = sum((event.usage.tokens for event in events), Tokens())
    return {
        **document.session(told),
        "timeline": [event_document(event) for event in events],
        "with_sub_agents": {
            "tokens": tokens_document(total),
            "cost_usd": usd(sum(event.cost_nusd or 0 for event in events)),
            "unpriced": any(event.cost_nusd is None for event in events),
        },
        "outcome": None if bought is None else figures(bought.sum),
        "forks": [one.id for one in lineage.forks_of(db, session.agent, session.id)],
    }


def as_text(told: Timeline, zone: tzinfo, outcome: str = "") -> str:
    """A head, what is not known, and one line for each turn with its sub-agents below it."""
    session = told.session
    lines = [
        f"{session.agent} {session.id}", f"title    {session.title or '(none)'}",
        f"project  {told.project or '?'}  {session.cwd}", f"branch   {session.branch or '?'}",
        f"resume   {resume(session) or 'through its parent'}",
        f"cost     {sketch.money(told.own)}" + (f", with sub-agents {sketch.money(told.tree)}" if told.tree != told.own else ""),
        *([f"outcome  {outcome}"] if outcome else []), *(f"note     {gap}" for gap in sketch.gaps(told)), "",
    ]  # fmt: skip
    rows = [row for turn in told.turns for row in _rows(turn, zone, 0)]
    return "\n".join(lines) + "\n" + plain_table(_HEADS, rows, left=3, words=2)


def _rows(turn: Turn, zone: tzinfo, depth: int) -> list[list[str]]:
    tokens, indent = turn.own.tokens, "  " * depth
    cost = "?" if is_unpriced(turn.own) else sketch.money(turn.own)
    missed = sum(item.miss.tokens for item in turn.items)
    rows = [
        [indent + str(turn.number), sketch.when(turn.at_ms, zone), ", ".join(map(text.short_model, turn.models)) or "?",
         f"{turn.own.responses:,}", f"{tokens.input:,}", f"{tokens.cache_read:,}",
         f"{tokens.cache_write_5m + tokens.cache_write_1h:,}", f"{tokens.output:,}", f"{missed:,}", cost,
         sketch.tools(turn), ", ".join(sketch.events(turn))]
    ]  # fmt: skip
    for item in turn.items:
        if item.branch is not None:
            for below in item.branch.turns:
                rows += _rows(below, zone, depth + 1)
    return rows


def transcript_text(session: Session, zone: tzinfo) -> str:
    """What was said, oldest first; tools without what they printed."""
    from tokentop.transcript import transcript

    found, note = transcript(session)
    if not found:
        raise Failure(f"no transcript: {note}")
    lines = [f"note: {note}", ""] if note else []
    for one in found:
        at = f"{sketch.when(one.at_ms, zone)}  " if one.at_ms else ""
        if one.kind == "tool":
            took = f" {sketch.seconds(one.took_ms)}" if one.took_ms is not None else ""
            lines.append(
                f"{at}[{one.name}] {' '.join(one.lines)}  {sketch.result(one.result)}{took}".rstrip()
            )
        elif one.kind == "compaction":
            lines.append(f"{at}-- the context was compacted --")
        else:
            who = "you" if one.kind == "prompt" else text.short_model(one.name) or "model"
            lines += [f"{at}{who}:", *(f"    {line}" for line in one.lines)]
        lines.append("")
    return "\n".join(lines).rstrip()


def write_page(path: str, content: str) -> Path:
    """Write an export where the user wants it. Raises Failure."""
    target = Path(path).expanduser()
    try:
        return write_whole(target, content)
    except OSError as error:
        raise Failure(f"cannot write {target}: {error.strerror or error}") from error
