"""The dialog of an action on tagged rows: exactly what will be hit, as it was when the key was pressed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tokentop.nouns.actions import Action, KillPlan
from tokentop.nouns.picture import Row
from tokentop.ui.actions.batch import batch_count, batch_heading, batch_lines
from tokentop.ui.actions.plan import short_verb
from tokentop.ui.screens.dialog import MANY
from tokentop.ui.screens.listed import ListDialog

Plans = tuple[KillPlan, ...]


class BatchScreen(ListDialog[Plans | None]):
    """Returns the plans to carry out, or None. What is refused is listed with the reason and left out."""

    def __init__(self, rows: Sequence[Row], plans: Sequence[KillPlan], action: Action, now_ms: int) -> None:
        super().__init__()
        self.rows, self.plans, self.action = tuple(rows), tuple(plans), action
        self._now_ms = now_ms

    @property
    def allowed(self) -> Plans:
        return tuple(plan for plan in self.plans if not plan.refusal)

    @property
    def possible(self) -> bool:
        return bool(self.allowed)

    @property
    def must_type(self) -> bool:
        """Many processes, or one that other sessions live in."""
        shared = any(plan.shared_session_ids for plan in self.allowed)
        return shared or batch_count(self.allowed) > MANY

    @property
    def word(self) -> str:
        return short_verb(self.action)

    def said_yes(self) -> Plans | None:
        return self.allowed

    def said_no(self) -> Plans | None:
        return None

    def heading(self) -> str:
        return batch_heading(self.plans, self.rows, self.action)

    def verb(self) -> str:
        return f"{self.word} {'it' if len(self.allowed) == 1 else 'them'}"

    def lines(self) -> Iterator[tuple[str, str]]:
        for plan, row in zip(self.plans, self.rows, strict=True):
            yield from batch_lines(plan, row, self._now_ms)
