"""Aider: the figures that it prints into `.aider.chat.history.md` of the project, and its opt-in analytics log.

The printed counts are rounded, and aider's own estimate where the provider's stream told no usage (6 received
for 1,001 billed in a recorded run): they are marked as an estimate. The analytics log
(`--analytics-log .aider.analytics.jsonl`) has the provider's counts; where it lies beside, it alone is read. Pure.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from tokentop.nouns.sessions import Activity, Role, Session, State
from tokentop.nouns.usage import Tokens, Usage
from tokentop.text import title

from ._lines import LineReader, NoMemory
from .base import Agent, JsonLines, LogFile, Quality, Roots
from .decoding import (
    MAX_COUNT,
    bad_number,
    epoch_ms,
    identifier,
    obj,
    text,
    tokens,
)
from .processes import Processes

AGENT_ID = "aider"
_DAY_MS = 86_400_000
_STARTED, _SENT, _MODEL, _PROMPT = b"# aider chat started at ", b"> Tokens: ", b"> Main model: ", b"#### "
_VERSION = b"> Aider v"
_UNITS = {"k": 1_000, "M": 1_000_000}


class _Memory(Struct):
    session_id: str = ""
    started_ms: int = 0
    model: str = ""
    counted: int = 0
    titled: bool = False


class ChatHistory(LineReader[_Memory]):
    """Decodes the Markdown history; a chat is a session, named after its start: it has no id, and folders move."""

    def __init__(self, file: LogFile, state: bytes) -> None:
        super().__init__(AGENT_ID, file, state, _Memory)
        self._cwd = file.path.rpartition("/")[0]

    @property
    def needles(self) -> tuple[bytes, ...]:
        return (_STARTED, _SENT, _MODEL, _VERSION) + (() if self._memory.titled else (_PROMPT,))

    def line(self, line: bytearray | bytes) -> None:
        words = bytes(line[:2000]).decode("utf-8", "replace").strip()
        if line.startswith(_STARTED):
            self._begin(words[len(_STARTED) :])
        elif not self._memory.session_id:
            return
        elif line.startswith(_SENT):
            self._count(words[len(_SENT) :])
        elif line.startswith(_MODEL):
            self._memory.model = text(words[len(_MODEL) :].partition(" with ")[0])
            self._session(model=self._memory.model)
        elif line.startswith(_VERSION):
            self._session(version=text(words[len(_VERSION) :], 20))
        elif line.startswith(_PROMPT) and not self._memory.titled:
            self._memory.titled = True
            self._session(title=title(words[len(_PROMPT) :]), title_rank=1)

    def _begin(self, started: str) -> None:
        # Local time without a zone: near enough for a day, and marked as an estimate.
        at_ms = epoch_ms(started.replace(" ", "T"))
        self._memory = _Memory(identifier(f"chat-{started.replace(' ', 'T')}"), at_ms)
        self._session(
            role=Role.MAIN, cwd=text(self._cwd, 400), first_ms=at_ms, last_ms=at_ms, log_path=self._file.path
        )

    def _session(self, **fields: object) -> None:
        self.facts.append(Session(AGENT_ID, self._memory.session_id, **fields))  # type: ignore[arg-type]

    def _count(self, words: str) -> None:
        memory = self._memory
        counts, _, cost = words.partition("Cost: ")
        found = {name: _rounded(number) for number, name in _pairs(counts)}
        if None in found.values():
            self.facts.append(bad_number(AGENT_ID))
        sent, read = found.get("sent") or 0, found.get("cache hit") or 0
        written = found.get("cache write") or 0
        memory.counted += 1
        at_ms = self._at_ms()
        self.facts.append(
            Usage(
                AGENT_ID, memory.session_id, f"{memory.session_id}:{memory.counted}:{words}", at_ms, memory.model,
                Tokens(max(0, sent - read - written), read, written, 0, found.get("received") or 0),
                logged_nusd=_dollars(cost), estimated=True, at_estimated=True,
            )
        )  # fmt: skip
        if self.live:
            self.facts.append(Activity(AGENT_ID, memory.session_id, at_ms, State.IDLE))

    def _at_ms(self) -> int:
        """The file's last change for the chat that goes on, else the start of the chat."""
        started, changed = self._memory.started_ms, self._file.mtime_ms
        return changed if not started or abs(changed - started) < 2 * _DAY_MS else started


class AnalyticsLog(LineReader[NoMemory]):
    """Decodes `message_send` events: one for each message to the model, with the provider's counts."""

    needles = (b'"message_send"',)

    def __init__(self, file: LogFile, state: bytes) -> None:
        super().__init__(AGENT_ID, file, state, NoMemory)

    def _record(self, event: dict[str, Any]) -> None:
        sent, at_ms = obj(event.get("properties")), epoch_ms(event.get("time"))
        if event.get("event") != "message_send" or not at_ms:
            return
        cwd = self._file.path.rpartition("/")[0]
        session_id = f"analytics-{at_ms // _DAY_MS}"  # the log has no sessions: one a day
        counts = tokens(
            AGENT_ID, self.facts, fresh=sent.get("prompt_tokens"), output=sent.get("completion_tokens")
        )
        cost = sent.get("cost")
        key = f"{event.get('time')}:{counts.input}:{counts.output}"
        self.facts += (
            Session(AGENT_ID, session_id, role=Role.MAIN, cwd=text(cwd, 400), first_ms=at_ms, last_ms=at_ms),
            Usage(
                AGENT_ID, session_id, key, at_ms, text(sent.get("main_model")), counts,
                logged_nusd=_nusd(cost) if isinstance(cost, int | float) else None,
            ),
        )  # fmt: skip


def _pairs(words: str) -> list[tuple[str, str]]:
    """`2.3k sent, 6 received.` -> (number, what)."""
    parts = [part.strip(" .").partition(" ") for part in words.split(",")]
    return [(number, what.strip()) for number, _, what in parts]


def _rounded(number: str) -> int | None:
    """`1.2k` -> 1200; None for what is no count."""
    factor = _UNITS.get(number[-1:], 1)
    digits = number.rstrip("kM")
    if not digits.replace(".", "", 1).isdigit() or not digits.isascii() or len(digits) > 12:
        return None
    value = round(float(digits) * factor)
    return value if value <= MAX_COUNT else None


def _dollars(words: str) -> int | None:
    """`$0.0030 message, $0.11 session.` -> nano-dollars of the message."""
    number = words.partition(" message")[0].strip().removeprefix("$")
    if not number.replace(".", "", 1).isdigit() or not number.isascii() or len(number) > 12:
        return None
    return _nusd(float(number))


def _nusd(dollars: float) -> int | None:
    return round(dollars * 1e9) if 0 <= dollars < 1e6 else None


AGENT = Agent(
    id=AGENT_ID,
    label="Aider",
    version=1,
    roots=Roots(in_projects=True),
    sources=(
        JsonLines(suffixes=(".aider.analytics.jsonl",), decoder=AnalyticsLog),
        JsonLines(suffixes=(".aider.chat.history.md",), decoder=ChatHistory, fallback=True),
    ),
    processes=Processes(
        agent=AGENT_ID,
        label="Aider",
        names=("aider",),
        one_shot=lambda argv: bool({"--message", "-m", "--message-file", "-f"} & set(argv)),
        interrupt_keys=("C-c",),  # it has no other key; a second one within 2 s would end it
    ),
    resume="",
    signs=("aider@aider.chat", "(aider)"),
    start_hint="run `aider` in a project folder",
    tokens=Quality.ESTIMATE,
    missing="the printed figures are rounded and partly aider's own estimate; run it with"
    " `--analytics-log .aider.analytics.jsonl` for exact ones",
    tried=("0.86.2",),
)
