"""One session on a screen of its own: what and where, its cost over time, its turns as a tree."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import tzinfo
from itertools import accumulate
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import Screen

from tokentop import text
from tokentop.engine.tally import Bought
from tokentop.engine.timeline import Timeline
from tokentop.export import sketch
from tokentop.export.charts import calls_of
from tokentop.export.values import resume
from tokentop.ui import keys
from tokentop.ui.glyphs import safe
from tokentop.ui.screens.sessionpages import TranscriptPage, session_help
from tokentop.ui.turns import TurnView
from tokentop.ui.widgets.footer import KeyFooter
from tokentop.ui.widgets.graph import Graph, nice_top
from tokentop.ui.widgets.sessionhead import Facts, facts_of
from tokentop.ui.widgets.turnlist import TurnHead, TurnList

if TYPE_CHECKING:
    from tokentop.ui.app import TokentopApp

log = logging.getLogger(__name__)

LOOK_S = 2.0  # how often a session that goes on is looked after
PATIENCE = 20  # ... and at most a twentieth of the time is spent on reading it


class SessionScreen(Screen[None]):
    """Asks the source for a timeline in a thread, and again while the session goes on and is looked at."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key.keys, key.action, key.help, show=False, id=f"session_{key.id}")
        for key in keys.SESSION_KEYS
    ]
    AUTO_FOCUS = "TurnList"
    DEFAULT_CSS = """
    SessionScreen #curves { height: 7; }
    """

    def __init__(
        self,
        agent: str,
        session_id: str,
        zone: tzinfo,
        title: str = "",
        at_ms: int = 0,
        until_ms: int = 0,
        *,
        ascii_only: bool = False,
    ) -> None:
        """`title` is shown until the session has been read; then the cursor is on the turn of `at_ms`,

        of a span on its dearest turn.
        """
        super().__init__()
        self.agent, self.session_id = agent, session_id
        self._zone, self._title, self._ascii = zone, title, ascii_only
        self._at_ms, self._until_ms = at_ms, until_ms
        self.view = TurnView()
        self.facts = Facts()
        self.cost = Graph("cost, response by response", ascii_only)
        self.turns = Graph("cost of each turn", ascii_only)
        self.list = TurnList(self.view, zone)
        self.head = TurnHead(self.list)
        self.key_footer = KeyFooter()
        self._rising: tuple[float, ...] = ()  # nano-dollars so far, by response
        self._each: tuple[float, ...] = ()  # of each turn
        self._bought: Bought | None = None
        self._busy = False
        self._note = "its log is being read"
        self._read_s = self._took_s = 0.0

    @property
    def tokentop(self) -> TokentopApp:
        return cast("TokentopApp", self.app)

    def compose(self) -> ComposeResult:
        yield self.facts
        with Horizontal(id="curves"):
            yield self.cost
            yield self.turns
        yield self.head
        yield self.list
        yield self.key_footer

    def on_mount(self) -> None:
        self._fit()
        self._show()
        self._ask()
        self.set_interval(LOOK_S, self._look_after)

    def on_resize(self) -> None:
        self._fit()
        self._show()

    def _fit(self) -> None:
        height = self.app.size.height
        curves = self.query_one("#curves")
        curves.display = height >= 18
        curves.styles.height = 5 if height < 40 else 8

    # ------------------------------------------------------------ reading

    def _ask(self) -> None:
        if not self._busy:
            self._busy = True
            self.run_worker(self._run(), group="session", exit_on_error=False)

    async def _run(self) -> None:
        began_s = time.monotonic()
        told, bought = None, self._bought
        try:
            told = await asyncio.to_thread(self.tokentop.source.tell, self.agent, self.session_id)
            self._note = "" if told is not None else "this session is not in the store yet"
            bought = await asyncio.to_thread(self.tokentop.source.bought, self.agent, self.session_id)
        except Exception:
            log.exception("session")
            self._note = "it could not be read; see the log file"
        finally:
            self._busy = False
            self._read_s = time.monotonic()
            self._took_s = self._read_s - began_s
        if not self.is_attached:
            return
        if told is not None:
            self._bought = bought
            self._work_out(told)
            first = self.view.told is None
            self.view.show(told)
            if first and self._at_ms:
                self.view.seek(self._at_ms, self._until_ms)
            self.list.renew()
        self._show()

    def _look_after(self) -> None:
        """Read it again when the live table says that it has gone on."""
        told = self.view.told
        if told is None or self.app.screen is not self or not self.app.app_focus:
            return
        if time.monotonic() - self._read_s < PATIENCE * self._took_s:
            return
        snapshot = self.tokentop.live.snapshot
        rows = snapshot.rows if snapshot is not None else ()
        newest = max(
            (row.last_ms for row in rows if row.agent == self.agent and row.session_id == self.session_id),
            default=0,
        )
        if newest > told.session.last_ms:
            self._ask()

    # ------------------------------------------------------------ drawing

    def _show(self) -> None:
        told = self.view.told
        if told is None:
            name = safe(self._title, 80) or safe(self.session_id, 60)
            self.facts.show([[(name, "title")], [(self._note, "dim")]])
        else:
            self.facts.show(facts_of(told, self._bought, self._zone, self._now_ms(told), self._note))
            self._show_curves(told)
        self._show_keys()
        self.head.refresh()

    def _now_ms(self, told: Timeline) -> int:
        return self.tokentop.live.now_ms() or told.session.last_ms

    def _sensible(self, key: keys.Key) -> bool:
        told = self.view.told
        if key.id in {"help", "back"}:
            return True
        if told is None:
            return False
        if key.id == "agent":
            return told.tree != told.own
        if key.id == "resume":
            return resume(told.session) is not None
        if key.id == "parent":
            entry = self.view.selected
            return bool(told.session.parent_id) or (entry is not None and len(entry.key) > 1)
        return True

    def _work_out(self, told: Timeline) -> None:
        """The samples of the curves, once for each reading."""
        self._rising = tuple(accumulate(float(cost) for _, cost in calls_of(told)))
        self._each = tuple(float(turn.tree.cost_nusd) for turn in told.turns)

    def _show_curves(self, told: Timeline) -> None:
        width = max(8, self.app.size.width - 20)
        top = nice_top(max(self._rising, default=0.0) / 1e9) * 1e9
        began = sketch.when(told.turns[0].at_ms, self._zone) if told.turns else ""
        self.cost.show(_binned(self._rising, width), top, _label(top), began)
        top = nice_top(max(self._each, default=0.0) / 1e9) * 1e9
        turn = self.view.turn
        caption = f"turn {turn.number} {sketch.money(turn.tree)}" if turn is not None else ""
        self.turns.show(_binned(self._each, width), top, _label(top), caption)

    @on(TurnList.Moved)
    def _moved(self) -> None:
        if self.view.told is not None:
            self._show_curves(self.view.told)
            self._show_keys()
            self.head.refresh()

    def _show_keys(self) -> None:
        hints = [
            (keys.first(key, self._ascii), key.label)
            for key in keys.footer_keys(keys.SESSION_KEYS)
            if self._sensible(key)
        ]
        self.key_footer.show(hints)

    @on(TurnList.Opened)
    def _opened(self) -> None:
        self.action_fold(False)

    # ------------------------------------------------------------ keys

    def action_move(self, by: int) -> None:
        self.view.move(by)
        self.list.renew()

    def action_page(self, pages: int) -> None:
        self.action_move(pages * max(1, self.list.size.height - 1))

    def action_fold(self, shut: bool) -> None:
        self.view.fold(shut or None)
        self.list.renew()

    def action_fold_all(self) -> None:
        self.view.fold_all()
        self.list.renew()

    def action_dearest(self) -> None:
        self._jumped(self.view.dearest(), "there is no turn")

    def action_trouble(self, step: int) -> None:
        self._jumped(self.view.trouble(step), "no error, no limit, no failed tool and no interrupt in it")

    def action_agent(self, step: int) -> None:
        self._jumped(self.view.agent(step), "it started no sub-agents")

    def _jumped(self, found: bool, otherwise: str) -> None:
        if found:
            self.list.renew()
        else:
            self.app.notify(otherwise, markup=False, timeout=3)

    def action_parent(self) -> None:
        """Up one line; at the top the session that started this one."""
        told = self.view.told
        if self.view.up():
            self.list.renew()
        elif told is not None and told.session.parent_id:
            self.app.push_screen(
                SessionScreen(self.agent, told.session.parent_id, self._zone, ascii_only=self._ascii)
            )
        else:
            self.app.notify("no session started this one", markup=False, timeout=3)

    def action_copy_resume(self) -> None:
        command = resume(self.view.told.session) if self.view.told is not None else None
        if command:
            self.tokentop.copy_command(command)
        else:
            self.app.notify("a sub-agent is resumed through its parent", markup=False, timeout=3)

    def action_transcript(self) -> None:
        if self.view.told is not None:
            self.app.push_screen(TranscriptPage(self.tokentop.source, self.view.told.session, self._zone))

    def action_export(self, form: str) -> None:
        if self.view.told is not None:
            self.run_worker(self._export(self.view.told, form), group="export", exit_on_error=False)

    async def _export(self, told: Timeline, form: str) -> None:
        try:
            path = await asyncio.to_thread(self.tokentop.source.export, told, form)
        except OSError as error:
            self.app.notify(f"not written: {error.strerror or error}", severity="error", markup=False)
        else:
            self.app.notify(f"written to {safe(path, 300)}", markup=False, timeout=8)

    def action_again(self) -> None:
        self._ask()

    def action_help(self) -> None:
        self.app.push_screen(session_help(self._ascii))

    def action_back(self) -> None:
        self.dismiss(None)


def _binned(values: Sequence[float], most: int) -> tuple[float, ...]:
    """At most so many values; of neighbours the largest, so that no peak is lost."""
    size = max(1, -(-len(values) // most))
    return tuple(max(values[at : at + size]) for at in range(0, len(values), size))


def _label(top: float) -> str:
    return text.trimmed(text.money(int(top))) if top else ""
