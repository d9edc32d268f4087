"""The live state under load and hostile input: order of arrival, the year 9999, many agents."""

from __future__ import annotations

import random
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine_build import NOW, act, agent_proc, child, rows_of, session, spent, sub_agent, usage
from tokentop.engine.binding import LINGER_MS
from tokentop.engine.live import LiveState
from tokentop.engine.snapshot import take
from tokentop.engine.status import LOG_ONLY_MS
from tokentop.nouns.sessions import State
from tokentop.nouns.usage import Figures

facts = st.one_of(
    st.builds(
        lambda state, ago, sid, tool, ends: act(state, ago, sid, tool=tool, ends_call=ends),
        st.sampled_from([State.WORKING, State.TOOL, State.IDLE, State.LIMITED, State.ERROR]),
        st.integers(1, 100_000),
        st.sampled_from(["s", "s/a", "t"]),
        st.sampled_from(["", "Bash"]),
        st.sampled_from(["", "5", "6", "7"]),
    ),
    st.builds(
        lambda ago, sid: act(State.WORKING, ago, sid, call_id=str(ago)),
        st.integers(5, 7),
        st.sampled_from(["s", "s/a", "t"]),
    ),
    st.builds(
        lambda ago, sid, cost: usage(ago, sid, ago, cost),
        st.integers(1, 100_000),
        st.sampled_from(["s", "s/a", "t"]),
        st.integers(0, 10**9),
    ),
)


def moment(fact: object) -> int:
    return fact.at_ms if hasattr(fact, "at_ms") else fact.usage.at_ms  # type: ignore[attr-defined]


@given(st.lists(facts, max_size=14, unique_by=moment), st.randoms(use_true_random=False))
@settings(max_examples=120)
def test_facts_of_several_files_may_come_in_any_order(fed: list[object], rng: random.Random) -> None:
    def fold(order: list[object]) -> dict[str, object]:
        live = LiveState()
        live.advance(NOW)
        for sid in ("s", "t"):
            live.load_session(session(sid), spent(3))
        live.load_session(sub_agent("s/a"), spent(4))
        live.set_procs((agent_proc(10, "s"), agent_proc(11, "t", one_shot=True)), NOW)
        for fact in order:
            (live.apply_activity if hasattr(fact, "state") else live.apply_usage)(fact)  # type: ignore[operator]
        return rows_of(live)

    shuffled = fed[:]
    rng.shuffle(shuffled)
    assert fold(fed) == fold(shuffled)


def test_a_record_from_the_year_9999_does_not_rule_for_ever() -> None:
    """Faults T30."""
    live = LiveState()
    live.advance(NOW)
    live.load_session(session(last_ms=253_402_300_799_000), Figures())
    live.apply_activity(act(State.TOOL, NOW - 253_402_300_799_000, tool="Bash"))
    live.apply_activity(act(State.IDLE, -1_000))
    assert rows_of(live)["claude:s"].status.state is State.IDLE
    assert rows_of(live, NOW + LOG_ONLY_MS + LINGER_MS + 1_000) == {}


def busy_fleet(agents: int = 100) -> LiveState:
    live = LiveState()
    live.advance(NOW)
    procs = []
    for number in range(agents):
        sid = f"s{number}"
        live.load_session(session(sid), spent(1))
        procs.append(agent_proc(1_000 + number, sid, children=(child(5_000 + number),)))
        for event in range(10):
            live.apply_usage(usage(number * 100 + event, sid, event * 20_000))
    live.set_procs(tuple(procs), NOW)
    return live


def test_a_snapshot_of_100_agents_has_them_all() -> None:
    live = busy_fleet()
    started = time.process_time()
    for step in range(20):
        picture = take(live, NOW + step * 1_000)
    print(f"CPU per snapshot of 100 agents: {(time.process_time() - started) * 50:.1f} ms")
    assert len(picture.rows) == 200
    assert picture.totals.tokens_per_min > 0


def test_memory_of_sessions_is_bounded() -> None:
    live = LiveState()
    live.set_procs((agent_proc(),), NOW)
    for number in range(6_000):
        live.load_session(session(f"x{number}", last_ms=number), Figures())
    live.advance(NOW)
    assert len(live.tracks) < 5_000
    assert "claude:s" in live.tracks
    assert "claude:x5999" in live.tracks
