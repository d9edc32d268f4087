"""Pages about one row: the end of its log, its process, where its figures come from."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from tokentop import text
from tokentop.nouns.looks import Inside, LogTail, Step
from tokentop.nouns.picture import Row
from tokentop.ui.drawer import seconds_text
from tokentop.ui.glyphs import safe
from tokentop.ui.screens.pages import Lines, LongPage, Page
from tokentop.ui.source import Source

log = logging.getLogger(__name__)

TAIL_S = 1.0
Line = list[tuple[str, str]]


class LogPage(LongPage):
    """The end of a session's log: as steps or as it is, following it while the page is open."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "raw", show=False),
    ]

    def __init__(self, source: Source, row: Row) -> None:
        super().__init__("log", self._lines)
        self._source, self._row = source, row
        self._tail: LogTail | None = None
        self._raw = False
        self._busy = False

    def on_mount(self) -> None:
        self._ask()
        self.set_interval(TAIL_S, self._ask)

    def _ask(self) -> None:
        if not self._busy:
            self._busy = True
            self.run_worker(self._run(), group="tail", exit_on_error=False)

    async def _run(self) -> None:
        state = self._tail.state if self._tail is not None else (0, 0, 0)
        try:
            found = await asyncio.to_thread(self._source.tail, self._row, state)
        except Exception:
            log.exception("tail")
            found = LogTail(note="could not be read; see the log file")
        finally:
            self._busy = False
        if found is None or not self.is_attached:
            return
        if not found.state[1] and self._tail is not None:  # gone: what was read stays, with the reason
            found = LogTail(self._tail.lines, self._tail.steps, self._tail.skipped, found.note, (0, 0, 0))
        before, self._tail = self._tail, found
        if before is None or _shown(found) != _shown(before):
            self._draw()

    def _draw(self) -> None:
        """New lines; a reader who is at the end stays there."""
        scroll = self.query_one(VerticalScroll)
        at_end = scroll.scroll_offset.y >= scroll.max_scroll_y - 1
        self._show()
        if at_end:
            self.call_after_refresh(scroll.scroll_end, animate=False)

    def action_raw(self) -> None:
        self._raw = not self._raw
        self._show()
        self.call_after_refresh(self.query_one(VerticalScroll).scroll_end, animate=False)

    def _lines(self, width: int) -> Lines:
        return log_lines(self._row, self._tail, raw=self._raw, width=width)


def _shown(tail: LogTail) -> tuple[object, ...]:
    return tail.lines, tail.steps, tail.skipped, tail.note


def log_lines(row: Row, tail: LogTail | None, *, raw: bool, width: int) -> list[Line]:
    """The page's text: where the log is, how much was left out, then steps or lines."""
    name = safe(row.title, 60) or safe(row.session_id, 40)
    other = "steps" if raw else "lines as they are"
    out: list[Line] = [
        [("Log", "title"), (f"   {name}", "strong"), (f"   r shows {other}", "dim")],
        [(safe(row.log_path, 400) or "no path is known", "dim")],
    ]
    if tail is None:
        return [*out, [], [("it is being read", "dim")]]
    if tail.note:
        out.append([(safe(tail.note, 300), "warm")])
    if tail.skipped:
        out.append(
            [(f"{text.size_bytes(tail.skipped)} before this are not shown; secrets are masked", "dim")]
        )
    out.append([])
    if raw:
        shown = [[(safe(line, 1000), "")] for line in tail.lines]
        out += shown or [[("it has no lines: one document, or a database; r shows its steps", "dim")]]
    else:
        steps = [step_line(step) for step in tail.steps]
        out += steps or [[("no tool calls or answers in it; r shows it as it is", "dim")]]
    return [*out, [], [(f"r {other}   g G begin, end   Esc back", "dim")]]


def step_line(step: Step) -> Line:
    """`21:14:02  Bash python -m pytest -x  ok 12s`."""
    at = text.clock(step.at_ms, seconds=True) if step.at_ms else ""
    line: Line = [(f"{at:<10}", "dim")]
    if step.kind == "tool":
        role = {"failed": "error", "open": "tool"}.get(step.result, "")
        line += [(f"{safe(step.name, 40)} ", "key"), (safe(step.detail), role)]
    else:
        who = "you" if step.kind == "prompt" else text.short_model(step.name) or "model"
        who = "compacted" if step.kind == "compaction" else who
        line += [(f"{safe(who, 40)}: ", "strong"), (safe(step.detail), "muted")]
    took = f" {seconds_text(step.took_ms)}" if step.took_ms is not None else ""
    mark = {"failed": "  ✗", "ok": "  ok", "open": "  no result yet"}.get(step.result, " " if took else "")
    return [*line, (mark + took, "error" if step.result == "failed" else "dim")]


class OriginsPage(Page):
    """Where each figure of a row comes from; drawn again when more of it has been looked up."""

    def __init__(self, build: Callable[[int], Lines]) -> None:
        super().__init__("origins", build)

    def looked(self) -> None:
        if self.is_attached:
            self._show()


class InsidePage(Page):
    """What the row's process was started with; asked once."""

    def __init__(self, source: Source, row: Row) -> None:
        super().__init__("inside", self._lines)
        self._source, self._row = source, row
        self._inside: Inside | None = None

    def on_mount(self) -> None:
        self._show()
        self.run_worker(self._run(), group="inside", exit_on_error=False)

    async def _run(self) -> None:
        try:
            self._inside = await asyncio.to_thread(self._source.inside, self._row)
        except Exception:
            log.exception("inside")
            self._inside = Inside(0, 0, "could not be read; see the log file")
        if self.is_attached:
            self._show()

    def _lines(self, width: int) -> Lines:
        return inside_lines(self._row, self._inside, width)


def inside_lines(row: Row, found: Inside | None, width: int) -> list[Line]:
    """Arguments, directory, ports, environment; values that could be secrets are not there."""
    name = safe(row.title, 60) or safe(row.command, 60)
    out: list[Line] = [[("Process", "title"), (f"   {name}", "strong")]]
    if found is None:
        return [*out, [], [("it is being read", "dim")]]
    if found.refusal:
        return [*out, [], [(safe(found.refusal, 300), "warm")]]
    out[0].append((f"   pid {found.pid}", "dim"))
    if found.note:
        out.append([(safe(found.note, 200), "warm")])
    out += [[], [("arguments", "head")]]
    out += [[(f"  {part}", "")] for one in found.argv or ("?",) for part in _cut(safe(one), width - 2)]
    out += [[], [("directory", "head")], [(f"  {safe(found.cwd) or '? may not be read'}", "")]]
    out += [[], [("listening ports", "head")]]
    if not found.ports:
        out.append([(f"  {safe(found.ports_note) or 'none of its own or of a process below it'}", "dim")])
    for port in found.ports:
        whose = "" if port.pid == found.pid else "below it, "
        line = f"  {safe(port.address, 40)}:{port.port} "
        out.append([(line, "key"), (f"{safe(port.command, 120)} ({whose}pid {port.pid})", "muted")])
    out += [[], [("environment", "head"), ("   values that could be secrets are masked", "dim")]]
    if found.env_note:
        out.append([(f"  {safe(found.env_note)}", "dim")])
    for variable, value, shown in found.env:
        parts = _cut(safe(value), max(8, width - 2 - len(variable) - 1))
        out.append([(f"  {safe(variable, 100)}", "key"), ("=", "dim"), (parts[0], "" if shown else "faint")])
        out += [[("      " + part, "")] for part in parts[1:]]
    return out


def _cut(line: str, room: int) -> list[str]:
    room = max(8, room)
    return [line[at : at + room] for at in range(0, len(line), room)] or [""]
