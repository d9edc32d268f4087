"""The drawer of receipts: what was done to processes, in this run and before, and how to resume what was ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from tokentop import text
from tokentop.nouns.actions import Receipt
from tokentop.ui.actions.receipt import receipt_brief, receipt_details, receipt_title, severity
from tokentop.ui.glyphs import safe
from tokentop.ui.paint import Painted, Piece
from tokentop.ui.screens.listpage import ListPage
from tokentop.ui.theme import Palette
from tokentop.ui.widgets.entries import Line, Note, entry_line

if TYPE_CHECKING:
    from tokentop.ui.commander import Commander

log = logging.getLogger(__name__)
_ROLES = {"information": "good", "warning": "warm", "error": "error"}
Placed = tuple[Line, int]  # with the place of its receipt
_CLOSE = (("Esc", "key"), (" close", "muted"))
_NOTHING = (
    "Each turn that is stopped and each process that is frozen or ended",
    "leaves its receipt here: what was signalled, what ended and how fast,",
    "what was spent in the 10 s after, and the command that resumes it.",
)


class ReceiptList(Painted):
    """Lines of receipts, the newest first; the one under the cursor may be unfolded."""

    DEFAULT_CSS = "ReceiptList { height: 1fr; }"

    def __init__(self, now_ms: int) -> None:
        super().__init__()
        self._now_ms = now_ms
        self._lines: list[Placed] = []
        self._top = 0
        self.receipts: tuple[Receipt, ...] = ()
        self.at = 0
        self.open = False

    def show(self, receipts: Sequence[Receipt], now_ms: int) -> None:
        """Take receipts; the cursor stays on its receipt."""
        chosen = self.chosen
        self.receipts, self._now_ms = tuple(receipts), now_ms
        keys = [receipt.key for receipt in self.receipts]
        self.at = keys.index(chosen.key) if chosen is not None and chosen.key in keys else 0
        self.lay_out()

    @property
    def chosen(self) -> Receipt | None:
        return self.receipts[self.at] if self.at < len(self.receipts) else None

    def move(self, by: int) -> None:
        self.at = min(max(self.at + by, 0), max(0, len(self.receipts) - 1))
        self.lay_out()

    def lay_out(self) -> None:
        self._lines = [line for at in range(len(self.receipts)) for line in self._of(at)]
        places = [number for number, (_, at) in enumerate(self._lines) if at == self.at]
        if places:  # all of the chosen one in view, its head before its tail
            height = max(1, self.size.height)
            self._top = max(self._top, places[-1] - height + 1)
            self._top = min(self._top, places[0])
        self.refresh()

    def on_resize(self) -> None:
        self.lay_out()

    def on_click(self, event: events.Click) -> None:
        event.stop()
        if 0 <= event.y + self._top < len(self._lines):
            self.at = self._lines[event.y + self._top][1]
            self.lay_out()

    def _of(self, at: int) -> Iterator[Placed]:
        receipt = self.receipts[at]
        role = _ROLES[severity(receipt)]
        when = text.clock_near(receipt.at_ms, self._now_ms)
        name = safe(receipt.title, 60) or safe(receipt.session_id, 13)
        yield [(f"{when}  ", "dim"), (receipt_title(receipt), role), (f"  {name}", "muted"),
               (f"  {safe(receipt.project or receipt.cwd, 60)}", "dim")], at  # fmt: skip
        lines = receipt_details(receipt) if self.open and at == self.at else receipt_brief(receipt)
        for line in lines:
            yield [(f"       {line}", "muted")], at

    def line(self, y: int, width: int, palette: Palette) -> list[Piece]:
        number = y + self._top
        if not self.receipts and y - 1 in range(len(_NOTHING)):
            return [("  " + _NOTHING[y - 1], palette["muted"])]
        if number >= len(self._lines):
            return [("", palette.base)]
        pieces, at = self._lines[number]
        first = number == 0 or self._lines[number - 1][1] != at
        return entry_line(pieces, width, palette, chosen=at == self.at, first=first)


class ReceiptsScreen(ListPage[None]):
    """Newest first. What earlier runs did is asked for in a thread and comes when it comes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("R", "close", show=False),
        Binding("enter,l,right", "open", "details", show=False),
        Binding("y", "copy", "copy the resume command", show=False),
        Binding("o", "resume", "resume in a new tmux window", show=False),
    ]

    def __init__(self, commander: Commander, now_ms: int, resume: Callable[[Receipt], None] | None) -> None:
        """`resume` starts what a receipt ended again; None where nothing may be started."""
        super().__init__()
        self._commander = commander
        self._resume = resume
        self._now_ms = now_ms
        self._earlier: tuple[Receipt, ...] = ()
        self._title = Note([("Receipts", "title"), ("  reading those of earlier runs", "dim")])
        resumes = [("o", "key"), (" resume in tmux  ", "muted")] if resume is not None else []
        self._hints = [("y", "key"), (" copy resume  ", "muted"), *resumes, ("Enter", "key"), (" details  ", "muted"),
                       ("j k", "key"), (" move  ", "muted")]  # fmt: skip
        self._keys = Note(_CLOSE)
        self.list = ReceiptList(now_ms)

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield self._title
            yield self.list
            yield self._keys

    def on_mount(self) -> None:
        self.renew()
        self.run_worker(self._ask(), exit_on_error=False)

    async def _ask(self) -> None:
        why = ""
        try:
            self._earlier = await asyncio.to_thread(self._commander.stored)
        except Exception as error:
            log.exception("receipts")
            why = f"; earlier ones could not be read: {type(error).__name__}"
        self.renew()
        count = len(self.list.receipts)
        said = text.plural(count, "action") if count else "nothing was done to any process yet"
        self._title.show(
            [("Receipts", "title"), (f"  {said}, newest first{why}" if count else f"  {said}{why}", "dim")]
        )

    def renew(self) -> None:
        """A receipt came or was added to."""
        self.list.show(self._merged(), self._now_ms)
        self._keys.show([*self._hints, *_CLOSE] if self.list.receipts else _CLOSE)

    def _merged(self) -> list[Receipt]:
        """Those of this run and the stored ones, each once; of two the one that was watched to its end."""
        found = {receipt.key: receipt for receipt in self._earlier}
        for receipt in self._commander.receipts:
            known = found.get(receipt.key)
            if known is None or known.after is None:
                found[receipt.key] = receipt
        return sorted(found.values(), key=lambda receipt: -receipt.at_ms)

    def action_move(self, by: int) -> None:
        self.list.move(by)

    def action_open(self) -> None:
        self.list.open = not self.list.open
        self.list.lay_out()

    def action_resume(self) -> None:
        if self._resume is not None and self.list.chosen is not None:
            self._resume(self.list.chosen)

    def action_copy(self) -> None:
        receipt = self.list.chosen
        if receipt is None or not receipt.resume:
            self.app.notify("this receipt has no resume command", markup=False, timeout=3)
        else:
            self._commander.copy(receipt.resume)
