"""A timeline as Markdown: a table of turns, and what stands out in each. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import tzinfo

from tokentop import text
from tokentop.engine.timeline import Item, Timeline, Turn

from . import sketch
from .values import label, resume

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$&@]|!(?=\[)|:(?=//)|(?<=www)\.)", re.IGNORECASE)
_HEADS = (
    "turn",
    "time",
    "model",
    "calls",
    "input",
    "cache read",
    "cache write",
    "output",
    "missed",
    "cost",
    "tools",
    "events",
)


def markdown(told: Timeline, zone: tzinfo, outcome: str = "") -> str:
    """The whole document, with a newline at its end. `outcome` is what git told of it, "" = it was not asked."""
    return "\n".join(_lines(told, zone, outcome)) + "\n"


def _lines(told: Timeline, zone: tzinfo, outcome: str) -> Iterator[str]:
    session = told.session
    yield f"# {escaped(session.title) or 'Session ' + escaped(session.id)}"
    yield ""
    facts = [
        ("agent", f"{label(session.agent)} {session.version}".strip()), ("session", session.id),
        ("project", told.project), ("folder", session.cwd), ("branch", session.branch),
        ("from", sketch.when(session.first_ms, zone)), ("to", sketch.when(session.last_ms, zone)),
        ("cost", sketch.money(told.own)),
        ("cost with sub-agents", sketch.money(told.tree) if told.tree != told.own else ""),
        ("tokens", f"{told.tree.tokens.total:,}"), ("responses", f"{told.tree.responses:,}"),
        ("outcome", outcome),
    ]  # fmt: skip
    yield from (f"- {name}: {escaped(value)}" for name, value in facts if value)
    command = resume(session)
    if command:
        yield f"- resume: {_code(command)}"
    yield from (f"- note: {escaped(gap)}" for gap in sketch.gaps(told))
    yield ""
    yield from _table(told, zone)
    yield ""
    for turn in told.turns:
        if turn.items:
            yield from _turn(turn, zone)


def _table(told: Timeline, zone: tzinfo) -> Iterator[str]:
    yield _row(_HEADS)
    yield _row(
        ["---" if name in {"time", "model", "tools", "events"} else "---:" for name in _HEADS], raw=True
    )
    for turn in told.turns:
        tokens = turn.tree.tokens
        yield _row([
            str(turn.number), sketch.when(turn.at_ms, zone), ", ".join(map(text.short_model, turn.models)),
            str(turn.tree.responses), f"{tokens.input:,}", f"{tokens.cache_read:,}",
            f"{tokens.cache_write_5m + tokens.cache_write_1h:,}", f"{tokens.output:,}", f"{turn.missed:,}",
            sketch.money(turn.tree), sketch.tools(turn), ", ".join(sketch.events(turn)),
        ])  # fmt: skip


def _row(cells: Sequence[str], *, raw: bool = False) -> str:
    return "| " + " | ".join(cell if raw else escaped(cell) for cell in cells) + " |"


def _turn(turn: Turn, zone: tzinfo) -> Iterator[str]:
    yield f"## Turn {turn.number}, {escaped(sketch.when(turn.at_ms, zone))}, {escaped(sketch.money(turn.tree))}"
    yield ""
    for item in turn.items:
        yield from _item(item, zone, 0)
    yield ""


def _item(item: Item, zone: tzinfo, depth: int) -> Iterator[str]:
    indent = "  " * depth
    at = sketch.when(item.at_ms, zone, date=False)
    yield f"{indent}- {at} {escaped(sketch.item_line(item))}"
    if item.branch is not None:
        branch = item.branch
        title = branch.session.title or branch.session.id
        yield f"{indent}  - sub-agent {escaped(title)}: {escaped(sketch.money(branch.tree))}"
        for turn in branch.turns:
            for inner in turn.items:
                yield from _item(inner, zone, depth + 2)


def escaped(value: str) -> str:
    """Text that Markdown shows as it is: nothing in it is a link, an image, a tag or a mark."""
    return _SPECIAL.sub(r"\\\1", value)


def _code(value: str) -> str:
    """A command in a span of code, with more backticks around than are in it."""
    ticks = "`" * (max((len(run) for run in re.findall("`+", value)), default=0) + 1)
    return f"{ticks} {value} {ticks}" if "`" in value else f"`{value}`"
