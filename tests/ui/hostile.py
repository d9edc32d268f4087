"""Hostile text in every field that can hold text."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import fields, replace

from tests.ui import build
from tokentop.nouns.actions import Action, KillPlan, Receipt
from tokentop.nouns.facts import Diagnostic, Looked
from tokentop.nouns.money import Quota
from tokentop.nouns.picture import Alert, Row, Snapshot

# Escape sequences and marks that must not reach a terminal (conformance 14).
ESCAPES = (
    "\x1b]0;PWNED\x07",
    "\x1b]52;c;UFdORUQ=\x07",
    "\x1b[2JCLEARED",
    "\x9b31mRED",
    "\x9d0;PWNED\x9c",
    "a\x00b\x7f",
    "\u202ePWNED",
    "\u2066iso",
    "z\u200dj",
    "line\u2028sep",
    "lone\ud800",
    "e" + "\u0301" * 10_000,
    "\x0e\x0f\x05",
    "tab\there\nnew\rline",
    "\U000e0041tag",
)
# Markup that must be shown as it is (conformance 15).
MARKUP = (
    "[/red]",
    "[red]x",
    "[@click=app.quit]x",
    "[link=file:///etc/passwd]x",
    "[",
    "]",
    "\\[",
    "[/]",
    "[bold",
    "$x {y}",
)
# Wide, emoji and zero-width text (conformance 16).
WIDE = (
    "漢字かな交じり文の題名がここに続く",
    "👩‍👩‍👧‍👦 family",
    "ｆｕｌｌ",
    "🇩🇪 flag",
    "한국어 제목",
    "a\u0308\u0323b",
)

ALL = (*ESCAPES, *MARKUP, *WIDE)
FOREIGN = (
    b"\x1b]0;PWNED",
    b"\x1b]52;c;UFdORUQ=",
    b"\x1b[2JCLEARED",
    "\x9b31m".encode(),
    "\u202e".encode(),
    b"\x0e",
    "\u2066".encode(),
    "\u200d".encode(),
    "\u2028".encode(),
    b"\x9b31m",
)

# Fields whose values the program itself chooses; text from elsewhere cannot be in them.
_OWN = {
    "key",
    "parent_key",
    "kind",
    "row_key",
    "method",
    "day",
    "boot_id",
    "role",
    "state",
    "action",
    "confidence",
}


def poison(value: Any, text: str, name: str = "") -> Any:
    """`value` with `text` in every string field, at any depth."""
    if isinstance(value, str) and type(value) is str:
        return value if name in _OWN else text
    if isinstance(value, tuple):
        return tuple(poison(item, text, name) for item in value)
    if isinstance(value, Struct):
        new = {f.name: poison(getattr(value, f.name), text, f.name) for f in fields(value)}
        return replace(value, **new)
    return value


def snapshot(text: str) -> Snapshot:
    """The picture with `text` everywhere, one of each kind of thing."""
    calm = build.snapshot(
        health=(Diagnostic("claude", "unparsed", "x", 3),),
        alerts=tuple(Alert("budget", row.key, "x", build.NOW - 60_000) for row in build.picture()),
        looked=(Looked("claude", "Claude Code", "~/.claude", "x"),),
    )
    quotas: tuple[Quota, ...] = poison(calm.quotas, text)
    return replace(
        calm,
        rows=tuple(row(each, text) for each in calm.rows),
        quotas=quotas,
        alerts=poison(calm.alerts, text),
        health=poison(calm.health, text),
        looked=poison(calm.looked, text),
        mode=f"paused: {text}",
    )


def row(clean_row: Row, text: str) -> Row:
    dirty: Row = poison(clean_row, text)
    return dirty


class HostileSource(build.FakeSource):
    """All hostile texts at once, one per row."""

    def __init__(self, text: str = "") -> None:
        base = snapshot(text or "".join(ESCAPES[:11]))
        if not text:
            rows = tuple(
                replace(row(build.row(f"h{at:02d}"), bad), key=f"h{at:02d}") for at, bad in enumerate(ALL)
            )
            base = replace(base, rows=rows, alerts=())
        super().__init__(base, label=text or ESCAPES[0])
        self.text = text or "".join(ESCAPES[:11])

    def plan(self, row: Row, action: Action) -> KillPlan:
        plan: KillPlan = poison(super().plan(row, action), self.text)
        return replace(plan, refusal="")

    def execute(self, plan: KillPlan) -> Receipt:
        receipt: Receipt = poison(super().execute(plan), self.text)
        return receipt
