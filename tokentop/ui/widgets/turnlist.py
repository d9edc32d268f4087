"""The list of turns on Textual's line API: only what is on the screen is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo

from msgspec import Struct
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from tokentop import text
from tokentop.engine.timeline import Item, Turn
from tokentop.export import sketch
from tokentop.export.values import dollars
from tokentop.nouns.usage import Figures, Kind
from tokentop.ui.glyphs import safe
from tokentop.ui.paint import fit, palette_of, strip
from tokentop.ui.theme import Palette
from tokentop.ui.turns import Entry, TurnView, is_trouble

Cells = dict[str, tuple[str, str]]  # column -> (text, role)


class Column(Struct, frozen=True):
    """One column: `first` = from what width of the list on."""

    id: str
    head: str
    width: int
    first: int = 0
    right: bool = True


COLUMNS = (
    Column("time", "TIME", 8, right=False),
    Column("what", "TURN", 0, right=False),
    Column("model", "MODEL", 12, 96, right=False),
    Column("took", "TOOK", 6, 84),
    Column("calls", "RESP", 5, 132),
    Column("input", "INPUT", 6, 150),
    Column("reads", "READ", 6, 68),
    Column("writes", "WRITE", 6, 104),
    Column("output", "OUTPUT", 6, 76),
    Column("missed", "MISSED", 6, 116),
    Column("cost", "COST", 8),
)
_ROLES = {"error": "error", "limit": "limited", "interrupt": "warm", "action": "frozen", "permission": "permission",
          "compaction": "muted", "agent": "key", "hidden": "muted"}  # fmt: skip


def placed(width: int) -> list[tuple[Column, int]]:
    """The columns that fit, each with its width; WHAT takes the rest."""
    shown = [column for column in COLUMNS if width >= column.first]
    taken = 2 + sum(column.width for column in shown) + len(shown) - 1
    return [(column, column.width or max(10, width - taken)) for column in shown]


def cells_of(entry: Entry, zone: tzinfo) -> Cells:
    """What stands in each column of a line, but for `what`."""
    if entry.turn is not None:
        turn = entry.turn
        found = _figures(turn.tree, turn.missed)
        found["calls"] = f"{turn.tree.responses:,}", ""
        found["time"] = sketch.when(turn.at_ms, zone, date=False), "muted"
        found["took"] = sketch.seconds(took_ms) if (took_ms := _took_ms(turn)) else "", "dim"
        found["model"] = safe(", ".join(map(text.short_model, turn.models)), 40) or "?", "muted"
        return found
    item = entry.item
    assert item is not None
    found = {"time": (sketch.when(item.at_ms, zone, date=False) if item.at_ms else "", "faint")}
    if item.event is not None:
        usage = item.event.usage
        found |= _of_call(item)
        found["model"] = safe(text.short_model(usage.model), 40) or "?", "dim"
        found["took"] = sketch.seconds(usage.duration_ms) if usage.duration_ms else "", "dim"
    elif item.branch is not None:
        found |= _figures(item.branch.tree, sum(turn.missed for turn in item.branch.turns))
        found["calls"] = f"{item.branch.tree.responses:,}", "dim"
    if item.deed is not None and item.deed.took_ms is not None:
        found["took"] = sketch.seconds(item.deed.took_ms), "dim"
    return found


def _took_ms(turn: Turn) -> int:
    """0 = not known, as of a response of which the log gives one time alone."""
    if not turn.prompted and len(turn.items) == 1 and (event := turn.items[0].event) is not None:
        return event.usage.duration_ms
    return max(0, turn.end_ms - turn.at_ms) if turn.at_ms else 0


def _figures(own: Figures, missed: int) -> Cells:
    tokens = own.tokens
    writes = tokens.cache_write_5m + tokens.cache_write_1h
    cost = sketch.money(own) if own.responses or own.cost_nusd or own.unknown_calls else "–"
    return {
        "input": (text.digits3(tokens.input), ""), "reads": (text.digits3(tokens.cache_read), "dim"),
        "writes": (text.digits3(writes), ""), "output": (text.digits3(tokens.output), ""),
        "missed": (text.digits3(missed), "warm") if missed else ("", ""),
        "cost": (cost, "strong" if cost.startswith(("$", "≈")) else "dim"),
    }  # fmt: skip


def _of_call(item: Item) -> Cells:
    event = item.event
    assert event is not None
    if event.usage.kind is Kind.UNKNOWN:
        cost = "?" if event.cost_nusd is None else dollars(event.cost_nusd)
        return {"cost": (cost, "dim"), **dict.fromkeys(("input", "reads", "writes", "output"), ("?", "dim"))}
    figures = Figures(event.usage.tokens, 1, event.cost_nusd or 0, estimated=event.estimated)
    found = {
        name: (shown, "dim" if role in {"", "strong"} else role)
        for name, (shown, role) in _figures(figures, item.miss.tokens).items()
    }
    if event.cost_nusd is None:
        found["cost"] = "$?", "dim"
    return found


def what(entry: Entry, opened: bool) -> Iterator[tuple[str, str]]:
    """The words of a line: tree, what it is, what stands out."""
    mark = ("▾ " if opened else "▸ ") if entry.opens else "  "
    yield "  " * entry.depth + mark, "dim"
    if entry.turn is not None:
        yield from _of_turn(entry.turn)
    elif entry.item is not None:
        yield from _of_item(entry.item)


_BAD = ("error", "limit", "interrupt", "tool", "tests failed", "terminate", "kill")


def _of_turn(turn: Turn) -> Iterator[tuple[str, str]]:
    """Its number, what went wrong, its tools, what else stands out: a narrow screen cuts from the end."""
    yield f"{turn.number:<4}", "strong"
    told = sketch.events(turn)
    bad = [one for one in told if one.split("x ")[-1].startswith(_BAD)]
    pieces = [(one, "error") for one in bad]
    if shown := sketch.tools(turn):
        pieces.append((shown, ""))
    pieces += [(one, "muted") for one in told if one not in bad]
    if not pieces:
        pieces = [("reply" if turn.own.responses else "prompt without an answer", "dim")]
    for at, (piece, role) in enumerate(pieces):
        yield ("  " if at else "") + safe(piece, 120), role


def _of_item(item: Item) -> Iterator[tuple[str, str]]:
    deed = item.deed
    if item.event is not None:
        kind = item.event.usage.kind
        name = {Kind.HIDDEN: "hidden spend", Kind.UNKNOWN: "response, its tokens are not in the log"}.get(
            kind, "response"
        )
        yield name, "muted"
        if item.miss.tokens:
            why = f", {item.miss.why}" if item.miss.why else ""
            yield f"  missed the cache{why}", "warm"
    elif item.kind == "tool" and deed is not None:
        bad = is_trouble(item)
        yield safe(deed.name, 40), "error" if bad else "key"
        yield " " + safe(deed.target.replace("\n", ", "), 200) if deed.target else "", ""
        if deed.added is not None:
            yield f"  +{deed.added} -{deed.removed}", "good"
        if new := sketch.made(deed):
            yield f"  {safe(new, 80)}", "good"
        if deed.again:
            yield f"  again {deed.again}", "warm"
        if deed.tests:
            yield f"  tests {deed.tests}", {"passed": "good", "failed": "error"}.get(deed.tests, "dim")
        if deed.result not in {"ok", ""} and deed.tests not in {"passed", "failed"}:
            yield f"  {sketch.result(deed.result)}", "error" if bad else "tool"
    else:
        yield safe(sketch.short(item), 100), _ROLES.get(item.kind, "")
    if item.branch is not None:
        yield "  " + safe(item.branch.session.title or item.branch.session.id, 80), "strong"


class TurnList(ScrollView, can_focus=True, inherit_bindings=False):
    """Draws a TurnView."""

    class Moved(Message):
        """The cursor is on another line."""

    class Opened(Message):
        """The line under the cursor was clicked again."""

    DEFAULT_CSS = """
    TurnList { height: 1fr; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; overflow-x: hidden; }
    """

    def __init__(self, view: TurnView, zone: tzinfo) -> None:
        super().__init__()
        self.view, self._zone = view, zone

    def renew(self) -> None:
        """Lines came, went or moved."""
        self.virtual_size = Size(self.room, len(self.view.lines))
        self.show_cursor()
        self.refresh()
        self.post_message(self.Moved())

    @property
    def room(self) -> int:
        return self.scrollable_content_region.width or self.size.width

    def on_resize(self) -> None:
        self.renew()

    def watch_show_vertical_scrollbar(self) -> None:
        self.call_after_refresh(self.renew)  # the columns have another room

    def show_cursor(self) -> None:
        """Scroll until the cursor line is visible."""
        top, height, at = self.scroll_offset.y, self.size.height, self.view.at
        if height <= 0:
            return
        if at < top:
            self.scroll_to(y=at, animate=False, immediate=True)
        elif at >= top + height:
            self.scroll_to(y=at - height + 1, animate=False, immediate=True)

    def on_click(self, event: events.Click) -> None:
        at = event.y + self.scroll_offset.y
        if 0 <= at < len(self.view.lines):
            event.stop()
            again, self.view.at = at == self.view.at, at
            self.renew()
            if again:
                self.post_message(self.Opened())

    def render_line(self, y: int) -> Strip:
        palette, width = palette_of(self), self.room
        at = y + self.scroll_offset.y
        if at >= len(self.view.lines):
            return strip((), width, palette.base)
        return self._line(at, width, palette)

    def _line(self, at: int, width: int, palette: Palette) -> Strip:
        entry = self.view.lines[at]
        chosen = at == self.view.at
        style = palette.selected if chosen else palette.__getitem__
        found = cells_of(entry, self._zone)
        pieces = [("> " if chosen else "  ", style("strong"))]
        for number, (column, room) in enumerate(placed(width)):
            if number:
                pieces.append((" ", style("")))
            if column.id == "what":
                pieces += [
                    (part, style(role))
                    for part, role in _fitted(what(entry, entry.key in self.view.open), room)
                ]
            else:
                shown, role = found.get(column.id, ("", ""))
                pieces.append((fit(shown, room, column.right), style(role)))
        return strip(pieces, width, style(""))


def _fitted(pieces: Iterator[tuple[str, str]], room: int) -> Iterator[tuple[str, str]]:
    """Pieces in exactly so many cells."""
    from rich.cells import cell_len

    for part, role in pieces:
        size = cell_len(part)
        if size > room:
            yield fit(part, room), role
            return
        yield part, role
        room -= size
    yield " " * room, ""


class TurnHead(Widget):
    """The heads of the columns."""

    DEFAULT_CSS = "TurnHead { height: 1; }"

    def __init__(self, listed: TurnList) -> None:
        super().__init__()
        self._list = listed

    def render_line(self, y: int) -> Strip:
        palette = palette_of(self)
        pieces = [("  ", palette["head"])]
        for number, (column, room) in enumerate(placed(self._list.room or self.size.width)):
            head = "    " + column.head if column.id == "what" else column.head
            pieces.append(((" " if number else "") + fit(head, room, column.right), palette["head"]))
        return strip(pieces, self.size.width, palette.base)
