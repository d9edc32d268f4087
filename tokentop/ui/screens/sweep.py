"""The dialog of the sweep: every process that will be ended, as it was when the key was pressed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tokentop.nouns.actions import Orphan
from tokentop.ui.actions.sweep import orphan_lines, sweep_count, sweep_heading
from tokentop.ui.screens.dialog import MANY
from tokentop.ui.screens.listed import ListDialog


class SweepScreen(ListDialog[bool]):
    """Returns whether to end what it shows. The list never changes while it is open."""

    def __init__(self, orphans: Sequence[Orphan], now_ms: int) -> None:
        super().__init__()
        self.orphans = tuple(orphans)
        self._now_ms = now_ms

    @property
    def doomed(self) -> tuple[Orphan, ...]:
        return tuple(orphan for orphan in self.orphans if not orphan.plan.refusal)

    @property
    def _count(self) -> int:
        return sweep_count(self.doomed)

    @property
    def possible(self) -> bool:
        return bool(self.doomed)

    @property
    def must_type(self) -> bool:
        return self._count > MANY

    @property
    def word(self) -> str:
        return "orphans"

    def said_yes(self) -> bool:
        return True

    def said_no(self) -> bool:
        return False

    def heading(self) -> str:
        return sweep_heading(self.doomed)

    def verb(self) -> str:
        return f"end {'it' if self._count == 1 else 'them'}"

    def lines(self) -> Iterator[tuple[str, str]]:
        for orphan in self.orphans:
            yield from orphan_lines(orphan, self._now_ms)
