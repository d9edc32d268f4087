"""`tokentop session ID`: its turns as text, JSON, Markdown or HTML, and its transcript."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import tzinfo
from pathlib import Path
from typing import Any

from tokentop import text
from tokentop.answers.exporting import write_whole
from tokentop.engine.days import local
from tokentop.engine.tally import Bought
from tokentop.engine.timeline import Timeline, Turn
from tokentop.errors import Failure
from tokentop.export import document, sketch
from tokentop.export.brought import figures
from tokentop.export.values import resume, sums_document
from tokentop.nouns.sessions import Session
from tokentop.store import lineage

from .out import fits, fitted_table, room, wrapped
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


_SHORT = {"CACHE READ": "READ", "WRITES": "WRITE"}  # heads of a narrow table


def as_document(db: sqlite3.Connection, told: Timeline, bought: Bought | None = None) -> dict[str, Any]:
    """The session, each of its events and of those of all sub-agents below it, and its turns."""
    session = told.session
    members = lineage.family(db, session.agent, session.id)
    events = lineage.events_of_family(db, session.agent, members)
    ordered = sorted((event for own in events.values() for event in own), key=lambda event: event.usage.at_ms)
    return {
        **document.session(told),
        "timeline": [event_document(event) for event in ordered],
        "with_sub_agents": sums_document(told.tree),
        "outcome": None if bought is None else figures(bought.sum),
        "forks": [one.id for one in lineage.forks_of(db, session.agent, session.id)],
    }


def as_text(told: Timeline, zone: tzinfo, outcome: str = "") -> str:
    """A head, what is not known, and one line for each turn with its sub-agents below it."""
    session = told.session
    lines = [
        f"{session.agent} {session.id}", f"title    {session.title or '(none)'}",
        f"project  {told.project or '?'}  {session.cwd}", f"branch   {session.branch or '?'}",
        f"from     {_lasted(told, zone)}", f"resume   {resume(session) or 'through its parent'}",
        f"cost     {sketch.money(told.own)}" + (f", with sub-agents {sketch.money(told.tree)}" if told.tree != told.own else ""),
        *([f"outcome  {outcome}"] if outcome else []), *(f"note     {gap}" for gap in sketch.gaps(told)), "",
    ]  # fmt: skip
    cells = room()
    heads = list(_HEADS)
    rows = _all_rows(told, zone, lambda count: f"{count:,}", date=True)
    if not fits(heads, rows, cells):
        heads = [_SHORT.get(head, head) for head in heads]
        rows = _all_rows(told, zone, text.digits3, date=_days(told, zone) > 1)
    table = fitted_table(
        heads, rows, 3, cells, words=2, least={"TOOLS": 12, "EVENTS": 12, "MODEL": 8}, drop=("INPUT", "WRITE", "RESP", "MODEL"),
    )  # fmt: skip
    return "\n".join([*(part for line in lines for part in wrapped(line, cells, 9)), table])


def _lasted(told: Timeline, zone: tzinfo) -> str:
    session = told.session
    if not session.first_ms:
        return "?"
    took = text.duration_long(max(0, session.last_ms - session.first_ms) / 1000)
    return f"{sketch.when(session.first_ms, zone)}, {took}"


def _days(told: Timeline, zone: tzinfo) -> int:
    return len({local(turn.at_ms, zone).date() for turn in told.turns if turn.at_ms})


def _all_rows(told: Timeline, zone: tzinfo, shown: Callable[[int], str], *, date: bool) -> list[list[str]]:
    return [row for turn in told.turns for row in _rows(turn, zone, 0, shown, date=date)]


def _rows(
    turn: Turn, zone: tzinfo, depth: int, shown: Callable[[int], str], *, date: bool
) -> list[list[str]]:
    """A turn and the turns of the sub-agents that began in it; `shown` writes a count."""
    tokens = turn.own.tokens
    counts = (
        turn.own.responses, tokens.input, tokens.cache_read, tokens.cache_write_5m + tokens.cache_write_1h, tokens.output,
        sum(item.miss.tokens for item in turn.items),
    )  # fmt: skip
    rows = [
        ["  " * depth + str(turn.number), sketch.when(turn.at_ms, zone, date=date),
         ", ".join(map(text.short_model, turn.models)) or "?", *map(shown, counts), sketch.money(turn.own),
         sketch.tools(turn), ", ".join(sketch.events(turn))]
    ]  # fmt: skip
    for item in turn.items:
        if item.branch is not None:
            for below in item.branch.turns:
                rows += _rows(below, zone, depth + 1, shown, date=date)
    return rows


def transcript_text(session: Session, zone: tzinfo) -> str:
    """What was said, oldest first; tools without what they printed."""
    from tokentop.answers.transcript import transcript

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
