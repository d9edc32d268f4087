"""What was said in a session, from all records of its log, for who asks to read it: kept nowhere. Pure."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tokentop.nouns.sessions import Activity
from tokentop.text import clean, paragraphs

from ._step_parts import is_prompt, text_of
from ._steps import Steps

SAID_MAX = 20_000  # the newest are kept
SAID_CHARS = 20_000


class Said(Struct, frozen=True, gc=False):
    """One prompt, reply or tool call; lines are safe and masked."""

    kind: str  # prompt, answer, tool, compaction
    at_ms: int = 0  # 0 = the log gives no time
    name: str = ""  # the model or the tool
    lines: tuple[str, ...] = ()
    result: str = ""  # of a tool: ok, failed, open
    took_ms: int | None = None


class Spoken(Steps):
    """Takes all records of one session, oldest first; `said()` gives prompts, replies and tool calls in order."""

    kept = SAID_MAX

    def __init__(self, session_id: str = "") -> None:
        super().__init__(session_id, texts=True)
        self._texts_of: dict[object, tuple[str, ...]] = {}

    def activity(self, told: Activity) -> None:
        """Status is nothing that was said."""

    def said(self) -> list[Said]:
        found = []
        for key, step in self._steps.items():
            lines = self._texts_of.get(key) or ((step.detail,) if step.detail else ())
            found.append(Said(step.kind, step.at_ms, step.name, lines, step.result, step.took_ms))
        return found

    def _said(self, value: dict[str, Any], at_ms: int, role: str, model: str) -> None:
        before = len(self._steps)
        last = next(reversed(self._steps), None)
        super()._said(value, at_ms, role, model)
        key = next(reversed(self._steps), None)
        if key is None or (key == last and len(self._steps) == before):
            return
        text = text_of(value)
        if text and not (role == "user" and not is_prompt(text)):
            self._texts_of[key] = tuple(paragraphs(text, SAID_CHARS))
            step = self._steps[key]
            self._steps[key] = replace(step, detail=clean(step.detail, 80))
