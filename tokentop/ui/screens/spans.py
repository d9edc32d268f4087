"""Who spent in a span of the past, and where a day's curve rose: lists to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import ClassVar, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from tokentop import text
from tokentop.recorded import Jump, Share, Spent
from tokentop.ui.glyphs import safe
from tokentop.ui.over import Over
from tokentop.ui.paint import Painted, Piece, fit
from tokentop.ui.screens.receipts import Note
from tokentop.ui.theme import Palette
from tokentop.ui.widgets.limits import gauge

Line = Sequence[tuple[str, str]]  # pieces (text, role)
Chosen = TypeVar("Chosen")
_NAMED = 4  # who spent while the curve rose


class ChoiceList(Painted):
    """Lines of one entry each, with a cursor."""

    DEFAULT_CSS = "ChoiceList { height: 1fr; }"

    def __init__(self, lines: Sequence[Line], empty: str) -> None:
        super().__init__()
        self._lines, self._empty = lines, empty
        self.at = 0
        self._top = 0

    def move(self, by: int) -> None:
        self.at = min(max(self.at + by, 0), max(0, len(self._lines) - 1))
        height = max(1, self.size.height)
        self._top = min(max(self._top, self.at - height + 1), self.at)
        self.refresh()

    def line(self, y: int, width: int, palette: Palette) -> list[Piece]:
        number = y + self._top
        if not self._lines and y == 1:
            return [("  " + self._empty, palette["muted"])]
        if number >= len(self._lines):
            return [("", palette.base)]
        chosen = number == self.at
        style = palette.selected if chosen else palette.__getitem__
        pieces = [("> " if chosen else "  ", style("strong"))]
        pieces += [(piece, style(role)) for piece, role in self._lines[number]]
        pieces.append((" " * max(0, width - sum(len(piece) for piece, _ in pieces)), style("")))
        return pieces

    def on_click(self, event: events.Click) -> None:
        event.stop()
        if 0 <= event.y + self._top < len(self._lines):
            self.at = event.y + self._top
            self.refresh()


class ChoiceScreen(Over[Chosen | None]):
    """A head, entries, a foot. Enter answers with the entry under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,left", "close", "close", show=False),
        Binding("j,down", "move(1)", show=False),
        Binding("k,up", "move(-1)", show=False),
        Binding("pagedown,space", "move(10)", show=False),
        Binding("pageup", "move(-10)", show=False),
        Binding("g,home", "move(-100000)", show=False),
        Binding("G,end", "move(100000)", show=False),
        Binding("enter,l,right", "choose", show=False),
    ]
    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    ChoiceScreen { align: center middle; background: $background 55%; }
    ChoiceScreen #box {
        width: 94%; max-width: 130; height: 80%; padding: 0 1; background: $surface; border: round $primary;
    }
    """

    def __init__(
        self, head: Line, columns: Line, entries: Sequence[Chosen], lines: Sequence[Line], foot: Sequence[Line],
        empty: str, verb: str,
    ) -> None:  # fmt: skip
        super().__init__()
        self._entries = entries
        self._notes = [Note(head), Note(columns)]
        self._feet = [Note(line) for line in foot]
        self.list = ChoiceList(lines, empty)
        self._keys = Note(
            [("Enter", "key"), (f" {verb}  ", "muted"), ("j k", "key"), (" move  ", "muted"), ("Esc", "key"),
             (" close", "muted")]
        )  # fmt: skip

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield from self._notes
            yield self.list
            yield from self._feet
            yield self._keys

    def action_close(self) -> None:
        self.dismiss(None)

    def action_move(self, by: int) -> None:
        self.list.move(by)

    def action_choose(self) -> None:
        if self.list.at < len(self._entries):
            self.dismiss(self._entries[self.list.at])


class SpanScreen(ChoiceScreen[Share]):
    """Sessions by their part of what was spent."""

    def __init__(self, spent: Spent, zone: tzinfo) -> None:
        total = spent.cost_nusd
        long = text.duration_long((spent.until_ms - spent.from_ms) / 1000)
        span = " to ".join(text.clock(at, zone, seconds=True) for at in (spent.from_ms, spent.until_ms))
        head = [(f"{span}", "title"), (f"  {long}  ", "muted"), (text.money(total, width=9), "strong"),
                (f" by {text.plural(len(spent.shares), 'session')}", "muted")]  # fmt: skip
        columns = [
            (
                f"  {'SHARE':>6}            {'COST':>8}  {'AGENT':<9} {'PROJECT':<12} {'SESSION':<40} MODEL",
                "head",
            )
        ]
        super().__init__(
            head, columns, spent.shares, [_share_line(share, total) for share in spent.shares], _rest(spent),
            "nothing was spent in this span", "its page, turn by turn",
        )  # fmt: skip


def _share_line(share: Share, total: int) -> Line:
    pct = 100 * share.cost_nusd / total if total else 0.0
    incomplete = bool(share.unpriced_tokens or share.unknown_calls)
    cost = "$?" if incomplete and not share.cost_nusd else text.money(
        share.cost_nusd, "≥" if incomplete else "≈" if share.estimated else "", width=8)  # fmt: skip
    name = safe(share.title, 60) or safe(share.session_id, 13)
    return [
        (f"{pct:5.1f}% ", "strong"), (gauge(pct, 10), "spark"), (f" {cost:>8}  ", ""),
        (fit(safe(share.agent, 20), 9) + " ", "muted"), (fit(safe(share.project, 40), 12) + " ", "muted"),
        (fit(name, 40) + " ", ""), (fit(safe(text.short_model(share.model), 40), 16), "dim"),
    ]  # fmt: skip


def _rest(spent: Spent) -> list[Line]:
    """What the shares do not tell."""
    unpriced = sum(share.unpriced_tokens for share in spent.shares)
    unknown = sum(share.unknown_calls for share in spent.shares)
    lines: list[Line] = []
    if unpriced:
        lines.append([(f"{unpriced:,} tokens have no price and are in no share", "warm")])
    if unknown:
        lines.append([(f"{text.plural(unknown, 'call')} without usage in the log: cost not known", "warm")])
    return lines


class JumpsScreen(ChoiceScreen[Jump]):
    """Where the curve of a day rose the steepest, and who made it rise."""

    def __init__(self, jumps: Sequence[Jump], day_ms: int, zone: tzinfo) -> None:
        day = text.clock_near(day_ms, day_ms + 10 * 86_400_000, zone)
        head = [("Where the bill jumped", "title"), (f"  {day}, the steepest first", "muted")]
        columns = [(f"  {'TIME':<14}{'RISE':>9}{'SPENT':>9}  WHO", "head")]
        super().__init__(
            head, columns, jumps, [_jump_line(jump, zone) for jump in jumps], [], "nothing was spent on this day",
            "go there, and rank its sessions",
        )  # fmt: skip


def _jump_line(jump: Jump, zone: tzinfo) -> Line:
    span = f"{text.clock(jump.from_ms, zone)}–{text.clock(jump.until_ms, zone)}"
    rise = text.money(jump.rise_nusd, "+", width=8)
    line: list[tuple[str, str]] = [
        (fit(span, 14), ""), (f"{rise:>9}", "muted"), (f"{text.money(jump.cost_nusd, width=8):>9}  ", "strong"),
    ]  # fmt: skip
    for part in jump.parts[:_NAMED]:
        pct = 100 * part.cost_nusd / jump.cost_nusd if jump.cost_nusd else 0.0
        name = " ".join(word for word in (safe(part.agent, 20), safe(part.project, 30)) if word)
        line += [(f"{pct:.0f}% ", "spark"), (f"{name}   ", "muted")]
    rest = len(jump.parts) - _NAMED
    return [*line, (f"+{rest}", "dim")] if rest > 0 else line
