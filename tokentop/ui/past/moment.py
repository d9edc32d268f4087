"""A moment of the past in words, and the line of time it stands on. Pure but for the footage it looks into."""

from __future__ import annotations

from datetime import tzinfo

from tokentop import text
from tokentop.answers.footage import Footage
from tokentop.engine.days import day_bounds, local
from tokentop.nouns.recorded import Scene
from tokentop.ui.past.reel import Reel
from tokentop.ui.widgets.empty import Words
from tokentop.ui.widgets.scrubber import Day, Track, cell_of

_NEAR_MS = 5_000  # what happened so near to a moment is told of it


class TimeLine:
    """What the scrubber shows. A day is worked out once, and when more of it was recorded."""

    def __init__(self, reel: Reel, zone: tzinfo) -> None:
        self._reel, self._zone = reel, zone
        self._day: tuple[tuple[int, int, int, int], Day] | None = None  # as it was worked out last

    def forget(self) -> None:
        """More was recorded."""
        self._day = None

    def track(self, footage: Footage | None, note: str, cells: int, now_ms: int) -> Track:
        """The line of so many `cells`; `note` = what is to be said about the moment, `now_ms` 0 = not known."""
        reel, at_ms = self._reel, self._reel.at_ms
        span = day_bounds(at_ms, self._zone)[:2]
        ago = f"{text.duration_long((now_ms - at_ms) / 1000)} ago" if now_ms else ""
        begun_ms = reel.begun_ms
        return Track(
            at_ms,
            clock=local(at_ms, self._zone).strftime("%a %d %b %Y %H:%M:%S"),
            ago=ago,
            speed=f"{'▶' if reel.playing else '‖'} {reel.speed}x",
            note=note,
            day=Day(span) if footage is None else self._of_day(footage, span, cells),
            selected=None if begun_ms is None else (min(begun_ms, at_ms), max(begun_ms, at_ms)),
            recorded_ms=reel.last_ms,
        )

    def _of_day(self, footage: Footage, span: tuple[int, int], cells: int) -> Day:
        key = (*span, cells, self._reel.last_ms)
        if self._day is None or self._day[0] != key:
            places: dict[str, set[int]] = {"alert": set(), "action": set()}
            for mark in self._reel.marks_in(*span):
                places[mark.kind].add(cell_of(mark.at_ms, span, cells))
            curve = tuple(footage.curve(*span, cells))
            self._day = key, Day(span, curve, frozenset(places["alert"]), frozenset(places["action"]))
        return self._day[1]


def note_of(scene: Scene | None, reel: Reel, zone: tzinfo, dropped: bool) -> str:
    """What is wrong with a moment, then what happened there. `dropped` = there was something before the first frame."""
    if reel.begun_ms is not None:
        return f"span from {text.clock(reel.begun_ms, zone, seconds=True)}: m ends it"
    parts = [scene.note] if scene is not None and scene.note and scene.snapshot is not None else []
    if reel.at_ms == reel.first_ms and dropped:
        parts.append("what was before was dropped: recording_mb")
    near = reel.marks_in(reel.at_ms - _NEAR_MS, reel.at_ms + _NEAR_MS)
    parts += [f"{mark.agent} {mark.text}".strip() for mark in near[:2]]
    return " ∙ ".join(parts)


def gap_lines(scene: Scene, around: tuple[int, int], zone: tzinfo) -> list[Words]:
    """What is known about a moment of which nothing is; `around` = the recorded times before and after it, 0 = none."""
    lines: list[Words] = [[(scene.note[:1].upper() + scene.note[1:], "title")], []]
    for key, at_ms, words in (("←", around[0], "recorded until"), ("→", around[1], "and from")):
        if at_ms:
            when = local(at_ms, zone).strftime("%a %d %b %H:%M:%S")
            lines.append([(f"{key} ", "key"), (f"{words} ", "muted"), (when, "strong")])
    return lines
