"""The head of the screen of one session: what and where, its figures, the way back to it, what is not known."""

from __future__ import annotations

from datetime import tzinfo

from rich.cells import cell_len

from tokentop import text
from tokentop.engine.tally import Bought
from tokentop.engine.timeline import Timeline
from tokentop.export import sketch
from tokentop.export.brought import one_line
from tokentop.export.values import dollars, label, resume
from tokentop.nouns.sessions import Role
from tokentop.ui.glyphs import safe
from tokentop.ui.paint import Painted, Piece, fit
from tokentop.ui.theme import Palette

Lines = list[list[tuple[str, str]]]


class Facts(Painted):
    """A few lines, each cut where the room ends."""

    DEFAULT_CSS = "Facts { height: 3; }"

    def __init__(self) -> None:
        super().__init__()
        self.lines: Lines = []

    def show(self, lines: Lines) -> None:
        self.lines = lines
        self.styles.height = max(1, len(lines))
        self.refresh()

    def line(self, y: int, width: int, palette: Palette) -> list[Piece]:
        pieces: list[Piece] = [(" ", palette.base)]
        room = width - 1
        for part, role in self.lines[y] if y < len(self.lines) else []:
            shown = fit(part, min(room, cell_len(part)))
            pieces.append((shown, palette[role]))
            room -= cell_len(shown)
            if room <= 0:
                break
        return pieces


def facts_of(told: Timeline, bought: Bought | None, zone: tzinfo, now_ms: int, note: str) -> Lines:
    """Title and place; figures; what its tokens bought; the resume command; what is not known."""
    session = told.session
    agent = f"{label(session.agent)} {session.version}".strip()
    where = " ∙ ".join(filter(None, (agent, told.project, session.branch, session.cwd)))
    name = safe(session.title, 80) or f"({safe(session.id, 40)})"
    command = resume(session)
    lines: Lines = [
        [(name, "title"), (f"   {safe(where, 300)}", "dim")],
        _figures(told, zone, now_ms),
        _outcome(told, bought),
        [(f"y  {safe(command, 200)}" if command else "it is resumed through its parent", "dim")],
    ]
    gaps = [*([note] if note else []), *sketch.gaps(told)]
    if gaps:
        lines.append([(safe("; ".join(gaps), 400), "warm")])
    return lines


def _outcome(told: Timeline, bought: Bought | None) -> list[tuple[str, str]]:
    if bought is not None:
        return [
            ("outcome  ", "dim"),
            (safe(one_line(bought), 400), "good" if bought.sum.commits.both else "muted"),
        ]
    if told.session.parent_id and told.session.role == Role.SUB_AGENT:
        return [("outcome  of a sub-agent: that of the session that started it (u)", "dim")]
    return [("outcome  not looked at yet: tokentop outcome asks git and the logs", "dim")]


def _figures(told: Timeline, zone: tzinfo, now_ms: int) -> list[tuple[str, str]]:
    session, tree = told.session, told.tree
    turns, responses = text.plural(len(told.turns), "turn"), text.plural(tree.responses, "response")
    found = [(sketch.money(tree), "strong")]
    if told.tree != told.own:
        found.append((f" with sub-agents, {sketch.money(told.own)} without", "muted"))
    found.append((f"   {text.digits3(tree.tokens.total)} tokens   {turns}, {responses}", "muted"))
    prompt, missed = tree.tokens.prompt, sum(turn.missed for turn in told.turns)
    if prompt:
        found.append((f"   cache {text.percent(100 * tree.tokens.cache_read / prompt)}", "muted"))
    if missed:
        missed_nusd = sum(turn.missed_nusd for turn in told.turns)
        cost = f" ({dollars(missed_nusd)})" if missed_nusd else ""
        found.append((f", missed {text.digits3(missed)}{cost}", "warm"))
    if session.first_ms:
        lasted = text.duration_long(max(0, session.last_ms - session.first_ms) / 1000)
        found.append((f"   {text.clock_near(session.first_ms, now_ms, zone, by_day=True)}, {lasted}", "dim"))
    return found
