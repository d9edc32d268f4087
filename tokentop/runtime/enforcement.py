"""Rules beside the collector: each new picture is judged once, in its thread."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tokentop.nouns.actions import Countdown, Notice, Receipt
from tokentop.nouns.picture import Snapshot
from tokentop.settings.config import Settings

from .actions import Actions

if TYPE_CHECKING:
    from tokentop.collector import Collector
    from tokentop.enforce import Enforcer

log = logging.getLogger(__name__)


class Enforcement:
    """What rules do while the collector runs; where none is on, they answer who asks. All but `cancel` is for its thread.

    Each action has a thread of its own, as a person's has a worker of the screen, and notices go to the desktop from
    one more.
    """

    def __init__(self, folder: Path, settings: Settings, actions: Actions) -> None:
        self._folder, self._settings, self._actions = folder, settings, actions
        self._cancels: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._notices: queue.SimpleQueue[Notice] = queue.SimpleQueue()
        self._enforcer: Enforcer | None = None
        self._newest: Snapshot | None = None  # not judged yet
        self._remembered = False

    def cancel(self, number: int) -> None:
        """Call a rule's countdown off; from any thread."""
        self._cancels.put(number)

    def begin(self, collector: Collector) -> None:
        rules, notify = self._settings.rules, self._settings.notify
        if not any(rule.on for _, rule in rules.items()):
            return
        from tokentop.enforce import Enforcer

        if notify.desktop:
            threading.Thread(target=self._show_notices, name="notices", daemon=True).start()
        self._enforcer = Enforcer(
            rules, read_only=self._settings.read_only, plan=collector.plan, act=self._actions.execute_apart,
            keep=collector.keep, tell=self._notices.put if notify.desktop else lambda _: None,
        )  # fmt: skip

    def dress(self, snapshot: Snapshot) -> Snapshot:
        """A new picture, to be judged next, with what rules are about to do, have told and have done."""
        self._newest = snapshot
        return snapshot if self._enforcer is None else self._enforcer.dress(snapshot)

    def judge(self, collector: Collector) -> Snapshot | None:
        """Look at the newest picture; the same one, dressed, where rules have news to show on it.

        An error in a rule is said and the collector goes on.
        """
        enforcer, snapshot = self._enforcer, self._newest
        self._newest = None
        if snapshot is None:
            return None
        before = None if enforcer is None else enforcer.news
        try:
            if enforcer is None:
                self._answer_others(snapshot, list)
            else:
                self._enforce(enforcer, snapshot, collector)
        except Exception:
            log.exception("rules")
            collector.note("rules", "stopped for a moment by an error; see the log file")
        return None if enforcer is None or enforcer.news == before else enforcer.dress(snapshot)

    def _enforce(self, enforcer: Enforcer, snapshot: Snapshot, collector: Collector) -> None:
        if not self._remembered and (receipts := collector.receipts()) is not None:
            enforcer.remember(receipts, snapshot.at_ms)
            self._remembered = True
        self._call_off(enforcer, snapshot)
        if self._remembered:
            enforcer.step(snapshot)

    def _call_off(self, enforcer: Enforcer, snapshot: Snapshot) -> None:
        """What a person calls off: one countdown on the screen, or all from another program."""

        def all_of_them() -> list[Countdown]:
            return [one for one in enforcer.dress(snapshot).countdowns if enforcer.cancel(one.id)]

        while not self._cancels.empty():
            enforcer.cancel(self._cancels.get())
        self._answer_others(snapshot, all_of_them)

    def _answer_others(self, snapshot: Snapshot, call_off: Callable[[], Sequence[Countdown]]) -> None:
        """Answer what other programs ask to have called off; where no rule is on, that it was nothing."""
        from tokentop.store import calloff

        if snapshot.mode == "live":  # it is the one that acts
            calloff.serve(self._folder, call_off)

    def finished(self, receipt: Receipt) -> None:
        """An action has been carried out, whoever wanted it."""
        if self._enforcer is not None:
            self._enforcer.finished(receipt)

    def _show_notices(self) -> None:
        """One after the other: the desktop's program may take seconds."""
        from tokentop.notify import Limiter, show_on_desktop

        limiter = Limiter(self._settings.notify.per_minute)
        while True:
            notice = self._notices.get()
            if limiter.allows(notice.at_ms):
                show_on_desktop(notice)
