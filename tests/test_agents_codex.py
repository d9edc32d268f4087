"""Conformance of the Codex reader."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
import zstandard

from tests.agents.build_codex import (
    MODEL,
    START_MS,
    ZERO,
    Rollout,
    counts,
    iso,
    limits,
    plus,
    thread,
)
from tests.agents.harness import Picture, Scratch, kinds, scratch
from tokentop.agents.base import LogFile
from tokentop.agents.codex.lines import CodexLines
from tokentop.engine.snapshot import take
from tokentop.nouns.money import Quota
from tokentop.nouns.sessions import Role, State
from tokentop.nouns.usage import Tokens, Usage

ONE = Tokens(100, 400, 0, 0, 50)


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def write(home: Scratch, *rollouts: Rollout) -> None:
    for rollout in rollouts:
        home.write(rollout.path, rollout.bytes())


def read(home: Scratch, *rollouts: Rollout) -> Picture:
    write(home, *rollouts)
    return home.read()


def outputs(found: Picture, rollout: Rollout) -> list[int]:
    return [event.tokens.output for event in found.of(rollout.id)]


def old(number: int, **about: Any) -> Rollout:
    """A rollout of a version without records and ordinals."""
    return Rollout(number, ordinals=False, **{"history_mode": None, "cli_version": "0.144.0", **about})


# ---------------------------------------------------------------- records and counts


def test_records_are_counted_and_counts_of_the_same_responses_are_not(home: Scratch) -> None:
    """Conformance 56."""
    log = Rollout(1)
    log.model()
    log.both("resp_1", counts())
    log.both("resp_2", counts(output=60))
    assert outputs(read(home, log), log) == [50, 60]


def test_a_record_without_its_count_is_counted(home: Scratch) -> None:
    """Conformance 57: killed in a tool."""
    log = Rollout(1)
    log.model()
    log.both("resp_1", counts())
    log.record("resp_2", counts(output=60))
    assert outputs(read(home, log), log) == [50, 60]


def test_an_upgrade_inside_a_thread_counts_each_response_once(home: Scratch) -> None:
    """Conformance 58."""
    log = Rollout(1)
    log.model()
    log.count(counts(output=10))
    log.count(counts(output=20))
    log.both("resp_3", counts(output=30))
    log.both("resp_4", counts(output=40))
    assert outputs(read(home, log), log) == [10, 20, 30, 40]


def test_repeated_snapshots_are_counted_once(home: Scratch) -> None:
    """Conformance 59."""
    log = old(1)
    log.model()
    for output in (10, 10, 20):
        log.count(counts(output=output))
        for _ in range(3):
            log.count(counts(output=output), grow=False)
            log.event("token_count", info={"model_context_window": 258_400})  # tells no count at all
    assert outputs(read(home, log), log) == [10, 10, 20]


def test_a_count_without_info_gives_only_limits(home: Scratch) -> None:
    """Conformance 60, first part."""
    log = old(1)
    log.event(
        "token_count", info=None, rate_limits=limits("codex", (42.0, 300, {"resets_at": 1_795_302_845}))
    )
    write(home, log)
    live, _ = home.follow(log.ms)
    assert [(q.used_pct, q.window_minutes) for q in live.limits.quotas.values()] == [(42.0, 300)]
    assert home.read().events == ()


def test_without_a_last_usage_the_difference_of_the_totals_counts(home: Scratch) -> None:
    """Conformance 60, second part."""
    log = old(1)
    log.model()
    one, two = counts(100, 400, 30, 50, 5), counts(200, 500, 0, 70, 7)
    log.event("token_count", info={"total_token_usage": one})
    log.event("token_count", info={"total_token_usage": one})
    log.event("token_count", info={"total_token_usage": plus(one, two)})
    found = read(home, log)
    assert [e.tokens for e in found.events] == [Tokens(100, 400, 30, 0, 50, 5), Tokens(200, 500, 0, 0, 70, 7)]


@pytest.mark.parametrize("with_last", [True, False])
def test_totals_that_fall_start_anew(home: Scratch, with_last: bool) -> None:
    """Conformance 60, third part: compaction or resume."""
    log = old(1)
    log.model()
    for used in (counts(output=10), counts(output=20)):
        log.count(used)
    log.total = dict(ZERO)
    log.count(counts(output=5))
    if not with_last:
        for record in log.records:
            if record["payload"].get("type") == "token_count":
                del record["payload"]["info"]["last_token_usage"]
    assert outputs(read(home, log), log) == [10, 20, 5]


def test_cached_written_and_reasoning_tokens_are_taken_apart(home: Scratch) -> None:
    """Conformance 61."""
    used = {"input_tokens": 10_001, "cached_input_tokens": 4000, "cache_write_input_tokens": 600, "output_tokens": 300,
            "reasoning_output_tokens": 120, "total_tokens": 10_301}  # fmt: skip
    new, legacy = Rollout(1), old(2)
    new.record("resp_1", used)
    legacy.count(used)
    for event in read(home, new, legacy).events:
        assert event.tokens == Tokens(5401, 4000, 600, 0, 300, 120)


# ---------------------------------------------------------------- forks and sub-agents


def legacy_parent(number: int = 1, calls: int = 3) -> Rollout:
    log = old(number)
    log.started()
    log.model()
    for index in range(calls):
        log.count(counts(100 + index, 400, 0, 10 + index))
        log.count(counts(100 + index, 400, 0, 10 + index), grow=False)
    return log


def legacy_fork(
    number: int, parent: Rollout, *, spread_ms: int = 0, whole: bool = True, **about: Any
) -> Rollout:
    child = old(number, at_ms=parent.ms + 60_000, **{"forked_from_id": parent.id, **about})
    copied = parent
    if not whole:
        copied = old(99, meta=False, total=parent.total)
        copied.records = parent.records[1:]
    child.legacy_copy(copied, spread_ms=spread_ms)
    child.ms += 5000
    child.model()
    return child


@pytest.mark.parametrize("spread_ms", [0, 700])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("parent_first", [True, False])
def test_the_copied_history_of_a_legacy_fork_is_not_counted(
    home: Scratch, spread_ms: int, whole: bool, parent_first: bool
) -> None:
    """Conformance 62: the copies bear the time of the fork and may take several seconds."""
    log = legacy_parent()
    fork = legacy_fork(2, log, spread_ms=spread_ms, whole=whole)
    fork.count(counts(output=77))
    write(home, *((log, fork) if parent_first else (fork, log)))
    found = home.read()
    assert outputs(found, log) == [10, 11, 12]
    assert outputs(found, fork) == [77]
    assert not any(event.estimated for event in found.events)
    assert found.sessions[fork.id].parent_id == log.id


def test_the_copied_history_of_a_fork_is_found_in_a_compressed_parent(home: Scratch) -> None:
    """Conformance 62, 70."""
    log = legacy_parent()
    fork = legacy_fork(2, log, spread_ms=1500)
    fork.count(counts(output=77))
    home.write(log.path + ".zst", squeezed(log.bytes()))
    found = read(home, fork)
    assert outputs(found, log) == [10, 11, 12]
    assert outputs(found, fork) == [77]
    assert not any(event.estimated for event in found.events)


def test_a_legacy_spawn_that_names_its_parent_only_in_its_source_is_a_fork_as_well(home: Scratch) -> None:
    """Conformance 62: the head may hold thread_spawn and nothing else."""
    log = legacy_parent()
    spawn = {"subagent": {"thread_spawn": {"parent_thread_id": log.id, "depth": 1, "agent_nickname": "Kant"}}}
    fork = legacy_fork(2, log, forked_from_id=None, source=spawn, thread_source=None)
    fork.count(counts(output=77))
    found = read(home, log, fork)
    assert outputs(found, fork) == [77]
    assert (found.sessions[fork.id].role, found.sessions[fork.id].parent_id) == (Role.SUB_AGENT, log.id)


def test_siblings_with_equal_calls_are_all_counted(home: Scratch) -> None:
    """Conformance 63."""
    log = legacy_parent()
    one, two = legacy_fork(2, log), legacy_fork(3, log)
    for fork in (one, two):
        fork.count(counts(output=77))
        fork.count(counts(output=78))
    found = read(home, one, two, log)
    assert outputs(found, one) == outputs(found, two) == [77, 78]
    assert len(found.events) == 3 + 4


def test_a_parent_that_goes_on_after_the_fork_hides_no_call_of_the_fork(home: Scratch) -> None:
    log = legacy_parent()
    fork = legacy_fork(2, log)
    log.count(counts(output=50))
    fork.count(counts(output=51))
    found = read(home, log, fork)
    assert outputs(found, log)[-1] == 50
    assert outputs(found, fork) == [51]


def test_a_legacy_fork_without_its_parent_skips_the_burst_and_is_marked(home: Scratch) -> None:
    """Conformance 64."""
    log = legacy_parent()
    fork = legacy_fork(2, log)
    fork.count(counts(output=77))
    fork.count(counts(output=78))
    found = read(home, fork)
    assert [(e.tokens.output, e.estimated) for e in found.events] == [(77, True), (78, True)]
    assert home.health()["missing-parent"] == 1


def test_a_parent_that_turns_up_later_makes_its_fork_exact(home: Scratch) -> None:
    """Conformance 64, 10: the same in any order of files and any number of reads."""
    log = legacy_parent()
    fork = legacy_fork(2, log)
    fork.count(counts(output=77))
    write(home, fork)
    with home.ledger() as ledger:
        ledger.catch_up(0.0, 1)
        write(home, log)
        ledger.catch_up(100.0, 2)
    found = home.read()
    assert outputs(found, fork) == [77]
    assert outputs(found, log) == [10, 11, 12]
    assert not any(event.estimated for event in found.events)
    with home.ledger() as ledger:
        assert ledger.db.execute("SELECT estimated FROM session WHERE sid=?", (fork.id,)).fetchone() == (0,)


def test_a_child_whose_counters_start_at_nothing_loses_nothing(home: Scratch) -> None:
    """Conformance 65."""
    log = legacy_parent()
    child = old(2, at_ms=log.ms + 60_000, forked_from_id=log.id)
    child.model()
    child.count(counts(output=5))
    child.count(counts(output=6))
    assert outputs(read(home, log, child), child) == [5, 6]


def test_a_child_with_counters_of_its_own_and_no_parent_log_loses_nothing(home: Scratch) -> None:
    """Conformance 65: no copy comes so long after the head of the file."""
    child = old(2, forked_from_id=thread(1), at_ms=START_MS)
    child.model()
    child.count(counts(output=5), at_ms=START_MS + 1500)
    child.count(counts(output=6), at_ms=START_MS + 20_000)
    assert outputs(read(home, child), child) == [5, 6]


def test_a_paginated_fork_counts_its_own_calls_and_not_its_totals(home: Scratch) -> None:
    """Conformance 66."""
    log = Rollout(1)
    log.model()
    log.both("resp_1", counts(output=10))
    base = {"thread_id": log.id, "end_ordinal_exclusive": log.next, "end_byte_offset": len(log.bytes())}
    fork = Rollout(2, first_ordinal=log.next, total=log.total, forked_from_id=log.id, history_base=base,
                   forked_from_ordinal_exclusive=log.next)  # fmt: skip
    fork.model()
    fork.both("resp_2", counts(output=20))
    found = read(home, log, fork)
    assert outputs(found, log) == [10]
    assert outputs(found, fork) == [20]
    assert (found.sessions[fork.id].role, found.sessions[fork.id].parent_id) == (Role.FORK, log.id)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_paginated_sub_agents_are_counted_and_hang_below_their_parent(home: Scratch, version: str) -> None:
    """Conformance 67."""
    log = Rollout(1)
    log.model()
    log.both("resp_1", counts(output=10))
    spawn = {"subagent": {"thread_spawn": {"parent_thread_id": log.id, "depth": 1}}}
    start = {"subagent_history_start_ordinal": 4} if version == "v2" else {}
    child = Rollout(
        2, parent_thread_id=log.id, session_id=log.id, source=spawn, thread_source="subagent", **start
    )
    if version == "v2":
        child.prompt("copied")
        child.both("resp_1", counts(output=10))
    child.next = max(child.next, 4)
    child.total = dict(ZERO)
    child.model()
    child.both("resp_2", counts(output=20))
    found = read(home, child, log)
    assert outputs(found, child) == [20]
    assert outputs(found, log) == [10]
    about = found.sessions[child.id]
    assert (about.role, about.parent_id, about.root_id) == (Role.SUB_AGENT, log.id, log.id)


def test_a_legacy_fork_of_a_fork_is_exact(home: Scratch) -> None:
    """Conformance 68."""
    log = legacy_parent()
    child = legacy_fork(2, log)
    child.count(counts(output=77))
    grandchild = legacy_fork(3, child)
    grandchild.count(counts(output=88))
    found = read(home, grandchild, child, log)
    assert [outputs(found, part) for part in (log, child, grandchild)] == [[10, 11, 12], [77], [88]]
    assert found.sessions[grandchild.id].parent_id == child.id


def test_a_legacy_fork_that_was_taken_before_the_parent_was_compacted_is_exact(home: Scratch) -> None:
    """Conformance 68: the parent's totals fall after the fork."""
    log = legacy_parent()
    fork = legacy_fork(2, log)
    fork.count(counts(output=77))
    log.add("compacted", {"message": "", "latest_token_usage_record": counts(output=999)})
    log.total = dict(ZERO)
    log.count(counts(output=33))
    found = read(home, log, fork)
    assert outputs(found, log) == [10, 11, 12, 33]
    assert outputs(found, fork) == [77]


def test_a_second_session_meta_does_not_change_who_the_file_is(home: Scratch) -> None:
    """Conformance 69."""
    log = Rollout(1)
    log.meta(id=thread(9), session_id=thread(9), cwd="/elsewhere", model_provider="ollama")
    log.model()
    log.record("resp_1", counts())
    event = read(home, log).one
    assert (event.session, event.provider) == (log.id, "openai")


# ---------------------------------------------------------------- where the file lies


def squeezed(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(data)


def test_a_compressed_rollout_is_read_alone_beside_its_twin_and_after_it(home: Scratch) -> None:
    """Conformance 70."""
    log = Rollout(1)
    log.model()
    log.both("resp_1", counts(output=10))
    log.both("resp_2", counts(output=20))
    home.write(log.path + ".zst", squeezed(log.bytes()))
    alone = home.read()
    assert outputs(alone, log) == [10, 20]
    home.write(log.path, log.bytes())
    assert home.read().events == alone.events
    (home.home / (log.path + ".zst")).unlink()
    log.both("resp_3", counts(output=30))
    write(home, log)
    assert outputs(home.read(), log) == [10, 20, 30]


def test_an_archived_copy_is_the_same_thread(home: Scratch) -> None:
    """Conformance 70, 11."""
    log = old(1)
    log.model()
    log.count(counts(output=10))
    write(home, log)
    home.write(f".codex/archived_sessions/{log.name}", log.bytes())
    assert outputs(home.read(), log) == [10]


@pytest.mark.parametrize("legacy", [True, False])
def test_a_rollout_that_is_archived_while_it_is_followed_is_read_once(home: Scratch, legacy: bool) -> None:
    """Conformance 70."""
    log = old(1) if legacy else Rollout(1)
    log.model()
    for output in (10, 20):
        (log.count if legacy else lambda used: log.both(f"resp_{used['output_tokens']}", used))(
            counts(output=output)
        )
    data = log.bytes()
    cut = data.rindex(b'"type":"token_count"')
    home.write(log.path, data[:cut])
    with home.ledger(live=True) as ledger:
        ledger.catch_up(0.0, 1 << 61)
        moved = home.write(f".codex/archived_sessions/{log.name}", b"")
        (home.home / log.path).rename(moved)
        with moved.open("ab") as file:
            file.write(data[cut:])
        ledger.catch_up(1.0, 1 << 61)
    assert outputs(home.read(), log) == [10, 20]


@pytest.mark.parametrize("legacy", [True, False])
def test_a_rollout_that_a_migration_rewrites_gives_no_new_events(home: Scratch, legacy: bool) -> None:
    """Conformance 71."""
    log = old(1) if legacy else Rollout(1)
    log.model()
    for output in (10, 20):
        (log.count if legacy else lambda used: log.both(f"resp_{used['output_tokens']}", used))(
            counts(output=output)
        )
    before = read(home, log)
    for number, record in enumerate(log.records):
        record["ordinal"] = number
        record["payload"]["migrated"] = True
    other = home.write(log.path + ".new", log.bytes())
    other.rename(home.home / log.path)
    assert home.read().events == before.events


def test_running_totals_are_never_counted(home: Scratch) -> None:
    """Conformance 72."""
    log = Rollout(1)
    log.model()
    log.both("resp_1", counts())
    huge = counts(9000, 9000, 0, 9000)
    log.add(
        "compacted",
        {"message": "", "compaction_response_id": "resp_9", "latest_token_usage_record": {"usage": huge}},
    )
    log.event("turn.completed", usage=huge)
    log.add("turn.completed", {"usage": huge})
    log.records.append({"type": "turn.completed", "usage": huge})
    with sqlite3.connect(home.write(".codex/state_5.sqlite", b"")) as db:
        db.execute("CREATE TABLE threads (id TEXT, tokens_used INTEGER)")
        db.execute("INSERT INTO threads VALUES (?, 99999)", (log.id,))
    db.close()
    assert read(home, log).one.tokens == ONE


# ---------------------------------------------------------------- model, tier, price


def test_calls_before_the_model_is_named_are_unknown_and_unpriced(home: Scratch) -> None:
    """Conformance 73."""
    log = old(1)
    log.count(counts(output=10))
    log.model()
    log.count(counts(output=20))
    first, second = read(home, log).events
    assert (first.model, first.cost_nusd) == ("", None)
    assert second.model == MODEL
    assert second.cost_nusd is not None
    rows = home.run("usage", "--by", "model")["rows"]
    assert [(r["model"], r["cost_usd"], r["unpriced_tokens"]) for r in rows if r["model"] != MODEL] == [
        ("unknown", None, 510)
    ]


@pytest.mark.parametrize("tier", ["priority", "fast"])
def test_a_tier_counts_from_where_it_changes_and_never_from_todays_settings(home: Scratch, tier: str) -> None:
    """Conformance 74."""
    home.write(".codex/config.toml", 'service_tier = "priority"\n')
    log = Rollout(1)
    log.model()
    log.record("resp_1", counts())
    log.settings(model=MODEL, service_tier=tier)
    log.record("resp_2", counts())
    log.settings(model=MODEL, service_tier="default")
    log.record("resp_3", counts())
    plain, raised, after = (e.cost_nusd or 0 for e in read(home, log).events)
    assert (raised, after) == (2 * plain, plain)
    assert plain > 0


def test_settings_that_name_no_tier_leave_it_at_standard(home: Scratch) -> None:
    """Conformance 74: absent is standard."""
    log = Rollout(1)
    log.settings(model=MODEL, service_tier="priority")
    log.record("resp_1", counts())
    log.settings(model=MODEL)
    log.record("resp_2", counts())
    assert [e.tier for e in read(home, log).events] == ["priority", ""]


def test_cache_writes_are_charged_from_the_family_that_bills_them(home: Scratch) -> None:
    """Conformance 75."""
    log = Rollout(1)
    for number, (model, written) in enumerate(
        (("gpt-5.5", 0), ("gpt-5.5", 600), ("gpt-5.6", 0), ("gpt-5.6", 600))
    ):
        log.model(model)
        log.record(f"resp_{number}", counts(1000 - written, 400, written))
    events = read(home, log).events
    assert [e.tokens.cache_write_5m for e in events] == [0, 600, 0, 600]
    plain_55, written_55, plain_56, written_56 = (e.cost_nusd or 0 for e in events)
    assert written_55 <= plain_55
    assert written_56 > plain_56


@pytest.mark.parametrize("read_name", ["cached_tokens", "cache_read_input_tokens"])
def test_older_field_names_mean_the_same_buckets(home: Scratch, read_name: str) -> None:
    """Conformance 76."""
    used = {"input_tokens": 1000, read_name: 400, "cache_creation_input_tokens": 50, "output_tokens": 9}
    log, legacy = Rollout(1), old(2)
    log.record("resp_1", used)
    legacy.event("token_count", info={"last_token_usage": used, "total_token_usage": used})
    for event in read(home, log, legacy).events:
        assert event.tokens == Tokens(550, 400, 50, 0, 9)


def test_interleaved_cumulative_lineages_are_counted_by_their_last_usage(home: Scratch) -> None:
    """Conformance 77."""
    log = old(1)
    log.model()
    lineages = [counts(output=1000), counts(output=5)]
    for step in range(1, 4):
        for index, total in enumerate(lineages):
            used = counts(output=step * 10 + index)
            lineages[index] = plus(total, used)
            log.event("token_count", info={"last_token_usage": used, "total_token_usage": lineages[index]})
    assert outputs(read(home, log), log) == [10, 11, 20, 21, 30, 31]


@pytest.mark.parametrize(
    ("originator", "source"),
    [
        ("my-sdk", "exec"),
        ("codex-tui", "vscode"),
        ("Codex Desktop", {"custom": "x"}),
        (None, None),
        ("codex_vscode", "mcp"),
    ],
)
def test_every_surface_is_counted(home: Scratch, originator: str | None, source: Any) -> None:
    """Conformance 78."""
    log = Rollout(1, originator=originator, source=source)
    log.model()
    log.record("resp_1", counts())
    found = read(home, log)
    assert found.one.tokens == ONE
    assert found.sessions[log.id].role is Role.MAIN


def test_a_local_provider_costs_nothing_and_is_known_as_such(home: Scratch) -> None:
    """Conformance 79."""
    log = Rollout(1, model_provider="ollama")
    log.model("qwen3-coder:30b")
    log.record("resp_1", counts())
    event = read(home, log).one
    assert (event.provider, event.cost_nusd) == ("ollama", 0)


# ---------------------------------------------------------------- limits, status, size


def test_limits_are_named_by_their_minutes_and_the_newest_of_each_id_stays(home: Scratch) -> None:
    """Conformance 80."""
    log = Rollout(1)
    log.model()
    week, five = (13.0, 10_080, {"resets_at": 1_795_693_845}), (42.0, 300, {"resets_at": 1_795_302_845})
    log.event("token_count", info=None, rate_limits=limits("codex", week, five))
    log.event(
        "token_count", info=None, rate_limits=limits("codex_other", (7.0, 300, {"resets_in_seconds": 600}))
    )
    log.event("token_count", info=None, rate_limits=limits("codex", (14.0, *week[1:]), (43.0, *five[1:])))
    reset_ms = log.ms - 1000 + 600_000
    write(home, log)
    with home.ledger() as ledger:
        ledger.catch_up(0.0, 1)
        from tokentop.store import reader

        found = {(q.limit_id, q.window_minutes): q for q in reader.quotas(ledger.db)}
    assert {key: quota.used_pct for key, quota in found.items()} == {
        ("codex", 10_080): 14.0, ("codex", 300): 43.0, ("codex_other", 300): 7.0,
    }  # fmt: skip
    assert found["codex", 300].resets_at_ms == 1_795_302_845_000
    assert found["codex_other", 300].resets_at_ms == reset_ms
    assert {quota.plan for quota in found.values()} == {"plus"}


def test_an_old_log_that_is_read_last_does_not_bring_back_an_old_limit(home: Scratch) -> None:
    """Conformance 80, 12."""
    newer, older = Rollout(1), Rollout(2, at_ms=START_MS - 86_400_000)
    reset = {"resets_at": 1_795_302_845}
    newer.event("token_count", info=None, rate_limits=limits("codex", (80.0, 300, reset)))
    older.event("token_count", info=None, rate_limits=limits("codex", (10.0, 300, reset)))
    write(home, newer)
    home.read()
    write(home, older)
    _, facts = home.follow(newer.ms)
    assert [f.used_pct for f in facts if isinstance(f, Quota)] == [10.0]
    with home.ledger() as ledger:
        assert ledger.db.execute("SELECT used_pct FROM quota").fetchall() == [(80.0,)]


@pytest.mark.parametrize(("end", "state"), [("turn_aborted", State.IDLE), ("task_complete", State.IDLE)])
def test_a_turn_that_ended_is_idle(home: Scratch, end: str, state: State) -> None:
    """Conformance 81."""
    log = Rollout(1)
    log.started()
    log.model()
    log.add(
        "response_item", {"type": "function_call", "name": "exec_command", "arguments": "{}", "call_id": "c1"}
    )
    log.event(end, reason="interrupted")
    write(home, log)
    live, _ = home.follow(log.ms)
    (row,) = take(live, log.ms + 1000).rows
    assert row.status.state is state
    assert home.read().events == ()


def test_a_rollout_that_just_ends_is_not_running_for_ever(home: Scratch) -> None:
    """Conformance 81: TERM and KILL leave no end; without a process and news it is not at work."""
    log = Rollout(1)
    log.started()
    log.model()
    log.record("resp_1", counts())
    write(home, log)
    live, _ = home.follow(log.ms)
    later = log.ms + 3 * 3_600_000
    live.advance(later)
    live.set_procs((), later)
    states = {row.status.state for row in take(live, later).rows}
    assert states <= {State.IDLE, State.DONE, State.UNKNOWN}


def test_a_large_rollout_is_read_in_slices_of_bounded_size(home: Scratch) -> None:
    """Conformance 82, in small: no slice and no batch grows with the file."""
    log = Rollout(1)
    log.model()
    log.both("resp_1", counts())
    head = log.bytes()
    filler = b'{"timestamp":"%s","ordinal":9,"type":"response_item","payload":{"type":"reasoning","encrypted_content":"%s"}}\n'
    line = filler % (iso(log.ms).encode(), b"x" * 60_000)
    home.write(log.path, head + line * 400)
    log.records.clear()
    log.both("resp_2", counts(output=60))
    home.append(log.path, log.bytes())
    sizes = []
    with home.ledger() as ledger:
        ledger.follower.walk(0.0, 1)
        while (step := ledger.step(0.0, 1 << 62)) is not None:
            sizes.append(step.batch.bytes)
        assert kinds(ledger.health()).get("unparsed") is None
    assert len(sizes) > 1
    assert max(sizes) <= 10 << 20
    assert [e.tokens.output for e in home.read().events] == [50, 60]


def test_the_context_is_the_last_calls_total_and_the_window_is_the_logs(home: Scratch) -> None:
    log = Rollout(1)
    log.started()
    log.model()
    log.both("resp_1", counts(1000, 90_000, 0, 500))
    log.both("resp_2", counts(100, 20_000, 0, 50))
    write(home, log)
    live, _ = home.follow(log.ms)
    (row,) = take(live, log.ms).rows
    assert (row.context_used, row.context_window) == (20_150, 258_400)


def test_the_title_is_the_first_prompt_of_a_person(home: Scratch) -> None:
    log = Rollout(1)
    log.prompt("<environment_context>x</environment_context>")
    log.prompt("# AGENTS.md instructions for /home/dev")
    log.prompt("be helpful", role="developer")
    log.prompt("move the build to vite")
    log.prompt("and then the tests")
    assert read(home, log).sessions[log.id].title == "move the build to vite"


def test_a_total_that_no_state_can_hold_does_not_hold_up_the_log() -> None:
    decoder = CodexLines(LogFile("x", "rollout-1", ()), b"")
    total = {"input_tokens": 1 << 70, "output_tokens": -(1 << 70)}
    info = {"total_token_usage": total, "last_token_usage": {"output_tokens": 3}}
    event = {
        "type": "event_msg",
        "timestamp": "2026-11-21T20:00:00Z",
        "payload": {"type": "token_count", "info": info},
    }
    decoder.line(json.dumps(event).encode())
    assert [fact.tokens.output for fact in decoder.facts if isinstance(fact, Usage)] == [3]
    again = CodexLines(LogFile("x", "rollout-1", ()), decoder.state())
    again.line(json.dumps(event).encode())
    assert not [fact for fact in again.facts if isinstance(fact, Usage)]  # the same snapshot again
