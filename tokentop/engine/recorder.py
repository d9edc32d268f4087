"""What of the live table is worth writing, ten seconds after ten seconds. Pure: the snapshots carry the time.

A key frame stands alone; a minute's frame is the difference to the last key frame, a step's the difference to the
last of these two. So the steps can be dropped later, and each moment takes at most three frames to read.
"""

from __future__ import annotations

from tokentop.engine.frames.delta import encode
from tokentop.engine.frames.layout import Picture, is_same, texts_of
from tokentop.engine.frames.pack import Made, picture_of
from tokentop.engine.frames.texts import Texts
from tokentop.nouns.picture import Row, Snapshot
from tokentop.nouns.recorded import (
    KEY,
    KEY_MS,
    MINUTE,
    MINUTE_MS,
    STEP,
    STEP_MS,
    Frame,
    Mark,
    Moment,
    Taken,
    Text,
)

_SLACK_MS = STEP_MS // 2  # looks are not taken to the millisecond
GAP_MS = 5 * STEP_MS  # a longer pause between two looks: what was between is not known


class Recorder:
    """Decides, for one writer, what each snapshot adds to the recording."""

    def __init__(self, texts: Texts) -> None:
        self.texts = texts
        self._bases: list[Picture] = []  # the last key frame, and the last minute's frame where there is one
        self._last: Picture | None = None  # as written
        self._seen_ms = 0  # the last look
        self._made = Made()
        self._alerts: frozenset[tuple[str, str]] | None = None
        self._agents: dict[str, Row] = {}

    def is_due(self, at_ms: int) -> bool:
        """Whether a look at the table is worth it; a clock that was set back begins anew."""
        return not 0 <= at_ms - self._seen_ms < STEP_MS

    def take(self, snapshot: Snapshot) -> Taken:
        """Look at the table. What it returns is to be written, or the next frames cannot be read: see `forget`."""
        at_ms = snapshot.at_ms
        if self._last is None or not 0 < at_ms - self._seen_ms <= GAP_MS:
            self.forget()
        self._seen_ms = at_ms
        marks = self._marks(snapshot)
        picture = self._picture(snapshot, self._bases[0].epoch_ms if self._bases else at_ms)
        if self._last is not None and is_same(self._last, picture):
            return Taken(None, self._last.at_ms, at_ms, self._fresh(), marks=marks)
        level = self._level(at_ms)
        if level == KEY and self._bases:
            self._made = Made()
            picture = self._picture(snapshot, at_ms)
        base = None if level == KEY else self._bases[0] if level == MINUTE else self._bases[-1]
        body = encode(base, picture)
        if level != STEP:
            self._bases = [picture] if level == KEY else [self._bases[0], picture]
        self._last = picture
        moment = Moment(
            at_ms, at_ms, at_ms, at_ms if base is None else base.at_ms, level, snapshot.totals.burn_nusd_per_h
        )
        return Taken(Frame(moment, body), 0, at_ms, self._fresh(), texts_of(picture), marks)

    def forget(self) -> None:
        """What was taken last is not written: the next frame stands alone."""
        self._bases, self._last = [], None
        self._made = Made()
        self._alerts, self._agents = None, {}

    def _picture(self, snapshot: Snapshot, epoch_ms: int) -> Picture:
        return picture_of(snapshot, self.texts, epoch_ms, self._made)

    def _level(self, at_ms: int) -> int:
        if not self._bases or at_ms - self._bases[0].at_ms >= KEY_MS - _SLACK_MS:
            return KEY
        return MINUTE if at_ms - self._bases[-1].at_ms >= MINUTE_MS - _SLACK_MS else STEP

    def _fresh(self) -> tuple[Text, ...]:
        fresh, self.texts.fresh = tuple(self.texts.fresh), []
        return fresh

    def _marks(self, snapshot: Snapshot) -> tuple[Mark, ...]:
        """What happened since the last look; what holds at the first one began before, and is not told."""
        agents = {row.key: row for row in snapshot.rows if row.kind in {"agent", "orphan"}}
        alerts = frozenset((alert.kind, alert.row_key) for alert in snapshot.alerts)
        before, known = self._agents, self._alerts
        self._agents, self._alerts = agents, alerts
        if known is None:
            return ()
        at_ms = snapshot.at_ms
        marks = [Mark(at_ms, "came", key, agents[key].agent, "") for key in agents if key not in before]
        marks += [Mark(at_ms, "went", key, before[key].agent, "") for key in before if key not in agents]
        for alert in snapshot.alerts:
            if (alert.kind, alert.row_key) not in known:
                row = agents.get(alert.row_key)
                said = alert.text.partition(":")[0] if alert.kind == "permission" else alert.text
                marks.append(
                    Mark(at_ms, "alert", alert.row_key, row.agent if row else "", f"{alert.kind}: {said}")
                )
        return tuple(marks)
