"""Forks, sub-agents, partial lines, old and new counting side by side: read in any pieces and any order."""

from __future__ import annotations

import os
import random
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.agents import build_claude, build_codex
from tests.agents.build_claude import ANCIENT, MODEL, OLD, Transcript, text, tool, total_of, usage
from tests.agents.build_codex import Rollout, counts
from tests.agents.harness import Picture, assert_same, grow, scratch
from tokentop.nouns.usage import Tokens

FUZZ = settings(database=None, derandomize=True, suppress_health_check=list(HealthCheck))
IDS = [f"{digit * 8}-1111-4111-8111-111111111111" for digit in "abcdef"]
Files = dict[Path, bytes]


def claude_logs() -> list[Files]:
    """A compacted session with a nested sub-agent and a marked fork; an old one with an unmarked fork; an ancient one."""
    new, outer, inner = (Transcript(IDS[0], agent=agent) for agent in ("", "aaaa1111", "bbbb2222"))
    new.user()
    new.request("call-1")
    new.reply("msg_1", usage(), text("äöü 🚀"), tool("Agent", "toolu_outer"), call="call-1")
    outer.reply("msg_2", usage(), tool("Task", "toolu_inner"))
    inner.reply("msg_3", usage(w1=50))
    new.compacted()
    new.reply("msg_4", usage(), at_ms=new.ms + 60_000)
    new.cost({MODEL: total_of(4 * 3 + 90, 4 * 120, 4 * 1000, 4 * 200, 50)})
    old = Transcript(IDS[2], version=OLD)
    old.user("an older prompt")
    old.reply("msg_o1", usage(), text(), tool())
    old.compacted()
    old.reply(None, usage(output=9), request=None)
    ancient = Transcript(IDS[4], version=ANCIENT)
    for output, stop in ((4, None), (4, "end_turn"), (9, None)):
        ancient.reply(f"msg_a{output}", usage(output=output), stop=stop)
    fork = new.fork(IDS[1])
    fork.reply("msg_5")
    fork.cost({MODEL: total_of(5 * 3 + 90, 5 * 120, 5 * 1000, 5 * 200, 50)})
    unmarked = old.fork(IDS[3], marked=False)
    head = {"type": "queue-operation", "timestamp": build_claude.iso(unmarked.ms), "sessionId": IDS[3]}
    unmarked.records.insert(0, head)
    unmarked.reply("msg_6")
    files = {Path(log.path): log.bytes() for log in (new, outer, inner, old, ancient)}
    for agent, depth, call in (("aaaa1111", 1, "toolu_outer"), ("bbbb2222", 2, "toolu_inner")):
        path, about = build_claude.sub_agent(IDS[0], agent, depth=depth, tool_id=call)
        files[Path(path)] = about.encode()
    return [files, {Path(log.path): log.bytes() for log in (fork, unmarked)}]


def codex_logs() -> list[Files]:
    """A thread that was upgraded, a legacy thread with two forks of which one was forked again, a paginated fork."""
    upgraded, legacy = Rollout(1), Rollout(2, ordinals=False, history_mode=None)
    for log in (upgraded, legacy):
        log.started()
        log.prompt()
        log.model()
        for output in (10, 11, 11):
            log.count(counts(output=output))
            log.count(counts(output=output), grow=False)
    upgraded.both("resp_1", counts(output=12))
    about = {"ordinals": False, "history_mode": None}
    one, two = (Rollout(n, at_ms=legacy.ms + n * 9000, forked_from_id=legacy.id, **about) for n in (3, 4))
    for fork in (one, two):
        fork.legacy_copy(legacy, spread_ms=100)
        fork.ms += 5000
        fork.count(counts(output=77))
    again = Rollout(5, at_ms=one.ms + 9000, forked_from_id=one.id, **about)
    again.legacy_copy(one)
    again.ms += 5000
    again.count(counts(output=88))
    base = {"thread_id": upgraded.id, "end_ordinal_exclusive": upgraded.next}
    paginated = Rollout(
        6, first_ordinal=upgraded.next, forked_from_id=upgraded.id, history_base=base, total=upgraded.total
    )
    paginated.both("resp_2", counts(output=99))
    groups = [(upgraded, legacy), (one, two, paginated), (again,)]
    return [{Path(log.path): log.bytes() for log in group} for group in groups]


def logs() -> list[Files]:
    first, second = claude_logs(), codex_logs()
    return [{**(first[i] if i < len(first) else {}), **part} for i, part in enumerate(second)]


GROUPS = logs()
WHOLE: Files = {path: data for files in GROUPS for path, data in files.items()}


def read_whole(seed: int | None = None) -> Picture:
    """Everything at once, the files in a random order of reading."""
    with scratch() as home:
        paths = sorted(WHOLE)
        if seed is not None:
            random.Random(seed).shuffle(paths)
        for index, path in enumerate(paths):
            os.utime(home.write(path, WHOLE[path]), (1_700_000_000 + index, 1_700_000_000 + index))
        return home.read()


def test_every_call_of_the_mixed_logs_is_counted_once() -> None:
    found = read_whole()
    claude = [event for event in found.events if event.agent == "claude"]
    assert sum(not e.hidden for e in claude) == 4 + 2 + 2 + 2
    hidden = sorted((e for e in claude if e.hidden), key=lambda e: e.session)
    assert [(e.session, e.tokens, e.estimated) for e in hidden] == [
        (IDS[0], Tokens(input=90), False),
    ]
    threads = {n: [e.tokens.output for e in found.of(build_codex.thread(n))] for n in range(1, 7)}
    assert threads == {1: [10, 11, 11, 12], 2: [10, 11, 11], 3: [77], 4: [77], 5: [88], 6: [99]}
    estimated = {e.session for e in found.events if e.estimated and not e.hidden}
    assert estimated == {IDS[4]}


@settings(FUZZ, max_examples=8)
@given(seed=st.integers(0, 1 << 32))
def test_the_order_of_mixed_logs_does_not_matter(seed: int) -> None:
    """Conformance 10."""
    assert_same(read_whole(seed), read_whole())


@settings(FUZZ, max_examples=20)
@given(seed=st.integers(0, 1 << 32))
def test_mixed_logs_in_any_pieces_with_restarts_give_the_same_facts(seed: int) -> None:
    """Conformance 1, 10."""
    with scratch() as home:
        assert_same(grow(home, GROUPS, seed), read_whole())
