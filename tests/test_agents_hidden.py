"""Conformance of the Claude Code reader, part two: spend that the log shows only in running totals."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.agents.build_claude import (
    MODEL,
    OLD,
    START_MS,
    Transcript,
    sub_agent,
    text,
    tool,
    total_of,
    usage,
)
from tests.agents.harness import Picture, Scratch, scratch
from tokentop.engine.snapshot import take
from tokentop.nouns.processes import AgentProc, Ident, ProcRole
from tokentop.nouns.sessions import State
from tokentop.nouns.usage import Tokens

A, B, C = (f"{digit * 8}-1111-4111-8111-111111111111" for digit in "abc")
ONE = (3, 120, 1000, 200, 0)  # what a call of the builder uses


def times(
    calls: int, *, fresh: int = 0, output: int = 0, read: int = 0, w5: int = 0
) -> dict[str, dict[str, object]]:
    """The running total after so many calls and what is hidden besides."""
    return {
        MODEL: total_of(
            ONE[0] * calls + fresh, ONE[1] * calls + output, ONE[2] * calls + read, ONE[3] * calls + w5
        )
    }


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def write(home: Scratch, *transcripts: Transcript) -> None:
    for transcript in transcripts:
        home.write(transcript.path, transcript.bytes())


def read(home: Scratch, *transcripts: Transcript) -> Picture:
    write(home, *transcripts)
    return home.read()


def test_compaction_calls_are_hidden_spend_of_exactly_the_difference(home: Scratch) -> None:
    """Conformance 35."""
    log = Transcript(A)
    log.user()
    log.reply("msg_1")
    log.compacted()
    boundary_ms = log.ms - 1000
    log.reply("msg_2")
    log.cost(times(2, fresh=97, output=2017, read=43_751, w5=4860))
    found = read(home, log)
    (hidden,) = found.hidden
    assert hidden.tokens == Tokens(97, 43_751, 4860, 0, 2017)
    assert not hidden.estimated
    assert hidden.session == A
    assert hidden.at_ms >= boundary_ms
    assert len(found.responses) == 2


@pytest.mark.parametrize("version", [OLD, "2.1.330"])
def test_a_compaction_without_running_totals_is_no_event_and_is_reported(home: Scratch, version: str) -> None:
    """Conformance 36: nothing is made up; that such calls happened is counted and said."""
    log = Transcript(A, version=version)
    log.reply("msg_1")
    log.compacted(before=23_522)
    found = read(home, log)
    assert not found.hidden
    assert not found.responses[0].estimated
    assert home.health() == {"compaction": 1}


def test_a_compaction_before_a_marked_fork_belongs_to_the_parent(home: Scratch) -> None:
    log = Transcript(A)
    log.user()
    log.reply("msg_1")
    log.compacted()
    fork = log.fork(B)
    fork.reply("msg_2")
    log.cost(times(1, fresh=90))
    found = read(home, log, fork)
    assert [(e.session, e.tokens.input) for e in found.hidden] == [(A, 90)]


def test_a_compaction_inside_a_sub_agent_is_counted_once(home: Scratch) -> None:
    log, child = Transcript(A), Transcript(A, agent="aaaa1111")
    log.reply("msg_1", usage(), tool("Agent", "toolu_1"))
    child.reply("msg_2")
    child.compacted()
    child.reply("msg_3")
    home.write(*sub_agent(A, "aaaa1111"))
    assert not read(home, log, child).hidden
    log.reply("msg_4", at_ms=child.ms + 1000)
    log.cost(times(4, fresh=50))
    found = read(home, log, child)
    assert [(e.tokens, e.estimated) for e in found.hidden] == [(Tokens(input=50), False)]


def test_running_totals_after_every_turn_are_not_added_up(home: Scratch) -> None:
    """Conformance 37."""
    log = Transcript(A)
    for turn in range(1, 6):
        log.reply(f"msg_{turn}")
        log.cost(times(turn, fresh=10 if turn >= 3 else 0))
    found = read(home, log)
    assert [e.tokens for e in found.hidden] == [Tokens(input=10)]
    assert found.total.input == 3 * 5 + 10


@pytest.mark.parametrize("parent_first", [True, False])
def test_a_forks_running_total_holds_its_parents_and_is_not_hidden(home: Scratch, parent_first: bool) -> None:
    """Conformance 38."""
    log = Transcript(A)
    log.user()
    log.reply("msg_1")
    log.cost(times(1))
    fork = log.fork(B)
    fork.reply("msg_2")
    fork.cost(times(2))
    log.reply("msg_3")
    log.cost(times(2))
    for part in (log, fork) if parent_first else (fork, log):
        write(home, part)
        home.read()
    found = home.read()
    assert found.hidden == []
    assert found.total == Tokens(9, 3000, 600, 0, 360)


@pytest.mark.parametrize("with_total", [True, False])
def test_what_was_hidden_before_a_fork_is_counted_once(home: Scratch, with_total: bool) -> None:
    """Conformance 39; without a total before the fork nothing hidden is assumed in the fork."""
    log = Transcript(A)
    log.user()
    log.reply("msg_1")
    log.compacted()
    if with_total:
        log.cost(times(1, fresh=90))
    fork = log.fork(B)
    fork.reply("msg_2")
    fork.cost(times(2, fresh=90))
    log.reply("msg_3")
    log.cost(times(2, fresh=90))
    found = read(home, log, fork)
    assert [(e.session, e.tokens) for e in found.hidden] == [(A, Tokens(input=90))]


def test_a_call_that_was_aborted_before_a_fork_stays_with_the_parent(home: Scratch) -> None:
    """Conformance 39: the parent's total stands before the fork, although a later request has no answer."""
    log = Transcript(A)
    log.user()
    log.reply("msg_1")
    log.request("call-aborted")
    log.cost(times(1, output=24))
    fork = log.fork(B)
    fork.reply("msg_2")
    fork.cost(times(2, output=24))
    found = read(home, log, fork)
    assert [(e.session, e.tokens) for e in found.hidden] == [(A, Tokens(output=24))]


def test_a_fork_of_a_fork_inherits_twice_and_counts_once(home: Scratch) -> None:
    log = Transcript(A)
    log.user()
    log.reply("msg_1")
    log.compacted()
    log.cost(times(1, fresh=90))
    child = log.fork(B)
    child.reply("msg_2")
    child.cost(times(2, fresh=90))
    grandchild = child.fork(C)
    grandchild.reply("msg_3")
    grandchild.cost(times(3, fresh=90))
    found = read(home, grandchild, child, log)
    assert [(e.session, e.tokens) for e in found.hidden] == [(A, Tokens(input=90))]
    assert len(found.responses) == 3


def test_sub_agents_are_a_part_of_the_running_total(home: Scratch) -> None:
    """Conformance 40."""
    log, child, nested = Transcript(A), Transcript(A, agent="aaaa1111"), Transcript(A, agent="bbbb2222")
    log.reply("msg_1", usage(), tool("Agent", "toolu_1"))
    child.reply("msg_2", usage(), tool("Agent", "toolu_2"))
    nested.reply("msg_3")
    child.reply("msg_4")
    log.reply("msg_5", at_ms=child.ms + 1000)
    log.cost(times(5))
    found = read(home, log, child, nested)
    assert found.hidden == []
    assert len(found.responses) == 5


def test_a_background_sub_agent_that_ends_last_is_not_hidden(home: Scratch) -> None:
    """Conformance 40: its last call is later than any line of its parent, and inside the total."""
    log, child = Transcript(A), Transcript(A, agent="aaaa1111")
    log.reply("msg_1", usage(), tool("Agent", "toolu_1"))
    child.reply("msg_2", at_ms=log.ms + 60_000)
    log.cost(times(2))
    found = read(home, log, child)
    assert found.hidden == []
    log.reply("msg_3", at_ms=child.ms + 60_000)
    log.cost(times(3, fresh=7))
    assert [e.tokens for e in read(home, log, child).hidden] == [Tokens(input=7)]


def test_the_rest_of_an_aborted_stream_is_hidden(home: Scratch) -> None:
    """Conformance 41: the line says 3, the client booked 24."""
    log = Transcript(A)
    log.user()
    log.request("call-1")
    log.reply("msg_1", usage(output=3), call="call-1", stop=None)
    log.user([text("[Request interrupted by user]")])
    log.cost({MODEL: total_of(3, 24, 1000, 200)})
    found = read(home, log)
    assert [(e.tokens.output, e.hidden, e.estimated) for e in found.events] == [
        (3, False, False),
        (21, True, False),
    ]


def test_a_smaller_total_after_a_kill_gives_no_negative_event(home: Scratch) -> None:
    """Conformance 42: no total is written on SIGKILL, and a resume goes on from the last one."""
    log = Transcript(A)
    log.reply("msg_1")
    log.cost(times(1))
    log.reply("msg_2")
    log.request("call-lost")
    log.reply("msg_3")
    log.cost(times(2))
    found = read(home, log)
    assert found.hidden == []
    assert len(found.responses) == 3


def test_a_call_that_was_killed_is_lost_and_its_tokens_are_unknown(home: Scratch) -> None:
    """Conformance 42: the request stands in the log, the process is gone."""
    log = Transcript(A)
    log.reply("msg_1")
    log.request("call-lost")
    write(home, log)
    live, _ = home.follow(log.ms)
    proc = AgentProc(Ident(10, 1000, 1000), "claude", ProcRole.AGENT, "/w", "claude", START_MS, 0.0, 1, "S",
                     session_id=A, confidence="exact")  # fmt: skip
    live.set_procs((proc,), log.ms)
    (row,) = take(live, log.ms).rows
    assert (row.status.state, row.own.unknown_calls) == (State.WORKING, 0)
    live.set_procs((), log.ms + 1000)
    (row,) = take(live, log.ms + 1000).rows
    assert row.own.unknown_calls == 1
    assert any("lost" in note for note in row.notes)
    assert home.read().total == Tokens(*(ONE[0], ONE[2], ONE[3], 0, ONE[1]))


def test_totals_with_a_dated_model_name_cover_calls_without_and_the_reverse(home: Scratch) -> None:
    log = Transcript(A)
    log.reply("msg_1", model="claude-sonnet-4-5-20250929")
    log.reply("msg_2", model="claude-opus-5-5")
    one = total_of(*ONE)
    log.cost({"claude-sonnet-4-5": one, "claude-opus-5-5[1m]": one})
    assert read(home, log).hidden == []


def test_totals_that_do_not_split_cache_writes_are_compared_in_sum(home: Scratch) -> None:
    log = Transcript(A)
    log.reply("msg_1", usage(w5=200, w1=300))
    total = total_of(3, 120, 1000, 500)
    del total["cacheCreationEphemeral5mInputTokens"], total["cacheCreationEphemeral1hInputTokens"]
    log.cost({MODEL: total})
    assert read(home, log).hidden == []


def test_a_model_that_only_the_total_knows_is_hidden_spend_on_that_model(home: Scratch) -> None:
    """Small title and topic calls have no line."""
    log = Transcript(A)
    log.reply("msg_1")
    log.cost({**times(1), "claude-haiku-4-5": total_of(200, 12)})
    (hidden,) = read(home, log).hidden
    assert (hidden.model, hidden.tokens) == ("claude-haiku-4-5", Tokens(input=200, output=12))
    assert hidden.cost_nusd is not None
