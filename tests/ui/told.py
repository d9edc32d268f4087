"""A timeline for the screen: turns with tools, a sub-agent, an error, a limit, a compaction, a wait and a kill."""

from __future__ import annotations

from functools import cache

from tests.ui.build import MINUTE, NOW
from tokentop.agents._spoken import Said
from tokentop.engine.timeline import Part, Timeline, timeline
from tokentop.nouns.actions import Action, Receipt
from tokentop.nouns.outline import Deed, Outline
from tokentop.nouns.sessions import Role, Session
from tokentop.nouns.usage import Priced, Tokens, Usage

SID = "a1-4f2a"
BEGIN = NOW - 127 * MINUTE
SAID = [
    Said("prompt", BEGIN, "", ("make the retry test pass", "it fails one time in five")),
    Said("answer", BEGIN + 4_000, "claude-opus-5-5", ("I look at the test first.",)),
    Said("tool", BEGIN + 5_000, "Bash", ("pytest -x tests/test_retry.py",), "failed", 12_300),
]


def call(number: int, at_ms: int, sid: str = SID, missed: bool = False) -> Priced:
    written, cached = 1_900, 40_000 + 1_900 * number  # what the calls before have read and written
    tokens = Tokens(
        12 + number, 0 if missed else cached, cached + written if missed else written, 0, 300 + 17 * number
    )
    usage = Usage("claude", sid, f"{sid}{number}", at_ms, "claude-opus-5-5", tokens, "anthropic", 4_200)
    return Priced(
        1_000 * len(sid) + number, usage, 300_000_000 if missed else 30_000_000 + 1_000_000 * number
    )


@cache
def told(turns: int = 30, title: str = "fix the flaky retry test", below: bool = True) -> Timeline:
    events, deeds = [], []
    for number in range(turns):
        at_ms = BEGIN + number * 4 * MINUTE
        deeds.append(Deed("prompt", at_ms=at_ms))
        events += [call(2 * number, at_ms + 4_000, missed=number == 11), call(2 * number + 1, at_ms + 61_000)]
        failed = number % 9 == 4
        deeds += [
            Deed("tool", "Read", "src/retry.py", at_ms + 4_100, "ok", 40, f"r{number}", takes="file"),
            Deed("tool", "Edit", "src/retry.py", at_ms + 5_000, "ok", 90, f"e{number}", 12, 3, "", "file"),
            Deed("tool", "Bash", "pytest", at_ms + 9_000, "failed" if failed else "ok", 12_300, f"b{number}", None, None,
                 "failed" if failed else "passed", "program"),
        ]  # fmt: skip
    deeds += [
        Deed("tool", "Task", "", BEGIN + 2 * 4 * MINUTE + 20_000, "ok", 40_000, "task"),
        Deed("limit", "429", at_ms=BEGIN + 5 * 4 * MINUTE + 70_000),
        Deed("compaction", at_ms=BEGIN + 7 * 4 * MINUTE + 80_000),
        Deed("permission", "Bash", at_ms=BEGIN + 8 * 4 * MINUTE + 8_000, took_ms=65_000),
        Deed("interrupt", at_ms=BEGIN + 9 * 4 * MINUTE + 90_000),
    ]
    last = BEGIN + (turns - 1) * 4 * MINUTE + 100_000
    receipt = Receipt(
        last, Action.TERMINATE, "manual", "claude", SID, 4711, 99, "claude", "/home/dev/api", "ended", "", (), (4711,), (), 400,
        None, None, f"claude --resume {SID}",
    )  # fmt: skip
    main = Session(
        "claude", SID, "", SID, Role.MAIN, "/home/dev/api", "main", title, model="claude-opus-5-5", first_ms=BEGIN,
        last_ms=last, version="2.1.330",
    )  # fmt: skip
    parts = {
        SID: Part(
            main, "api", tuple(events), Outline(tuple(sorted(deeds, key=lambda deed: deed.at_ms))), (receipt,)
        )
    }
    if below:
        sid, begin = f"{SID}/s1", BEGIN + 2 * 4 * MINUTE + 21_000
        session = Session(
            "claude", sid, SID, SID, Role.SUB_AGENT, title="explore: call sites of retry", first_ms=begin
        )
        grep = Deed("tool", "Grep", "", begin + 900, "ok", 30, "g1")
        own = (grep, Deed("tool", "Read", "src/call.py", begin + 2_000, "ok", 20, "g2", takes="file"))
        parts[sid] = Part(
            session, "api", (call(1, begin + 800, sid), call(2, begin + 9_000, sid)), Outline(tuple(own))
        )
    return timeline(parts, SID)
