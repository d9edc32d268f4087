"""The live screen of the past: the same widgets and keys, fed with recorded frames; nothing on it can act."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tokentop import text
from tokentop.answers.footage import Footage
from tokentop.engine.days import DAY_MS, day_bounds, local
from tokentop.nouns.picture import Snapshot
from tokentop.nouns.recorded import Jump, Scene, Share, Spent
from tokentop.settings.zone import local_zone
from tokentop.ui import keys, remembered
from tokentop.ui.reel import Reel
from tokentop.ui.screens.pastactions import PastActions
from tokentop.ui.screens.spans import JumpsScreen, SpanScreen
from tokentop.ui.source import UiOptions
from tokentop.ui.widgets.empty import Words
from tokentop.ui.widgets.scrubber import Day, Scrubber, Track, cell_of

log = logging.getLogger(__name__)
T = TypeVar("T")

_FRAME_S = 0.2  # between two pictures while it plays
_NEWS_S = 10.0  # another frame may have been recorded
_TALL = 30  # lines from which the scrubber has its scale


class ReplayScreen(PastActions):
    """The table as it was. `q` and Esc lead back; where the program began here, `q` ends it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key.keys, key.action, key.help, show=False, id=f"replay_{key.id}") for key in keys.REPLAY_KEYS
    ]

    def __init__(self, options: UiOptions, at_ms: int, kept_view: str, *, alone: bool = False) -> None:
        """`at_ms` 0 = the newest moment. `alone` = the program was started to show the past."""
        super().__init__(options, "past", read_only=False)
        self.reel = Reel(at_ms)
        self.scrubber = Scrubber()
        self.scene: Scene | None = None
        self._alone = alone
        self._footage: Footage | None = None
        self._reader = ThreadPoolExecutor(1, "footage")
        self._ready = asyncio.Event()  # the recording is there, or it is known that there is none
        self._wanted: int | None = None
        self._loading = False
        self._dropped = False  # there was something before the first frame
        self._awaited: str | None = None  # this row is chosen when the next frame is there
        self._failed = ""
        self._day: tuple[tuple[int, int, int, int], Day] | None = None  # as it was worked out last
        self._zone = local_zone(os.environ)
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
        if self._footage is not None:
            self._reader.submit(
                self._footage.close
            )  # behind what is read: SQLite crashes the other way round
        self._reader.shutdown(wait=False)

    # ------------------------------------------------------------ frames

    async def _read(self, question: Callable[..., T], *arguments: object) -> T:
        """Ask the recording in its own thread, one question after the other."""
        return await asyncio.get_running_loop().run_in_executor(self._reader, question, *arguments)

    async def _open(self) -> None:
        try:
            self._footage = await asyncio.to_thread(self.tokentop.source.footage)
            if self._footage is not None:
                await self._take_in(self._footage)
        except Exception as error:
            log.exception("footage")
            self._failed = f"the recording cannot be read: {type(error).__name__}; see the log file"
        self._ready.set()
        if self._footage is None or not self._footage.moments:
            self._show_nothing()
        else:
            self.seek(self.reel.at_ms)

    async def _take_in(self, footage: Footage) -> None:
        marks = await self._read(footage.marks, 0, 1 << 62)
        self._dropped = (await self._read(lambda: footage.lost)).dropped_frames > 0
        self.reel.take(footage.moments, marks)

    def _ask_news(self) -> None:
        if self._footage is not None and not self._loading:
            self.run_worker(self._look_for_news(self._footage), group="footage", exit_on_error=False)

    async def _look_for_news(self, footage: Footage) -> None:
        if await self._read(footage.refresh):
            was_empty = not self.reel.last_ms
            await self._take_in(footage)
            self._day = None
            if was_empty:
                self.seek(self.reel.at_ms)
            self._show_track()

    def seek(self, at_ms: int) -> None:
        """Show a moment: the line of time at once, its table when it has been read."""
        self.reel.go(at_ms)
        self._wanted = self.reel.at_ms
        self._show_track()
        if not self._loading and self._footage is not None:
            self._loading = True
            self.run_worker(self._load(self._footage), group="frame", exit_on_error=False)

    async def _load(self, footage: Footage) -> None:
        try:
            while self._wanted is not None:
                at_ms, self._wanted = self._wanted, None
                self._draw(await self._read(footage.at, at_ms))
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
            self.empty.say(self._gap_lines(scene))
        elif not scene.snapshot.rows:
            self.empty.say([[("No agent was running.", "title")]])
        else:
            super().explain_empty()

    def _gap_lines(self, scene: Scene) -> list[Words]:
        """What is known about a moment of which nothing is."""
        lines: list[Words] = [[(scene.note[:1].upper() + scene.note[1:], "title")], []]
        around = self._footage.around(scene.at_ms) if self._footage is not None else (0, 0)
        for key, at_ms, words in (("←", around[0], "recorded until"), ("→", around[1], "and from")):
            if at_ms:
                when = local(at_ms, self._zone).strftime("%a %d %b %H:%M:%S")
                lines.append([(f"{key} ", "key"), (f"{words} ", "muted"), (when, "strong")])
        return lines

    def now_ms(self) -> int:
        return self.reel.at_ms

    def _play(self) -> None:
        reel, footage = self.reel, self._footage
        if reel.playing and footage is not None and not self._loading and self.is_current:
            gap = footage.is_gap(reel.at_ms)
            reel.pass_time(_FRAME_S, reel.next_start() if gap else None)
            self.seek(reel.at_ms)

    # ------------------------------------------------------------ the line of time

    def _show_track(self) -> None:
        reel = self.reel
        at_ms = reel.at_ms
        if not at_ms:
            self.scrubber.show(
                Track(clock="the recording is read" if not self._failed else "", note=self._failed)
            )
            return
        day = day_bounds(at_ms, self._zone)[:2]
        now_ms = self.tokentop.live.now_ms()
        ago = f"{text.duration_long((now_ms - at_ms) / 1000)} ago" if now_ms else ""
        selected = None if reel.begun_ms is None else (min(reel.begun_ms, at_ms), max(reel.begun_ms, at_ms))
        self.scrubber.show(
            Track(
                at_ms, local(at_ms, self._zone).strftime("%a %d %b %Y %H:%M:%S"), ago,
                f"▶ {reel.speed}x" if reel.playing else f"‖ {reel.speed}x", self._note(), self._of_day(day), selected,
                reel.last_ms,
            )
        )  # fmt: skip

    def _note(self) -> str:
        """What is to be said about the moment: what is wrong with it, then what happened there."""
        if self._failed:
            return self._failed
        if self.reel.begun_ms is not None:
            return f"span from {text.clock(self.reel.begun_ms, self._zone, seconds=True)}: m ends it"
        scene = self.scene
        parts = [scene.note] if scene is not None and scene.note and scene.snapshot is not None else []
        if self.reel.at_ms == self.reel.first_ms and self._dropped:
            parts.append("what was before was dropped: recording_mb")
        near = self.reel.marks_in(self.reel.at_ms - 5_000, self.reel.at_ms + 5_000)
        parts += [f"{mark.agent} {mark.text}".strip() for mark in near[:2]]
        return " ∙ ".join(parts)

    def _of_day(self, span: tuple[int, int]) -> Day:
        """The day as the scrubber draws it; worked out once, and when more was recorded."""
        if self._footage is None:
            return Day(span)
        cells = self.scrubber.cells
        key = (*span, cells, self.reel.last_ms)
        if self._day is None or self._day[0] != key:
            places: dict[str, set[int]] = {"alert": set(), "action": set()}
            for mark in self.reel.marks_in(*span):
                places[mark.kind].add(cell_of(mark.at_ms, span, cells))
            curve = tuple(self._footage.curve(*span, cells))
            self._day = key, Day(span, curve, frozenset(places["alert"]), frozenset(places["action"]))
        return self._day[1]

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
            self.app.notify("this is the end of the recording", markup=False, timeout=2)
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
            self.app.notify(f"no {where} alert or action is recorded", markup=False, timeout=2)
            return
        self.seek(mark.at_ms)
        if mark.row_key in self.view.index:
            self.go_to(mark.row_key)

    def action_mark(self) -> None:
        span = self.reel.select()
        self._show_track()
        if span is not None:
            self.run_worker(self._rank(span), group="span", exit_on_error=False)

    async def _rank(self, span: tuple[int, int]) -> None:
        if self._footage is None:
            return
        try:
            spent = await self._read(self._footage.spent, *span)
        except Exception as error:
            log.exception("span")
            self.app.notify(
                f"the span cannot be read: {type(error).__name__}", severity="error", markup=False
            )
            return
        self._show_span(spent)

    def _show_span(self, spent: Spent) -> None:
        self.app.push_screen(SpanScreen(spent, self._zone), lambda share: self._chosen(share, spent))

    def _chosen(self, share: Share | None, spent: Spent) -> None:
        """A session of the list: its page, and below it its row at the end of the span, when it has certainly begun."""
        if share is not None:
            self._awaited = f"{share.agent}:{share.session_id}"
            self._seek_in(spent.from_ms, spent.until_ms)
            self.tokentop.open_session(
                share.agent, share.session_id, share.title, spent.from_ms, spent.until_ms
            )

    def _seek_in(self, from_ms: int, until_ms: int) -> None:
        if self._footage is not None:
            self.seek(self._footage.last_in(from_ms, until_ms))

    async def _find_jumps(self, near_ms: int = 0) -> None:
        """Of the day of a time (0 = where somebody stands); of the present day the 24 hours up to now."""
        await self._ready.wait()
        if self._footage is None:
            return
        at_ms = near_ms or self.reel.at_ms
        now_ms = self.tokentop.live.now_ms() or self.reel.last_ms
        span = day_bounds(at_ms, self._zone)[:2]
        if span[0] <= now_ms < span[1]:
            span = now_ms - DAY_MS, now_ms
        try:
            found = await self._read(self._footage.jumps, *span)
        except Exception as error:
            log.exception("jumps")
            self.app.notify(f"the day cannot be read: {type(error).__name__}", severity="error", markup=False)
            return

        def other_day(step: int) -> None:
            day = day_bounds(at_ms, self._zone)
            near = day[0] - 1 if step < 0 else day[1]
            self.run_worker(self._find_jumps(min(near, now_ms)), group="span", exit_on_error=False)

        self.app.push_screen(JumpsScreen(found, span, self._zone, other_day), self._jumped)

    def action_jumps(self) -> None:
        self.run_worker(self._find_jumps(), group="span", exit_on_error=False)

    def _jumped(self, jump: Jump | None) -> None:
        if jump is not None:
            if jump.until_ms <= self.reel.first_ms:  # what was spent is known without a recording, too
                begins = local(self.reel.first_ms, self._zone)
                self.app.notify(
                    f"not recorded: the recording begins {begins:%a %d %b %H:%M}", markup=False, timeout=4
                )
            self._seek_in(jump.from_ms, jump.until_ms)
            self.run_worker(self._rank((jump.from_ms, jump.until_ms)), group="span", exit_on_error=False)

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
