"""Who spent in a span of the past, and where a day's curve rose: lists to choose from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import ClassVar, TypeVar

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from tokentop import text
from tokentop.engine.days import local
from tokentop.nouns.recorded import Jump, Share, Spent
from tokentop.ui.glyphs import safe
from tokentop.ui.paint import Painted, Piece, fit
from tokentop.ui.screens.listpage import ListPage
from tokentop.ui.theme import Palette
from tokentop.ui.widgets.entries import Line, Note, entry_line
from tokentop.ui.widgets.limits import gauge

Chosen = TypeVar("Chosen")
_SHARE_TAKES = 52  # cells of a line without the names of session and model
_NAMED = 4  # who spent while the curve rose


class ChoiceList(Painted):
    """Lines of one entry each, with a cursor."""

    DEFAULT_CSS = "ChoiceList { height: 1fr; }"

    def __init__(self, count: int, line_of: Callable[[int, int], Line], empty: str) -> None:
        """`line_of` gives the line of an entry for so many cells."""
        super().__init__()
        self._count, self._line_of, self._empty = count, line_of, empty
        self.at = 0
        self._top = 0

    def move(self, by: int) -> None:
        self.at = min(max(self.at + by, 0), max(0, self._count - 1))
        height = max(1, self.size.height)
        self._top = min(max(self._top, self.at - height + 1), self.at)
        self.refresh()

    def line(self, y: int, width: int, palette: Palette) -> list[Piece]:
        number = y + self._top
        if not self._count and y == 1:
            return [("  " + self._empty, palette["muted"])]
        if number >= self._count:
            return [("", palette.base)]
        line = self._line_of(number, width - 2)
        return entry_line(line, width, palette, chosen=number == self.at)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        if 0 <= event.y + self._top < self._count:
            self.at = event.y + self._top
            self.refresh()


class ChoiceScreen(ListPage[Chosen | None]):
    """A head, entries, a foot. Enter answers with the entry under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,l,right", "choose", show=False)]
    DEFAULT_CSS = "ChoiceScreen #box { height: 80%; }"

    def __init__(
        self, head: Line, columns: Callable[[int], Line], entries: Sequence[Chosen],
        line_of: Callable[[Chosen, int], Line], foot: Sequence[Line], empty: str, verb: str, more: Line = (),
    ) -> None:  # fmt: skip
        super().__init__()
        self._entries = entries
        self._columns = columns
        self._heads = Note(())
        self._notes = [Note(head), self._heads]
        self._feet = [Note(line) for line in foot]
        self.list = ChoiceList(len(entries), lambda at, width: line_of(entries[at], width), empty)
        self._keys = Note(
            [("Enter", "key"), (f" {verb}  ", "muted"), ("j k", "key"), (" move  ", "muted"),
             *(piece for key, does in more for piece in ((key, "key"), (f" {does}  ", "muted"))),
             ("Esc", "key"), (" close", "muted")]
        )  # fmt: skip

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield from self._notes
            yield self.list
            yield from self._feet
            yield self._keys

    def on_resize(self) -> None:
        self._heads.show([("  ", ""), *self._columns(max(0, self.list.size.width - 2))])

    def action_move(self, by: int) -> None:
        self.list.move(by)

    def action_choose(self) -> None:
        if self.list.at < len(self._entries):
            self.dismiss(self._entries[self.list.at])


class SpanScreen(ChoiceScreen[Share]):
    """Sessions by their part of what was spent."""

    def __init__(self, spent: Spent, zone: tzinfo) -> None:
        total = spent.cost_nusd
        first, last = (local(at, zone) for at in (spent.from_ms, spent.until_ms))
        form = "%H:%M" if spent.from_ms % 60_000 == spent.until_ms % 60_000 == 0 else "%H:%M:%S"
        day = "" if first.date() == last.date() else f"{last:%a} "
        long = text.duration_long((spent.until_ms - spent.from_ms) / 1000).removesuffix("00s")
        head = [(f"{first:%a} {first:{form}} to {day}{last:{form}}", "title"), (f"  {long}  ", "muted"),
                (text.money(total, width=9), "strong"), (f" by {text.plural(len(spent.shares), 'session')}", "muted")]  # fmt: skip
        super().__init__(
            head, _share_heads, spent.shares, lambda share, width: _share_line(share, total, width), _rest(spent),
            "nothing was spent in this span", "its page, at its dearest turn then",
        )  # fmt: skip


def _session_room(width: int) -> tuple[int, int]:
    """(cells for the name of a session, for its model) of a line of so many."""
    model = 16 if width >= 90 else 0
    return max(10, width - _SHARE_TAKES - (model + 1 if model else 0)), model


def _share_heads(width: int) -> Line:
    name, model = _session_room(width)
    heads = f"{'SHARE':>6}{'COST':>20}  {'AGENT':<9} {'PROJECT':<12} {fit('SESSION', name)}"
    return [(heads + " MODEL" * bool(model), "head")]


def _share_line(share: Share, total: int, width: int) -> Line:
    room, model = _session_room(width)
    pct = 100 * share.cost_nusd / total if total else 0.0
    incomplete = bool(share.unpriced_tokens or share.unknown_calls)
    cost = "$?" if incomplete and not share.cost_nusd else text.money(
        share.cost_nusd, "≥" if incomplete else "≈" if share.estimated else "", width=8)  # fmt: skip
    name = safe(share.title, 60) or safe(share.session_id, 13)
    return [
        (f"{pct:5.1f}% ", "strong"), (gauge(pct, 10), "spark"), (f" {cost:>8}  ", ""),
        (fit(safe(share.agent, 20), 9) + " ", "muted"), (fit(safe(share.project, 40), 12) + " ", "muted"),
        (fit(name, room) + " ", ""), (fit(safe(text.short_model(share.model), 40), model), "dim"),
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

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "day(-1)", show=False),
        Binding("right_square_bracket", "day(1)", show=False),
    ]

    def __init__(
        self, jumps: Sequence[Jump], span: tuple[int, int], zone: tzinfo, other_day: Callable[[int], None]
    ) -> None:
        """`other_day` is given -1 or 1 where the day before or after is wanted."""
        self._other_day = other_day
        head = [("Where the bill jumped", "title"), (f"  {_days(span, zone)}, the steepest first", "muted")]
        columns: Line = [(f"{'TIME':<16}{'RISE':>9}{'SPENT':>9}  WHO", "head")]
        super().__init__(
            head, lambda _: columns, jumps, lambda jump, width: _jump_line(jump, span[1], zone, width), [],
            "nothing was spent in this time", "go there, and rank its sessions", (("[ ]", "day before, after"),),
        )  # fmt: skip

    def action_day(self, step: int) -> None:
        self.dismiss(None)
        self._other_day(step)


def _days(span: tuple[int, int], zone: tzinfo) -> str:
    """A day, or the hours up to now."""
    first, last = (local(at, zone) for at in (span[0], span[1] - 1))
    if first.date() == last.date():
        return f"{first:%a} {first.day} {first:%b}"
    return f"{first:%a %H:%M} to {last:%a %H:%M}"


def _jump_line(jump: Jump, end_ms: int, zone: tzinfo, width: int) -> Line:
    day = (
        f"{local(jump.from_ms, zone):%a} "
        if local(jump.from_ms, zone).date() != local(end_ms - 1, zone).date()
        else ""
    )
    span = f"{day}{text.clock(jump.from_ms, zone)}–{text.clock(jump.until_ms, zone)}"
    rise = text.money(jump.rise_nusd, "+", width=8)
    line: list[tuple[str, str]] = [
        (fit(span, 16), ""), (f"{rise:>9}", "muted"), (f"{text.money(jump.cost_nusd, width=8):>9}  ", "strong"),
    ]  # fmt: skip
    left = width - 36 - 4  # what is before, and how many more
    shown = 0
    for part in jump.parts[:_NAMED]:
        pct = f"{text.percent(100 * part.cost_nusd / jump.cost_nusd if jump.cost_nusd else 0.0)} "
        name = " ".join(word for word in (safe(part.agent, 20), safe(part.project, 30)) if word)
        left -= len(pct) + cell_len(name)
        if left < 0 and shown:
            break
        line += [(pct, "spark"), (f"{name}  ", "muted")]
        left -= 2
        shown += 1
    rest = len(jump.parts) - shown
    return [*line, (f"+{rest}", "dim")] if rest > 0 else line
