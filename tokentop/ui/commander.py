"""Carries actions from the keys to the source: plan, ask, execute, report. One at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, TypeVar

from tokentop.engine.aftermath import in_words
from tokentop.nouns.actions import Action, KillPlan, Receipt
from tokentop.nouns.picture import Row, Snapshot
from tokentop.ui.actions.batch import batch_result
from tokentop.ui.actions.plan import short_verb
from tokentop.ui.actions.receipt import receipt_lines, receipt_title, severity
from tokentop.ui.actions.sweep import sweep_result
from tokentop.ui.glyphs import safe
from tokentop.ui.screens.batch import BatchScreen
from tokentop.ui.screens.confirm import ConfirmScreen
from tokentop.ui.screens.dialog import Dialog
from tokentop.ui.screens.receipts import ReceiptsScreen
from tokentop.ui.screens.sweep import SweepScreen
from tokentop.ui.source import Source

if TYPE_CHECKING:
    from tokentop.ui.app import TokentopApp

_RECEIPTS = 500
_TOASTS = 3
T = TypeVar("T")
log = logging.getLogger(__name__)


class Commander:
    """The way of an action: the rows are frozen when the key is pressed, the plans when they are shown."""

    def __init__(self, app: TokentopApp, source: Source) -> None:
        self._app = app
        self._source = source
        self._busy = False
        self._told_busy = False  # that a key came while an action was under way; once for each action
        self._receipts: dict[tuple[int, str, int, str], Receipt] = {}  # of this run, oldest first
        self.dialog: ConfirmScreen | None = None
        self.asking = False  # a dialog is on its way: keys typed now are not for the table behind it
        self._given_up = False
        self._early = ""  # a key that was typed while the dialog was on its way

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """What was done in this run, oldest first."""
        return tuple(self._receipts.values())

    def stored(self) -> tuple[Receipt, ...]:
        """What the source knows of this and earlier runs. Blocks."""
        return self._source.receipts()

    def copy(self, command: str) -> None:
        self._app.copy_command(command)

    # ------------------------------------------------------------ beginnings

    def begin(self, row: Row, action: Action, dialog: bool) -> None:
        """Start an action unless one is under way; a second press cannot hit another row."""
        self._begin(lambda: self._run(row, action, dialog), action.value, dialog)

    def begin_batch(self, rows: Sequence[Row], action: Action) -> None:
        """Show what an action on these rows would hit, then carry out exactly that."""
        frozen = tuple(rows)
        self._begin(lambda: self._batch(frozen, action), action.value, dialog=True)

    def begin_sweep(self) -> None:
        """Show what a sweep would end, then end exactly that."""
        self._begin(self._sweep, "the sweep", dialog=True)

    def _begin(self, work: Callable[[], Coroutine[None, None, None]], what: str, dialog: bool) -> None:
        if self._app.read_only:
            return
        if self._busy:
            if not self.asking and not self._told_busy:
                self._told_busy = True
                self._toast("another action is still under way: nothing was sent for this key", "warning")
            return
        self._busy, self.asking, self._given_up, self._early = True, dialog, False, ""
        self._told_busy = False
        self._app.run_worker(self._guarded(work, what), group="actions", exit_on_error=False)

    async def _guarded(self, work: Callable[[], Coroutine[None, None, None]], what: str) -> None:
        try:
            await work()
        except Exception as error:
            log.exception("action %s", what)
            self._toast(f"{what} failed: {type(error).__name__}, see the log", "error")
        finally:
            self._busy = self.asking = False

    def give_up(self) -> None:
        """The dialog is not wanted any more: it will not open, and keys reach the table again."""
        self.asking, self._given_up = False, True

    def typed_early(self, key: str) -> None:
        """A key while the dialog is on its way: it does nothing, and the dialog will say so."""
        self._early = key

    async def _show(self, dialog: Dialog[T]) -> T:
        if self._early:
            dialog.too_early(self._early)
        try:
            return await self._app.push_screen_wait(dialog)
        finally:
            self.asking = False

    # ------------------------------------------------------------ the ways

    async def _run(self, row: Row, action: Action, dialog: bool) -> None:
        plan: KillPlan | None = await asyncio.to_thread(self._source.plan, row, action)
        if self._given_up:
            return
        if plan is not None and (dialog or _needs_question(plan, row)):
            plan = await self._ask(plan, row)
        if plan is not None:
            await self._execute(plan)

    async def _ask(self, plan: KillPlan, row: Row) -> KillPlan | None:
        async def replan(action: Action) -> KillPlan:
            return await asyncio.to_thread(self._source.plan, row, action)

        self.dialog = ConfirmScreen(plan, row, replan, self._app.live.now_ms())
        try:
            return await self._show(self.dialog)
        finally:
            self.dialog = None

    async def _batch(self, rows: Sequence[Row], action: Action) -> None:
        plans = await asyncio.to_thread(self._source.plan_many, rows, action)
        if self._given_up:
            return
        chosen = await self._show(BatchScreen(rows, plans, action, self._app.live.now_ms()))
        if not chosen:
            return
        receipts = await asyncio.to_thread(self._source.execute_many, chosen)
        for receipt in receipts:
            self._keep(receipt)
        self._toast(*batch_result(receipts), f"{short_verb(action)} {len(receipts)} tagged")

    async def _sweep(self) -> None:
        orphans = await asyncio.to_thread(self._source.plan_orphans)
        if self._given_up:
            return
        if not orphans:
            self._toast("no process without a living owner is left", "information")
            return
        screen = SweepScreen(orphans, self._app.live.now_ms())
        if not await self._show(screen):
            return
        plans = [orphan.plan for orphan in screen.doomed]
        done = await asyncio.to_thread(self._source.execute_many, plans)
        for receipt in done:
            self._keep(receipt)
        self._toast(*sweep_result(done))

    async def _execute(self, plan: KillPlan) -> None:
        if plan.refusal:
            self._toast(f"refused: {safe(plan.refusal)}", "warning")
            return
        receipt = await asyncio.to_thread(self._source.execute, plan)
        self._keep(receipt)
        body = "\n".join(receipt_lines(receipt, keys=True)) or receipt_title(receipt)
        self._toast(body, severity(receipt), receipt_title(receipt))

    # ------------------------------------------------------------ what came of it

    def _keep(self, receipt: Receipt) -> None:
        self._receipts[receipt.key] = receipt
        while len(self._receipts) > _RECEIPTS:
            del self._receipts[next(iter(self._receipts))]

    def take_over(self, snapshot: Snapshot) -> None:
        """What rules did stands among the receipts, once; what was spent after an action is added to its receipt.

        Only spend is told on the screen: that nothing was spent is what everybody expects.
        """
        for receipt in snapshot.acted:
            if receipt.key not in self._receipts:
                self._keep(receipt)
        late = []
        for receipt in snapshot.watched:
            known = self._receipts.get(receipt.key)
            if known is not None and known.after is None:
                self._receipts[receipt.key] = receipt
                late.append(receipt)
        for receipt in [one for one in late if one.after is not None and one.after.calls][:_TOASTS]:
            self._toast(safe(in_words(receipt.after), 300), "warning", f"{receipt_title(receipt)}, but")
        if late and isinstance(self._app.screen, ReceiptsScreen):
            self._app.screen.renew()

    def _toast(self, message: str, severity: str, title: str = "") -> None:
        kind = {"warning": "warning", "error": "error"}.get(severity, "information")
        self._app.notify(message, title=title, severity=kind, markup=False, timeout=8)  # type: ignore[arg-type]

    def row_left(self, keys: frozenset[str]) -> None:
        """Tell an open dialog that its row is not in the data any more."""
        if self.dialog is not None and self.dialog.is_mounted and self.dialog.row.key not in keys:
            self.dialog.gone()


def _needs_question(plan: KillPlan, row: Row) -> bool:
    """A single key is enough only for one process that certainly is the session's, where none may be ended."""
    sure = plan.confidence == "exact" and row.confidence in {"exact", ""}
    ends = plan.turn_only and bool(plan.tree)
    return not plan.refusal and (not sure or ends or bool(plan.shared_session_ids) or bool(plan.warning))
