"""A row that is used again is the row that would have been made: no picture may show a difference."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from tests.engine_build import NOW, START, act, agent_proc, child, session, spent, usage
from tokentop.engine.live import LiveState
from tokentop.engine.rules import Thresholds
from tokentop.engine.snapshot import MANY, take
from tokentop.nouns.looks import FolderChange
from tokentop.nouns.picture import Row
from tokentop.nouns.sessions import Context, Role, State

SIDS = ("s0", "s1", "s2", "s3")
TOOLS = ("Bash", "Edit", "Task", "")
STATES = (State.WORKING, State.TOOL, State.IDLE, State.DONE, State.ERROR, State.LIMITED, State.INPUT)
STEPS_MS = (0, 1, 250, 1_000, 1_001, 2_500, 3_001, 30_000, 61_000, 130_000, 900_000, 3_700_000, -4_000)

sids = st.sampled_from(SIDS)


def processes() -> st.SearchStrategy[tuple[object, ...]]:
    """Processes of some of the sessions; also loose ones, nested ones, daemons and frozen ones."""
    one = st.fixed_dictionaries(
        {
            "session_id": st.sampled_from((*SIDS, "")),
            "cpu_pct": st.sampled_from((0.0, 1.5)),
            "run_state": st.sampled_from("SSSTR"),
            "state": st.sampled_from((None, None, State.WORKING, State.IDLE, State.PERMISSION)),
            "one_shot": st.booleans(),
            "parent_session_id": st.sampled_from(("", "", "", "s0", "s3")),
            "shared_session_ids": st.sampled_from(((), (), (), ("s1",), ("s1", "s2"))),
            "tools": st.integers(0, 2),
        }
    )
    return st.tuples(st.just("procs"), st.lists(one, max_size=4))


steps = st.one_of(
    st.tuples(st.just("clock"), st.sampled_from(STEPS_MS)),
    st.tuples(
        st.just("session"), sids, st.sampled_from((None, Role.SUB_AGENT, Role.FORK)), st.integers(0, 5)
    ),
    st.tuples(st.just("usage"), sids, st.integers(1, 6), st.sampled_from((None, 1_000, 10**10))),
    st.tuples(st.just("activity"), sids, st.sampled_from(STATES), st.sampled_from(TOOLS)),
    st.tuples(st.just("call"), sids, st.sampled_from(("call_id", "ends_call", "lost_call"))),
    st.tuples(st.just("context"), sids, st.sampled_from((1_000, 90_000, 30_000))),
    st.tuples(st.just("places"), st.sampled_from(("", "work:1.2"))),
    st.tuples(st.just("changes"), st.sampled_from(("git", "none")), st.sampled_from((0, 600_000))),
    processes(),
    processes(),
)


class Twin:
    """Two live states told the same; one makes every row anew."""

    def __init__(self) -> None:
        limits = Thresholds(no_progress_ms=5_000)
        self.lives = (LiveState(thresholds=limits), LiveState(thresholds=limits))
        self.at_ms = NOW

    def tell(self, step: tuple[object, ...]) -> None:
        for live in self.lives:
            self._tell(live, *step)
        if step[0] == "clock":
            self.at_ms += int(step[1])  # type: ignore[call-overload]

    def _tell(self, live: LiveState, kind: str, *more: object) -> None:
        ago_ms = NOW - self.at_ms
        match kind, more:
            case "session", (str(sid), role, int(amount)):
                parent = "s3" if role is not None and sid != "s3" else ""
                known = session(sid, role=role, parent_id=parent, last_ms=self.at_ms - 1_000 * amount)
                live.load_session(
                    known, structs.replace(spent(amount * 1_000, amount), unknown_calls=amount // 4)
                )
            case "usage", (str(sid), int(number), cost):
                live.apply_usage(usage(number, sid, ago_ms, cost))  # type: ignore[arg-type]
            case "activity", (str(sid), State() as state, str(tool)):
                live.apply_activity(act(state, ago_ms, sid, tool=tool, detail="x" if tool == "Bash" else ""))
            case "call", (str(sid), str(word)):
                live.apply_activity(act(State.WORKING, ago_ms, sid, **{word: "c1"}))
            case "context", (str(sid), int(used)):
                live.apply_context(Context("claude", sid, self.at_ms, used, 100_000))
            case "places", (str(place),):
                live.set_places({"/tmp/tmux,%1": place})
            case "changes", (str(source), int(ago)):
                live.set_changes([FolderChange("/w/app", source, self.at_ms - ago, self.at_ms)])
            case "procs", (list() as found,):
                live.set_procs(tuple(self._proc(10 + at, **one) for at, one in enumerate(found)), self.at_ms)

    def _proc(self, pid: int, tools: int, **more: object) -> object:
        state = "registry" if more["state"] else ""
        young = tuple(child(100 * pid + n, started_ms=self.at_ms - 900 * n) for n in range(tools))
        return agent_proc(
            pid, **more, state_source=state, state_since_ms=START, children=young,
            tmux="/tmp/tmux,%1", tty="/dev/pts/1",
        )  # type: ignore[arg-type]  # fmt: skip

    def same(self) -> tuple[Row, ...]:
        kept, made = self.lives
        made.frames = {}
        one, other = take(kept, self.at_ms), take(made, self.at_ms)
        assert one == other
        return one.rows


@settings(max_examples=400)
@given(st.lists(st.tuples(steps, st.booleans()), max_size=40))
def test_a_kept_row_is_the_one_that_would_be_made(told: list[tuple[tuple[object, ...], bool]]) -> None:
    twin = Twin()
    for step, looked in told:
        twin.tell(step)
        if looked:
            twin.same()
    twin.same()


def test_a_row_of_which_nothing_changed_is_the_same_object() -> None:
    live = LiveState()
    for sid in SIDS:
        live.load_session(session(sid), spent(1_000))
    live.set_procs(tuple(agent_proc(10 + at, sid, state=State.WORKING) for at, sid in enumerate(SIDS)), NOW)
    live.apply_activity(act(State.IDLE, 5_000, "s1"))
    first = take(live, NOW)
    live.apply_usage(usage(1, "s2", 0))
    second = take(live, NOW + 1_000)
    same = [one.session_id for one, other in zip(first.rows, second.rows, strict=True) if one is other]
    assert same == ["s0", "s1", "s3"]


def test_of_very_many_rows_each_slides_within_three_seconds_and_moves_at_once_when_something_happens() -> (
    None
):
    live = LiveState()
    sids = [f"m{number}" for number in range(MANY + 50)]
    for number, sid in enumerate(sids):
        live.load_session(session(sid, last_ms=NOW), spent(1_000, 1))
        live.apply_usage(usage(number, sid, 0, 10**9))
    procs = tuple(agent_proc(100 + number, sid, state=State.WORKING) for number, sid in enumerate(sids))
    live.set_procs(procs, NOW)
    slid = dict.fromkeys(sids, NOW)
    before = {row.session_id: row.own.tokens_per_min for row in take(live, NOW).rows}
    assert set(before) == set(sids)
    for second in range(58, 75):
        at_ms = NOW + 1_000 * second
        live.apply_usage(usage(10_000 + second, "m7", NOW - at_ms, 10**9))
        for row in take(live, at_ms).rows:
            key, rate = row.session_id, live.rates.of(row.key).tokens_per_min
            if row.own.tokens_per_min == rate:
                slid[key] = at_ms
            assert row.session_id != "m7" or row.own.tokens_per_min == rate
            assert second < 61 or at_ms - slid[key] < 3_000
