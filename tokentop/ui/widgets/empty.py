"""What stands in place of an empty table: where agents were looked for, and what to do."""

from __future__ import annotations

from collections.abc import Sequence

from tokentop import text
from tokentop.nouns.facts import Looked
from tokentop.nouns.picture import Snapshot
from tokentop.ui.glyphs import safe
from tokentop.ui.paint import Painted, Piece, fit
from tokentop.ui.theme import Palette
from tokentop.ui.widgets.strip import progress_text

ORPHANS = "kind:orphan"  # the filter of the view of them
Words = Sequence[tuple[str, str]]  # text, role


class Empty(Painted):
    """Says why nothing is shown."""

    DEFAULT_CSS = "Empty { height: 1fr; display: none; }"

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[Words] = []

    def show(self, snapshot: Snapshot | None, query: str) -> None:
        self.say(explain(snapshot, query))

    def say(self, lines: list[Words]) -> None:
        if lines != self._lines:
            self._lines = lines
            self.refresh()

    def line(self, y: int, width: int, palette: Palette) -> list[Piece]:
        top = max(0, min(3, (self.size.height - len(self._lines)) // 3))
        if not top <= y < top + len(self._lines):
            return []
        return [("   ", palette.base), *((t, palette[role]) for t, role in self._lines[y - top])]


_FIRST = ("claude", "codex")  # shown even where they are absent: most people have one of them
_SHOWN = 9


def _looked(places: Sequence[Looked]) -> list[Words]:
    """What was found, and in one line how much was not."""
    found = [place for place in places if place.found not in ("no such folder", "0 files")]
    common = [place for place in places if place.agent in _FIRST and place not in found]
    shown = [*found, *common][:_SHOWN]
    lines: list[Words] = [[("looked for", "dim")]]
    lines += [
        [(f"  {fit(safe(place.label, 30), 14)} ", "muted"), (fit(safe(place.path, 120), 34) + " ", ""),
         (safe(place.found, 80), "dim")]
        for place in shown
    ]  # fmt: skip
    others = len({place.agent for place in places} - {place.agent for place in shown})
    if others:
        lines.append(
            [
                (f"  and {others} more agents: ", "muted"),
                ("tokentop doctor", "strong"),
                (" lists them", "muted"),
            ]
        )
    return lines


def explain(snapshot: Snapshot | None, query: str) -> list[Words]:
    """The lines of the empty screen."""
    if snapshot is None:
        return [[("looking for agents", "muted")]]
    if snapshot.rows and query == ORPHANS:
        return [
            [("Nothing was left behind: every process of an agent has a living owner.", "good")],
            [],
            [("1", "key"), (" all agents   ", "muted"), ("2", "key"), (" as a tree", "muted")],
        ]
    if snapshot.rows:
        return [
            [("no row matches ", "muted"), (safe(query, 200), "strong")],
            [("Esc", "key"), (" clears the filter", "muted")],
        ]
    lines: list[Words] = []
    if snapshot.progress.reading:
        lines += [[(progress_text(snapshot.progress), "tool")], []]
    lines += [[("No agent is running.", "title")], []]
    if snapshot.looked:
        lines += [*_looked(snapshot.looked), []]
    if snapshot.history_events:
        lines.append([(f"{text.digits3(snapshot.history_events)} responses are in the history.", "muted")])
    lines += [
        [("Start an agent in any terminal, for example ", "muted"), ("claude", "strong"), (" or ", "muted"),
         ("codex", "strong"), ("; it appears here by itself.", "muted")],
        [("d", "key"), (" shows the screen on invented data, as ", "muted"), ("tokentop demo", "strong"),
         (" does", "muted")],
    ]  # fmt: skip
    return lines
