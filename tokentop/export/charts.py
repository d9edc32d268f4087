"""Charts of a timeline as inline SVG, without script and without style attributes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import tzinfo
from html import escape

from msgspec import Struct

from tokentop import text
from tokentop.engine.timeline import Timeline, Turn, everything

from . import sketch
from .values import dollars

WIDTH, HEIGHT = 960, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 8, 8, 22
_BARS = 240  # more turns than that share bars
_TOOLS = 12


class Group(Struct, frozen=True):
    """Neighbouring turns that share one bar."""

    first: int
    last: int
    own_nusd: int
    below_nusd: int
    kinds: tuple[int, int, int, int]  # cache read, cache write, input, output


def groups(turns: Sequence[Turn]) -> list[Group]:
    """At most `_BARS` of them, each of as many turns, the last one of the rest."""
    size = max(1, -(-len(turns) // _BARS))
    return [_group(turns[at : at + size]) for at in range(0, len(turns), size)]


def _group(turns: Sequence[Turn]) -> Group:
    own = sum(turn.own.cost_nusd for turn in turns)
    tree = sum(turn.tree.cost_nusd for turn in turns)
    tokens = [turn.tree.tokens for turn in turns]
    kinds = (
        sum(one.cache_read for one in tokens), sum(one.cache_write_5m + one.cache_write_1h for one in tokens),
        sum(one.input for one in tokens), sum(one.output for one in tokens),
    )  # fmt: skip
    return Group(turns[0].number, turns[-1].number, own, tree - own, kinds)


def calls_of(told: Timeline) -> list[tuple[int, int]]:
    """(time, nano-dollars) of each call of a session and its sub-agents, by time."""
    return sorted(
        (item.event.usage.at_ms or turn.at_ms, item.event.cost_nusd or 0)
        for one in everything(told)
        for turn in one.turns
        for item in turn.items
        if item.event is not None
    )


def cumulative(told: Timeline, zone: tzinfo) -> str:
    """Cost over time, call by call, sub-agents included."""
    points = []
    spent = 0
    for at_ms, cost in calls_of(told):
        spent += cost
        points.append((at_ms, spent))
    begin = min((turn.at_ms for turn in told.turns if turn.at_ms), default=0)
    end = max((at for at, _ in points), default=begin)
    if not spent or not told.turns:
        return _nothing("no cost is known")
    step = max(1, len(points) // 600)
    chosen = [*points[::step], points[-1]]
    span = max(1, end - begin)
    path = f"M{_LEFT} {HEIGHT - _BOTTOM}"
    y = float(HEIGHT - _BOTTOM)
    for at, value in chosen:
        x = _LEFT + max(0, at - begin) / span * (WIDTH - _LEFT - _RIGHT)
        path += f"L{x:.1f} {y:.1f}"
        y = _y(value, spent)
        path += f"L{x:.1f} {y:.1f}"
    area = path + f"L{WIDTH - _RIGHT} {y:.1f}L{WIDTH - _RIGHT} {HEIGHT - _BOTTOM}Z"
    ends = (sketch.when(begin, zone), sketch.when(end, zone))
    body = f'<path class="area" d="{area}"/><path class="curve" d="{path}"/>'
    return _frame(body, dollars(spent), ends, "cost over time")


def per_turn(told: Timeline) -> str:
    """Cost of each turn: the session itself and its sub-agents."""
    found = groups(told.turns)
    top = max((one.own_nusd + one.below_nusd for one in found), default=0)
    if not top:
        return _nothing("no cost is known")
    bars = []
    for at, one in enumerate(found):
        title = f"{_turns(one)}: {dollars(one.own_nusd + one.below_nusd)}"
        if one.below_nusd:
            title += f", of it sub-agents {dollars(one.below_nusd)}"
        bars.append(_stack(at, len(found), ((one.own_nusd, "own"), (one.below_nusd, "below")), top, title))
    return _frame("".join(bars), dollars(top), _ends(found), "cost of each turn")


def tokens(told: Timeline) -> str:
    """Tokens of each turn by kind."""
    found = groups(told.turns)
    top = max((sum(one.kinds) for one in found), default=0)
    if not top:
        return _nothing("no tokens are known")
    names = ("reads", "writes", "input", "output")
    bars = []
    for at, one in enumerate(found):
        told_by = ", ".join(f"{name} {count:,}" for name, count in zip(names, one.kinds, strict=True))
        parts = tuple(zip(one.kinds, names, strict=True))
        bars.append(_stack(at, len(found), parts, top, f"{_turns(one)}: {told_by}"))
    return _frame("".join(bars), text.digits3(top), _ends(found), "tokens of each turn")


def tools(told: Timeline) -> str:
    """How often each tool was called, and how long it ran."""
    calls: Counter[str] = Counter()
    took: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for item in (*(item for turn in told.turns for item in turn.items), *told.untimed):
        if item.kind == "tool" and item.deed is not None:
            calls[item.deed.name] += 1
            took[item.deed.name] += item.deed.took_ms or 0
            failed[item.deed.name] += item.deed.result == "failed"
    if not calls:
        return _nothing("no tools are known")
    lines = []
    shown = calls.most_common(_TOOLS)
    for at, (name, count) in enumerate(shown):
        y, length = at * 22 + 4, count / shown[0][1] * 480
        bad = f", {failed[name]} failed" if failed[name] else ""
        said = f"{count:,}{bad}, {sketch.seconds(took[name])}"
        lines.append(
            f'<text class="name" x="150" y="{y + 13}" text-anchor="end">{escape(text.clean(name, 24))}</text>'
            f'<rect class="own" x="158" y="{y}" width="{length:.1f}" height="16"/>'
            f'<text x="{164 + length:.1f}" y="{y + 13}">{escape(said)}</text>'
        )
    height = len(shown) * 22 + 8
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="tools">{"".join(lines)}</svg>'


def _turns(one: Group) -> str:
    return f"turn {one.first}" if one.first == one.last else f"turns {one.first} to {one.last}"


def _ends(found: Sequence[Group]) -> tuple[str, str]:
    return f"turn {found[0].first}", f"turn {found[-1].last}"


def _y(value: int, top: int) -> float:
    return HEIGHT - _BOTTOM - value / top * (HEIGHT - _TOP - _BOTTOM)


def _stack(at: int, count: int, parts: Sequence[tuple[int, str]], top: int, title: str) -> str:
    room = (WIDTH - _LEFT - _RIGHT) / count
    width = max(0.8, min(40.0, room * 0.8))
    x = _LEFT + at * room + (room - width) / 2
    body, below = "", 0
    for value, kind in parts:
        if value > 0:
            y = _y(below + value, top)
            body += f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_y(below, top) - y:.1f}"/>'
            below += value
    return f"<g><title>{escape(title)}</title>{body}</g>"


def _frame(body: str, top: str, ends: tuple[str, str], name: str) -> str:
    floor = HEIGHT - _BOTTOM
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(name)}">'
        f'<line class="axis" x1="{_LEFT}" y1="{floor}" x2="{WIDTH - _RIGHT}" y2="{floor}"/>'
        f'<line class="grid" x1="{_LEFT}" y1="{_TOP}" x2="{WIDTH - _RIGHT}" y2="{_TOP}"/>'
        f'<text x="{_LEFT - 6}" y="{_TOP + 10}" text-anchor="end">{escape(top)}</text>'
        f'<text x="{_LEFT - 6}" y="{floor}" text-anchor="end">0</text>{body}'
        f'<text x="{_LEFT}" y="{HEIGHT - 6}">{escape(ends[0])}</text>'
        f'<text x="{WIDTH - _RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{escape(ends[1])}</text></svg>'
    )


def _nothing(why: str) -> str:
    return f'<p class="nothing">{escape(why)}</p>'
