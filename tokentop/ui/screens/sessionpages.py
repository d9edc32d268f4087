"""Pages over the screen of one session: its transcript, its keys."""

from __future__ import annotations

import asyncio
import logging
from datetime import tzinfo
from typing import ClassVar

from textual.binding import Binding, BindingType

from tokentop import text
from tokentop.agents._spoken import Said
from tokentop.export import sketch
from tokentop.nouns.sessions import Session
from tokentop.ui import keys
from tokentop.ui.glyphs import safe
from tokentop.ui.screens.pages import Lines, LongPage, Page
from tokentop.ui.source import Source

log = logging.getLogger(__name__)

_SHOWN = 2_000  # lines: the newest; the command line prints all
Line = list[tuple[str, str]]
_WORDS = (
    ("turn", "from a prompt to the next one; where the log tells no prompts, each response"),
    ("cost, tokens", "of a turn with the sub-agents that began in it"),
    ("missed", "what the call before had in the cache and this one did not read: paid again"),
    ("hidden", "spend that only the session's own total shows"),
    ("tests", "as the runner's last lines say, else its exit status"),
)


class TranscriptPage(LongPage):
    """What was said. It is read when the page opens, and kept nowhere."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "close", show=False),
    ]

    def __init__(self, source: Source, session: Session, zone: tzinfo) -> None:
        super().__init__("log", self._lines)
        self._source, self._session, self._zone = source, session, zone
        self._found: tuple[list[Said], str] | None = None

    def on_mount(self) -> None:
        self._show()
        self.run_worker(self._run(), group="transcript", exit_on_error=False)

    async def _run(self) -> None:
        try:
            self._found = await asyncio.to_thread(self._source.transcript, self._session)
        except Exception:
            log.exception("transcript")
            self._found = [], "it could not be read; see the log file"
        if self.is_attached:
            self._show()

    def _lines(self, width: int) -> Lines:
        return transcript_lines(self._session, self._found, self._zone, width)


def transcript_lines(
    session: Session, found: tuple[list[Said], str] | None, zone: tzinfo, width: int
) -> list[Line]:
    """Prompts and replies wrapped to the page, tools on a line each."""
    name = safe(session.title, 60) or safe(session.id, 40)
    out: list[Line] = [
        [
            ("Transcript", "title"),
            (f"   {name}", "strong"),
            ("   read from its log, kept nowhere; secrets masked", "dim"),
        ]
    ]
    if found is None:
        return [*out, [], [("it is being read", "dim")]]
    said, note = found
    if note:
        out.append([(safe(note, 300), "warm")])
    body = [line for one in said for line in _said(one, zone, width)]
    if len(body) > _SHOWN:
        out.append(
            [
                (
                    f"{len(body) - _SHOWN:,} lines before these: tokentop session {safe(session.id, 60)} --transcript",
                    "dim",
                )
            ]
        )
    return [*out, [], *body[-_SHOWN:]]


def _said(one: Said, zone: tzinfo, width: int) -> list[Line]:
    at = f"{sketch.when(one.at_ms, zone, date=False)}  " if one.at_ms else ""
    if one.kind == "tool":
        role = {"failed": "error", "open": "tool"}.get(one.result, "muted")
        took = f" {sketch.seconds(one.took_ms)}" if one.took_ms is not None else ""
        result = f"  {sketch.result(one.result)}{took}".rstrip()
        return [
            [
                (at, "dim"),
                (f"{safe(one.name, 40)} ", "key"),
                (safe(" ".join(one.lines)), role),
                (result, "dim"),
            ],
            [],
        ]
    if one.kind == "compaction":
        return [[(at, "dim"), ("the context was compacted", "warm")], []]
    who = "you" if one.kind == "prompt" else text.short_model(one.name) or "model"
    out: list[Line] = [[(at, "dim"), (safe(who, 40), "strong" if one.kind == "prompt" else "title")]]
    role = "" if one.kind == "prompt" else "muted"
    out += [
        [(f"  {part}", role)] for line in one.lines for part in wrapped(safe(line, 2_000), max(10, width - 2))
    ]
    return [*out, []]


def wrapped(line: str, width: int) -> list[str]:
    """A line in pieces that fit, broken between words where there are some."""
    import textwrap

    return textwrap.wrap(line, width, drop_whitespace=False, replace_whitespace=False) or [""]


class SessionHelp(Page):
    """The keys of the screen of one session."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark,f1,h", "close", show=False)]


def session_help(ascii_only: bool) -> SessionHelp:
    def lines(_width: int) -> Lines:
        out: list[Line] = [[("Keys of a session", "title")], []]
        for key in keys.SESSION_KEYS:
            shown = keys.shown_as(key.shown, ascii_only)
            out.append([(f"  {shown:<12}", "key"), (key.help, "muted")])
        out += [[], [("Words", "title")], []]
        out += [[(f"  {word:<14}", "key"), (meaning, "muted")] for word, meaning in _WORDS]
        return out

    return SessionHelp("help", lines)
