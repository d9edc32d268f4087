"""A timeline as one HTML file: no script, nothing loaded, every text escaped. Pure."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from datetime import tzinfo
from hashlib import sha256
from html import escape

from tokentop import text
from tokentop.engine.timeline import Item, Timeline, Turn

from . import charts, sketch
from .values import label, resume

TURNS_MAX = 5_000  # rows of the table; a longer one is told in the charts, and as JSON
_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --dim: #5b6068; --ground: #fafaf7; --card: #fff; --line: #dcdcd4;
  --own: #0072b2; --below: #d98c00; --reads: #9ab8c8; --writes: #56b4e9; --input: #009e73; --output: #d55e00; }
@media (prefers-color-scheme: dark) { :root { --ink: #d8d8d8; --dim: #9aa0a8; --ground: #101214; --card: #181b1e;
  --line: #2c3136; --own: #56b4e9; --below: #e69f00; --reads: #45606e; --writes: #0072b2; --input: #1fbf92; --output: #e0763a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1100px; padding: 24px 16px 64px; background: var(--ground); color: var(--ink);
  font: 14px/1.5 system-ui, sans-serif; }
h1 { font-size: 22px; margin: 0 0 4px; overflow-wrap: anywhere; } h2 { font-size: 15px; margin: 0 0 8px; }
.dim, .nothing { color: var(--dim); } code { font: 12px ui-monospace, monospace; overflow-wrap: anywhere; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; margin: 16px 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 12px 0 0; }
dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 16px 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 16px; min-width: 120px; }
.tile b { display: block; font-size: 20px; font-variant-numeric: tabular-nums; } .tile span { color: var(--dim); font-size: 12px; }
svg { display: block; width: 100%; height: auto; } svg text { fill: var(--dim); font-size: 11px; } svg .name { fill: var(--ink); }
.axis, .grid { stroke: var(--line); } .area { fill: var(--own); opacity: .18; }
.curve { fill: none; stroke: var(--own); stroke-width: 2; }
.own { fill: var(--own); } .below { fill: var(--below); } .reads { fill: var(--reads); } .writes { fill: var(--writes); }
.input { fill: var(--input); } .output { fill: var(--output); }
.legend { display: flex; gap: 16px; flex-wrap: wrap; color: var(--dim); font-size: 12px; margin: 8px 0 0; }
.legend svg { width: 10px; height: 10px; display: inline-block; margin-right: 6px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 600; color: var(--dim); font-size: 12px; } td { text-align: right; }
th, td { padding: 3px 8px; border-bottom: 1px solid var(--line); white-space: nowrap; vertical-align: top; }
.l { text-align: left; } .w { text-align: left; white-space: normal; }
tr.dear td { font-weight: 600; } .bad { color: var(--output); }
details summary { cursor: pointer; } ul { margin: 4px 0 8px; padding-left: 20px; text-align: left; white-space: normal; }
li { overflow-wrap: anywhere; }
"""
_POLICY = "default-src 'none'; style-src '{style}'; base-uri 'none'; form-action 'none'"


def page(told: Timeline, zone: tzinfo, outcome: str = "") -> str:
    """The whole file, as UTF-8 text. `outcome` is what git told of it, "" = it was not asked."""
    return "".join(_parts(told, zone, outcome))


def _parts(told: Timeline, zone: tzinfo, outcome: str) -> Iterator[str]:
    session = told.session
    title = session.title or session.id
    digest = "sha256-" + b64encode(sha256(_STYLE.encode()).digest()).decode()
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY.format(style=digest)}">\n'
    yield '<meta name="referrer" content="no-referrer">\n<meta name="viewport" content="width=device-width">\n'
    yield f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
    yield f"<h1>{escape(title)}</h1>\n"
    who = f"{label(session.agent)} {session.version}".strip() + f", {told.project or 'no project'}"
    yield f'<div class="dim">{escape(who)}</div>\n'
    yield from _tiles(told)
    yield "<section><h2>Cost over time</h2>" + charts.cumulative(told, zone) + "</section>\n"
    yield "<section><h2>Cost of each turn</h2>" + charts.per_turn(told)
    yield _legend((("own", "the session itself"), ("below", "its sub-agents"))) + "</section>\n"
    yield "<section><h2>Tokens of each turn</h2>" + charts.tokens(told)
    yield (
        _legend(
            (("reads", "cache reads"), ("writes", "cache writes"), ("input", "input"), ("output", "output"))
        )
        + "</section>\n"
    )
    yield "<section><h2>Tools</h2>" + charts.tools(told) + "</section>\n"
    yield from _about(told, zone, outcome)
    yield from _table(told, zone)
    yield "</body>\n</html>\n"


def _tiles(told: Timeline) -> Iterator[str]:
    tree = told.tree
    missed = sum(turn.missed for turn in told.turns)
    tiles = [
        (sketch.money(tree), "cost with sub-agents" if told.tree != told.own else "cost"),
        (text.digits3(tree.tokens.total), "tokens"), (f"{tree.responses:,}", "response" + "s" * (tree.responses != 1)),
        (f"{len(told.turns):,}", "turn" + "s" * (len(told.turns) != 1)),
        (text.digits3(tree.tokens.cache_read), "read from cache"), (text.digits3(missed), "cached, paid again"),
    ]  # fmt: skip
    yield '<div class="tiles">'
    yield from (
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for value, name in tiles
    )
    yield "</div>\n"


def _legend(parts: tuple[tuple[str, str], ...]) -> str:
    marks = (
        f'<span><svg viewBox="0 0 10 10"><rect class="{kind}" width="10" height="10"/></svg>{escape(name)}</span>'
        for kind, name in parts
    )
    return f'<div class="legend">{"".join(marks)}</div>'


def _about(told: Timeline, zone: tzinfo, outcome: str) -> Iterator[str]:
    session = told.session
    facts = [
        ("session", session.id), ("folder", session.cwd), ("branch", session.branch),
        ("from", sketch.when(session.first_ms, zone)), ("to", sketch.when(session.last_ms, zone)),
        ("started by", session.parent_id), ("outcome", outcome),
    ]  # fmt: skip
    yield "<section><h2>About</h2><dl>"
    yield from (f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts if value)
    command = resume(session)
    if command:
        yield f"<dt>resume</dt><dd><code>{escape(command)}</code></dd>"
    yield from (f"<dt>not known</dt><dd>{escape(gap)}</dd>" for gap in sketch.gaps(told))
    yield "</dl></section>\n"


def _table(told: Timeline, zone: tzinfo) -> Iterator[str]:
    shown = told.turns[:TURNS_MAX]
    dearest = max((turn.tree.cost_nusd for turn in told.turns), default=0)
    yield '<section><h2>Turns</h2><div class="scroll"><table><thead><tr><th>#</th><th class="l">time</th><th class="l">model</th>'
    yield "<th>calls</th><th>input</th><th>read</th><th>written</th><th>output</th><th>missed</th><th>cost</th>"
    yield '<th class="w">what it did</th></tr></thead><tbody>\n'
    for turn in shown:
        yield from _turn(turn, zone, dear=bool(dearest) and turn.tree.cost_nusd == dearest)
    yield "</tbody></table></div>"
    if len(shown) < len(told.turns):
        yield f'<p class="dim">{len(told.turns) - len(shown):,} more turns are in the charts, and in the JSON export.</p>'
    yield "</section>\n"


def _turn(turn: Turn, zone: tzinfo, *, dear: bool) -> Iterator[str]:
    tokens = turn.tree.tokens
    writes = tokens.cache_write_5m + tokens.cache_write_1h
    cells = (
        f"{turn.tree.responses:,}", f"{tokens.input:,}", f"{tokens.cache_read:,}", f"{writes:,}", f"{tokens.output:,}",
        sketch.count(turn.missed), sketch.money(turn.tree),
    )  # fmt: skip
    mark = ' class="dear"' if dear else ""
    yield f'<tr{mark}><td>{turn.number}</td><td class="l">{escape(sketch.when(turn.at_ms, zone))}</td>'
    yield f'<td class="l">{escape(", ".join(map(text.short_model, turn.models)) or "?")}</td>'
    yield "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    said = ", ".join(part for part in (sketch.tools(turn), *sketch.events(turn)) if part) or "–"
    yield f'<td class="w"><details><summary>{escape(said)}</summary><ul>'
    for item in turn.items:
        yield from _item(item, zone)
    yield "</ul></details></td></tr>\n"


def _item(item: Item, zone: tzinfo) -> Iterator[str]:
    bad = item.kind in {"error", "limit", "interrupt"} or (
        item.deed is not None and item.deed.result in {"failed", "denied"}
    )
    at = sketch.when(item.at_ms, zone, date=False)
    mark = ' class="bad"' if bad else ""
    yield f'<li{mark}><span class="dim">{at}</span> {escape(sketch.item_line(item))}'
    if item.branch is not None:
        branch = item.branch
        title = branch.session.title or branch.session.id
        yield f"<br>sub-agent {escape(title)}: {escape(sketch.money(branch.tree))}<ul>"
        for turn in branch.turns:
            for inner in turn.items:
                yield from _item(inner, zone)
        yield "</ul>"
    yield "</li>"
