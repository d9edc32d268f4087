"""Carries actions from the keys to the source: plan, ask, execute, report. One at a time."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tokentop.model import Action, KillPlan, Receipt, Row
from tokentop.ui import words
from tokentop.ui.glyphs import safe
from tokentop.ui.screens.confirm import ConfirmScreen
from tokentop.ui.screens.sweep import SweepScreen
from tokentop.ui.source import Source

if TYPE_CHECKING:
    from tokentop.ui.app import TokentopApp

_RECEIPTS = 50
log = logging.getLogger(__name__)


class Commander:
    """The way of an action: the row is frozen when the key is pressed, the plan when it is shown."""

    def __init__(self, app: TokentopApp, source: Source) -> None:
        self._app = app
        self._source = source
        self._busy = False
        self.receipts: deque[Receipt] = deque(maxlen=_RECEIPTS)
        self.dialog: ConfirmScreen | None = None
        self.asking = False  # a dialog is on its way: keys typed now are not for the table behind it
        self._given_up = False

    def begin(self, row: Row, action: Action, dialog: bool) -> None:
        """Start an action unless one is under way; a second press cannot hit another row."""
        if self._busy or self._app.read_only:
            return
        self._busy, self.asking, self._given_up = True, dialog, False
        self._app.run_worker(self._run(row, action, dialog), group="actions", exit_on_error=False)

    def begin_sweep(self) -> None:
        """Show what a sweep would end, then end exactly that."""
        if self._busy or self._app.read_only:
            return
        self._busy, self.asking, self._given_up = True, True, False
        self._app.run_worker(self._sweep(), group="actions", exit_on_error=False)

    async def _sweep(self) -> None:
        try:
            orphans = await asyncio.to_thread(self._source.plan_orphans)
            if self._given_up:
                return
            if not orphans:
                self._toast("no process without a living owner is left", "information")
                return
            screen = SweepScreen(orphans, self._app.live.now_ms())
            if not await self._app.push_screen_wait(screen):
                return
            self.asking = False
            done = []
            for orphan in screen.doomed:
                done.append(await asyncio.to_thread(self._source.execute, orphan.plan))
                self.receipts.append(done[-1])
            self._toast(*words.sweep_result(done))
        except Exception as error:
            log.exception("sweep")
            self._toast(f"the sweep failed: {type(error).__name__}, see the log", "error")
        finally:
            self._busy = self.asking = False

    def give_up(self) -> None:
        """The dialog is not wanted any more: it will not open, and keys reach the table again."""
        self.asking, self._given_up = False, True

    async def _run(self, row: Row, action: Action, dialog: bool) -> None:
        try:
            plan: KillPlan | None = await asyncio.to_thread(self._source.plan, row, action)
            if self._given_up:
                return
            if plan is not None and (dialog or _needs_question(plan, row)):
                plan = await self._ask(plan, row)
            if plan is not None:
                await self._execute(plan)
        except Exception as error:
            log.exception("action %s", action.value)
            self._toast(f"{action.value} failed: {type(error).__name__}, see the log", "error")
        finally:
            self._busy = self.asking = False

    async def _ask(self, plan: KillPlan, row: Row) -> KillPlan | None:
        async def replan(action: Action) -> KillPlan:
            return await asyncio.to_thread(self._source.plan, row, action)

        self.dialog = ConfirmScreen(plan, row, replan, self._app.live.now_ms())
        try:
            return await self._app.push_screen_wait(self.dialog)
        finally:
            self.dialog, self.asking = None, False

    async def _execute(self, plan: KillPlan) -> None:
        if plan.refusal:
            self._toast(f"refused: {safe(plan.refusal)}", "warning")
            return
        receipt = await asyncio.to_thread(self._source.execute, plan)
        self.receipts.append(receipt)
        body = "\n".join(words.receipt_lines(receipt)) or words.receipt_title(receipt)
        self._toast(body, words.severity(receipt), words.receipt_title(receipt))

    def take_over(self, acted: Sequence[Receipt]) -> None:
        """What rules did stands among the receipts, once; their notices are shown elsewhere."""
        known = {(receipt.at_ms, receipt.pid, receipt.result) for receipt in self.receipts}
        for receipt in acted:
            if (receipt.at_ms, receipt.pid, receipt.result) not in known:
                self.receipts.append(receipt)

    def _toast(self, message: str, severity: str, title: str = "") -> None:
        kind = {"warning": "warning", "error": "error"}.get(severity, "information")
        self._app.notify(message, title=title, severity=kind, markup=False, timeout=8)  # type: ignore[arg-type]

    def row_left(self, keys: frozenset[str]) -> None:
        """Tell an open dialog that its row is not in the data any more."""
        if self.dialog is not None and self.dialog.is_mounted and self.dialog.row.key not in keys:
            self.dialog.gone()


def _needs_question(plan: KillPlan, row: Row) -> bool:
    """A single key is enough only for one process that certainly is the session's."""
    sure = plan.confidence == "exact" and row.confidence in {"exact", ""}
    return not plan.refusal and (not sure or bool(plan.shared_session_ids) or bool(plan.warning))
