"""The live screen of the past: the same widgets and keys, fed with recorded frames; nothing on it can act."""

from __future__ import annotations

import logging
import os
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tokentop.answers.footage import Footage
from tokentop.nouns.picture import Snapshot
from tokentop.nouns.recorded import Scene, Share, Spent
from tokentop.settings.zone import local_zone
from tokentop.ui import keys, remembered
from tokentop.ui.past.moment import TimeLine, gap_lines, note_of
from tokentop.ui.past.recording import Recording
from tokentop.ui.past.reel import Reel
from tokentop.ui.past.spending import Spending
from tokentop.ui.screens.pastkeys import PastKeys
from tokentop.ui.source import UiOptions
from tokentop.ui.widgets.scrubber import Scrubber, Track

log = logging.getLogger(__name__)

_FRAME_S = 0.2  # between two pictures while it plays
_NEWS_S = 10.0  # another frame may have been recorded
_TALL = 30  # lines from which the scrubber has its scale


class ReplayScreen(PastKeys):
    """The table as it was. `q` and Esc lead back; where the program began here, `q` ends it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key.keys, key.action, key.help, show=False, id=f"replay_{key.id}") for key in keys.REPLAY_KEYS
    ]

    def __init__(self, options: UiOptions, at_ms: int, kept_view: str, *, alone: bool = False) -> None:
        """`at_ms` 0 = the newest moment. `alone` = the program was started to show the past."""
        super().__init__(options, "past", read_only=False)
        self.zone = local_zone(os.environ)
        self.reel = Reel(at_ms)
        self.recording = Recording()
        self.scrubber = Scrubber()
        self.scene: Scene | None = None
        self._alone = alone
        self._time_line = TimeLine(self.reel, self.zone)
        self._spending = Spending(self)
        self._wanted: int | None = None
        self._loading = False
        self._dropped = False  # there was something before the first frame
        self._awaited: str | None = None  # this row is chosen when the next frame is there
        self._failed = ""
        remembered.apply(kept_view, self.view)
        self.view.window_min = 1  # averages over longer windows are not recorded
        self.table.period_s = 0.0
        self.totals.nothing = "nothing is known of this moment"

    def compose(self) -> ComposeResult:
        yield self.scrubber
        yield from super().compose()

    def on_mount(self) -> None:
        self.run_worker(self._open(), group="footage", exit_on_error=False)
        self.set_interval(_FRAME_S, self._play)
        self.set_interval(_NEWS_S, self._ask_news)

    def on_unmount(self) -> None:
        self.recording.close()

    # ------------------------------------------------------------ frames

    async def _open(self) -> None:
        footage = None
        try:
            footage = await self.recording.open(self.tokentop.source)
            if footage is not None:
                await self._take_in(footage)
        except Exception as error:
            log.exception("footage")
            self._failed = f"the recording cannot be read: {type(error).__name__}; see the log file"
        self.recording.opened()
        if footage is None or not footage.moments:
            self._show_nothing()
        else:
            self.seek(self.reel.at_ms)

    async def _take_in(self, footage: Footage) -> None:
        marks = await self.recording.ask(footage.marks, 0, 1 << 62)
        self._dropped = (await self.recording.ask(lambda: footage.lost)).dropped_frames > 0
        self.reel.take(footage.moments, marks)

    def _ask_news(self) -> None:
        if self.recording.footage is not None and not self._loading:
            self.run_worker(self._look_for_news(self.recording.footage), group="footage", exit_on_error=False)

    async def _look_for_news(self, footage: Footage) -> None:
        if await self.recording.ask(footage.refresh):
            was_empty = not self.reel.last_ms
            await self._take_in(footage)
            self._time_line.forget()
            if was_empty:
                self.seek(self.reel.at_ms)
            self._show_track()

    def seek(self, at_ms: int) -> None:
        """Show a moment: the line of time at once, its table when it has been read."""
        self.reel.go(at_ms)
        self._wanted = self.reel.at_ms
        self._show_track()
        if not self._loading and self.recording.footage is not None:
            self._loading = True
            self.run_worker(self._load(self.recording.footage), group="frame", exit_on_error=False)

    async def _load(self, footage: Footage) -> None:
        try:
            while self._wanted is not None:
                at_ms, self._wanted = self._wanted, None
                self._draw(await self.recording.ask(footage.at, at_ms))
        except Exception as error:
            log.exception("frame")
            self._failed = f"cannot be read: {type(error).__name__}; see the log file"
            self._show_track()
        finally:
            self._loading = False

    def _draw(self, scene: Scene) -> None:
        self.scene, self._failed = scene, ""
        self.show(scene.snapshot or Snapshot(revision=0, at_ms=scene.at_ms))
        awaited, self._awaited = self._awaited, None
        if scene.snapshot is not None and any(row.key == awaited for row in scene.snapshot.rows):
            self.view.cursor = awaited  # behind a page the table takes it in later
        self.redraw()

    def _show_nothing(self) -> None:
        """There is no recording, or it cannot be read."""
        self._failed = self._failed or "nothing is recorded yet: a running tokentop records every 10 s"
        self.show(Snapshot(revision=0, at_ms=self.reel.at_ms))
        self._show_track()

    def redraw(self) -> None:
        super().redraw()
        self._show_track()

    def show_totals(self) -> None:
        known = self.scene is not None and self.scene.snapshot is not None
        self.overview.visible = known
        if known:
            super().show_totals()
        else:
            self.totals.show(None, self.reel.at_ms, "", "")

    def explain_empty(self) -> None:
        scene = self.scene
        if self._failed or scene is None:
            self.empty.say([[(self._failed or "the recording is read", "title")]])
        elif scene.snapshot is None:
            footage = self.recording.footage
            around = footage.around(scene.at_ms) if footage is not None else (0, 0)
            self.empty.say(gap_lines(scene, around, self.zone))
        elif not scene.snapshot.rows:
            self.empty.say([[("No agent was running.", "title")]])
        else:
            super().explain_empty()

    def now_ms(self) -> int:
        return self.reel.at_ms

    def _play(self) -> None:
        reel, footage = self.reel, self.recording.footage
        if reel.playing and footage is not None and not self._loading and self.is_current:
            gap = footage.is_gap(reel.at_ms)
            reel.pass_time(_FRAME_S, reel.next_start() if gap else None)
            self.seek(reel.at_ms)

    # ------------------------------------------------------------ the line of time

    def _show_track(self) -> None:
        if not self.reel.at_ms:
            said = "" if self._failed else "the recording is read"
            self.scrubber.show(Track(clock=said, note=self._failed))
            return
        note = self._failed or note_of(self.scene, self.reel, self.zone, self._dropped)
        now_ms = self.tokentop.live.now_ms()
        self.scrubber.show(self._time_line.track(self.recording.footage, note, self.scrubber.cells, now_ms))

    @on(Scrubber.Sought)
    def _sought(self, event: Scrubber.Sought) -> None:
        self.seek(event.at_ms)

    def on_resize(self) -> None:
        self._show_track()

    def fit_regions(self) -> None:
        super().fit_regions()
        self.scrubber.styles.height = 3 if self.app.size.height >= _TALL else 2

    # ------------------------------------------------------------ keys of time

    def action_play(self) -> None:
        if self.reel.at_end and not self.reel.playing:
            self.say("this is the end of the recording", timeout=2)
            return
        self.reel.playing = not self.reel.playing
        self._show_track()

    def action_step(self, by: int) -> None:
        self.reel.playing = False
        self.reel.step(by)
        self.seek(self.reel.at_ms)

    def action_skip(self, seconds: int) -> None:
        self.seek(self.reel.at_ms + 1000 * seconds)

    def action_edge(self, end: bool) -> None:
        self.seek(self.reel.last_ms if end else self.reel.first_ms)

    def action_speed(self, by: int) -> None:
        self.reel.faster(by)
        self._show_track()

    def action_to_mark(self, by: int) -> None:
        self.reel.playing = False
        mark = self.reel.to_mark(by)
        if mark is None:
            where = "later" if by > 0 else "earlier"
            self.say(f"no {where} alert or action is recorded", timeout=2)
            return
        self.seek(mark.at_ms)
        if mark.row_key in self.view.index:
            self.go_to(mark.row_key)

    def action_mark(self) -> None:
        span = self.reel.select()
        self._show_track()
        if span is not None:
            self._spending.rank(*span)

    def action_jumps(self) -> None:
        self._spending.find_jumps()

    def show_share(self, share: Share, spent: Spent) -> None:
        """A session that spent: its page, and below it its row at the end of the span, when it has certainly begun."""
        self._awaited = f"{share.agent}:{share.session_id}"
        self.seek_in(spent.from_ms, spent.until_ms)
        self.app.clear_notifications()  # what was said of the recording would hide the turn
        self.tokentop.open_session(share.agent, share.session_id, share.title, spent.from_ms, spent.until_ms)

    def seek_in(self, from_ms: int, until_ms: int) -> None:
        """Show the last moment of a span."""
        if self.recording.footage is not None:
            self.seek(self.recording.footage.last_in(from_ms, until_ms))

    def action_leave(self) -> None:
        """Out of what is open here, then back to now."""
        if self.drawer_open or self.view.query or self.filter_line.input.value:
            self.action_back()
        elif self.reel.begun_ms is not None:
            self.reel.begun_ms = None
            self._show_track()
        else:
            self.dismiss(None)

    def action_end(self) -> None:
        """Leave the past; the program where it began here."""
        if self._alone:
            self.app.exit()
        else:
            self.dismiss(None)

    @property
    def past_ms(self) -> int:
        return self.reel.at_ms

    def action_pause(self) -> None:
        self.action_play()
