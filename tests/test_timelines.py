"""Timelines of all recorded sessions, as golden files; their sums are the totals of the store, with and without logs.

`TOKENTOP_TIMELINES=write` keeps what is seen.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents.harness import BUCKETS, Case, Scratch, cases, price_table
from tokentop.answers.chronicle import tell
from tokentop.collector.outlined import Outlines
from tokentop.engine.misses import Misses
from tokentop.engine.timeline import Item, Part, Timeline, everything, figures, timeline
from tokentop.nouns.actions import Action, Receipt
from tokentop.nouns.outline import Deed, Outline
from tokentop.nouns.sessions import Role, Session
from tokentop.nouns.usage import Figures, Kind, Priced, Tokens, Usage
from tokentop.report.session import as_document
from tokentop.store import reader
from tokentop.store.receipts import append_action

GOLDEN = Path(__file__).parent / "timelines"
WRITES = os.environ.get("TOKENTOP_TIMELINES") == "write"
ALL = -(10**15)
NOW_MS = 1_796_000_000_000
MINUTE = 60_000


def told_of(home: Scratch) -> list[Timeline]:
    """The timelines of all sessions that no other one contains."""
    with home.ledger() as ledger:
        sessions = [session for session, *_ in reader.sessions(ledger.db, since_ms=ALL)]
        ids = {session.id for session in sessions}
        top = [s for s in sessions if s.role is not Role.SUB_AGENT or s.parent_id not in ids]
        found = [tell(ledger.db, s.agent, s.id, NOW_MS, prices=price_table()) for s in top]
    return sorted((one for one in found if one is not None), key=lambda one: one.session.id)


def sums(own: Figures) -> tuple[int, ...]:
    tokens = own.tokens
    return (
        own.responses,
        *(getattr(tokens, name) for name in BUCKETS),
        own.cost_nusd,
        own.unpriced_tokens,
        own.unknown_calls,
    )


def added(several: list[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*several, strict=True)))


def check_sums(home: Scratch, found: list[Timeline]) -> None:
    """Turns, sub-agents and sessions add up to what `usage` says, to the nano-dollar."""
    names = ("responses", *BUCKETS, "cost_nusd", "unpriced_tokens", "unknown_calls")
    with home.ledger() as ledger:
        columns = ", ".join(f"coalesce(sum({name}), 0)" for name in names)
        total = ledger.db.execute(f"SELECT {columns} FROM rollup").fetchone()
        of_session = {s.id: own for s, own, *_ in reader.sessions(ledger.db, since_ms=ALL)}
    assert added([sums(one.tree) for one in found]) == total
    seen = [one for top in found for one in everything(top)]
    assert sorted(one.session.id for one in seen) == sorted(of_session)
    for one in seen:
        assert sums(one.own) == sums(of_session[one.session.id])
        if one.turns:
            assert added([sums(turn.own) for turn in one.turns]) == sums(one.own)
            assert added([sums(turn.tree) for turn in one.turns]) == sums(one.tree)


def lines_of(told: Timeline, depth: int = 0) -> Iterator[str]:
    """A timeline in readable lines; times from its beginning, none where no log tells them."""
    indent = "  " * depth
    begin = told.turns[0].at_ms if told.turns else 0
    guessed = any(
        item.event is not None and item.event.usage.at_estimated for turn in told.turns for item in turn.items
    )

    def at(ms: int) -> str:
        return "?" if guessed or not ms else f"+{ms - begin}"

    known = "" if told.tools_known else " (tools unknown)"
    note = f" note: {told.note}" if told.note else ""
    yield f"{indent}session {told.session.id} {told.session.role or ''}{known}{note}"
    yield f"{indent}  own {_figures(told.own)}"
    if told.tree != told.own:
        yield f"{indent}  tree {_figures(told.tree)}"
    for turn in told.turns:
        prompt = "prompt" if turn.prompted else "no prompt"
        missed = f" missed {turn.missed} {turn.missed_nusd}" if turn.missed else ""
        yield f"{indent}  turn {turn.number} {at(turn.at_ms)} to {at(turn.end_ms)} {prompt} {_figures(turn.own)}{missed}"
        for item in turn.items:
            yield f"{indent}    {at(item.at_ms)} {_item(item)}"
            if item.branch is not None:
                yield from lines_of(item.branch, depth + 3)
    for item in told.untimed:
        yield f"{indent}  untimed {_item(item)}"


def _figures(own: Figures) -> str:
    counts = " ".join(str(getattr(own.tokens, name)) for name in BUCKETS)
    unpriced = f" unpriced {own.unpriced_tokens}" if own.unpriced_tokens else ""
    marks = unpriced + (f" unknown {own.unknown_calls}" if own.unknown_calls else "")
    return f"{own.responses} [{counts}] {own.cost_nusd}{marks}"


def _item(item: Item) -> str:
    if item.event is not None:
        usage = item.event.usage
        return f"{item.kind} {usage.model} {usage.tokens.total} {item.event.cost_nusd}" + (
            f" missed {item.miss.tokens}" if item.miss.tokens else ""
        )
    deed = item.deed
    if deed is None:
        return item.kind
    lines = f" +{deed.added} -{deed.removed}" if deed.added is not None else ""
    took = f" {deed.took_ms}ms" if deed.took_ms is not None else ""
    return " ".join(filter(None, (item.kind, deed.name, deed.target, deed.result, deed.tests))) + lines + took


@pytest.mark.parametrize("case", cases(), ids=str)
def test_the_timeline_of_a_recorded_case(case: Case, tmp_path: Path) -> None:
    home = Scratch(tmp_path)
    shutil.copytree(case.home, home.home, dirs_exist_ok=True, symlinks=True)
    home.read()
    found = told_of(home)
    check_sums(home, found)
    shown = "\n".join(line for one in found for line in lines_of(one)) + "\n"
    shown = shown.replace(str(home.home), "/home/dev")
    golden = GOLDEN / f"{case.agent}-{case.name}.txt"
    if WRITES:
        golden.write_text(shown)
    assert shown == golden.read_text()


@pytest.mark.parametrize(
    "case", [c for c in cases() if c.agent in {"claude", "codex", "opencode", "copilot"}], ids=str
)
def test_a_timeline_without_logs_has_the_same_sums_and_says_that_tools_are_unknown(
    case: Case, tmp_path: Path
) -> None:
    home = Scratch(tmp_path)
    shutil.copytree(case.home, home.home, dirs_exist_ok=True, symlinks=True)
    home.read()
    shutil.rmtree(home.home)
    home.home.mkdir()
    found = told_of(home)
    check_sums(home, found)
    assert not any(one.tools_known for one in found)
    assert all("gone" in one.note for one in found if one.session.log_path)
    for one in found:
        calls = [item for turn in one.turns for item in turn.items if item.event is not None]
        assert len(one.turns) == len(calls)


@pytest.mark.parametrize(
    "case",
    [c for c in cases() if (c.agent, c.name) in {("claude", "subagents"), ("codex", "multi")}],
    ids=str,
)
def test_json_of_a_session_tells_each_figure_of_it_and_of_its_sub_agents_the_same(
    case: Case, tmp_path: Path
) -> None:
    home = Scratch(tmp_path)
    shutil.copytree(case.home, home.home, dirs_exist_ok=True, symlinks=True)
    home.read()
    for told in told_of(home):
        with home.ledger() as ledger:
            document = as_document(ledger.db, told)
        assert document["with_sub_agents"] == document["tree"]
        calls = [call for call in document["timeline"] if call["kind"] == "response"]
        assert len(calls) == told.tree.responses
        for name, count in document["tree"]["tokens"].items():
            assert sum(call["tokens"][name] for call in document["timeline"]) == count
        missed = [item.get("missed", 0) for turn in document["turns"] for item in turn["items"]]
        assert sum(turn["cache"]["missed"] for turn in document["turns"]) == sum(missed)


def test_a_kept_outline_tells_the_same_as_the_log_did(tmp_path: Path) -> None:
    case = next(c for c in cases() if (c.agent, c.name) == ("claude", "subagents"))
    home = Scratch(tmp_path)
    shutil.copytree(case.home, home.home, dirs_exist_ok=True)
    home.read()
    before = told_of(home)
    with home.ledger() as ledger:
        Outlines().finish(ledger.db, NOW_MS)
    shutil.rmtree(home.home)
    home.home.mkdir()
    assert told_of(home) == before


def test_every_golden_file_has_its_case() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {f"{case.agent}-{case.name}" for case in cases()}


# ---------------------------------------------------------------- parts


def call(number: int, at_ms: int, model: str = "m", **tokens: int) -> Priced:
    usage = Usage(
        "claude", "s", f"k{number}", at_ms, model, Tokens(**(tokens or {"output": 10})), "anthropic"
    )
    return Priced(number, usage, 1_000)


def deed(kind: str, at_ms: int, **more: object) -> Deed:
    return Deed(kind, at_ms=at_ms, **more)  # type: ignore[arg-type]


def part(events: list[Priced], deeds: list[Deed], sid: str = "s", **more: object) -> Part:
    return Part(Session("claude", sid, **more), "", tuple(events), Outline(tuple(deeds)))  # type: ignore[arg-type]


def test_a_turn_goes_from_prompt_to_prompt() -> None:
    events = [call(1, 500), call(2, 1_500), call(3, 2_500), call(4, 3_500)]
    told = timeline(
        {"s": part(events, [deed("prompt", 1_000), deed("prompt", 3_000), deed("prompt", 9_000)])}, "s"
    )
    assert [(t.number, t.prompted, t.own.responses) for t in told.turns] == [
        (1, False, 1),
        (2, True, 2),
        (3, True, 1),
        (4, True, 0),
    ]
    assert sums(told.own) == added([sums(turn.own) for turn in told.turns])


def test_two_prompts_of_one_moment_lose_nothing() -> None:
    told = timeline({"s": part([call(1, 1_000)], [deed("prompt", 1_000), deed("prompt", 1_000)])}, "s")
    assert [t.own.responses for t in told.turns] == [0, 1]


def test_without_prompts_each_response_is_a_turn() -> None:
    told = timeline({"s": part([call(1, 10), call(2, 20)], [deed("tool", 15, name="Bash")])}, "s")
    assert [[item.kind for item in turn.items] for turn in told.turns] == [["call", "tool"], ["call"]]
    assert [turn.prompted for turn in told.turns] == [False, False]


def test_sub_agents_are_nested_where_they_began_by_id_or_by_time() -> None:
    def sub(sid: str, first_ms: int, tool_use_id: str = "") -> Part:
        event = call(hash(sid) % 10_000 + 100, first_ms + 5)
        return part(
            [event], [], sid, parent_id="s", role=Role.SUB_AGENT, first_ms=first_ms, tool_use_id=tool_use_id
        )

    deeds = [
        deed("prompt", 0 + 1), deed("tool", 100, name="Task", call_id="a", took_ms=50),
        deed("tool", 110, name="Task", call_id="b", took_ms=900), deed("tool", 120, name="Bash", call_id="c", took_ms=900),
    ]  # fmt: skip
    parts = {
        "s": part([call(1, 50)], deeds), "s/1": sub("s/1", 112), "s/2": sub("s/2", 105, "a"), "s/3": sub("s/3", 60_000_000),
    }  # fmt: skip
    told = timeline(parts, "s")
    nested = {
        item.deed.call_id: item.branch.session.id
        for t in told.turns
        for item in t.items
        if item.branch and item.deed
    }
    assert nested == {"a": "s/2", "b": "s/1"}
    assert [
        item.branch.session.id for t in told.turns for item in t.items if item.kind == "agent" and item.branch
    ] == ["s/3"]
    assert told.tree.responses == 4
    assert told.own.responses == 1


def test_a_circle_of_parents_ends() -> None:
    parts = {
        sid: part([call(n, 10)], [], sid, parent_id=above, role=Role.SUB_AGENT)
        for n, (sid, above) in enumerate((("s", "b"), ("a", "s"), ("b", "a")))
    }
    told = timeline(parts, "s")
    assert [one.session.id for one in everything(told)] == ["s", "a", "b"]


def test_what_the_store_sums_is_what_a_timeline_sums() -> None:
    hidden = Priced(3, Usage("claude", "s", "h", 5, "m", Tokens(input=7), kind=Kind.HIDDEN), None, True)
    unknown = Priced(4, Usage("claude", "s", "u", 5, "m", Tokens(), kind=Kind.UNKNOWN), None)
    assert figures([call(1, 5), hidden, unknown]) == Figures(Tokens(input=7, output=10), 1, 1_000, 7, True, 1)


def test_a_miss_is_what_was_cached_and_is_paid_again() -> None:
    misses = Misses(price_table())
    model = "claude-opus-4-5"
    first = call(1, 0, model, input=10, cache_write_5m=50_000, output=5)
    hit = call(2, 60_000, model, input=10, cache_read=50_000, cache_write_5m=2_000)
    expired = call(3, 60_000 + 6 * MINUTE, model, input=10, cache_write_5m=55_000)
    other = call(4, 60_000 + 7 * MINUTE, "claude-haiku-4-5", input=300)
    shorter = call(5, 60_000 + 8 * MINUTE, model, input=9_000)
    assert misses.of(first).tokens == 0
    assert misses.of(hit).tokens == 0
    miss = misses.of(expired)
    assert (miss.tokens, miss.why) == (52_000, "expired")
    assert miss.nusd == 52_000 * (6_250 - 500)  # written at $6.25 in place of read at $0.50 a million
    assert misses.of(other).tokens == 0
    assert misses.of(shorter).tokens == 0


def test_a_kill_stands_in_the_turn_in_which_it_was_made(tmp_path: Path) -> None:
    case = next(c for c in cases() if (c.agent, c.name) == ("claude", "print"))
    home = Scratch(tmp_path)
    shutil.copytree(case.home, home.home, dirs_exist_ok=True)
    home.read()
    [before] = told_of(home)
    receipt = Receipt(
        before.turns[-1].end_ms + 5, Action.TERMINATE, "manual", "claude", before.session.id, 1, 2, "claude", "/", "ended", "",
        (), (1,), (), 10, None, None, "",
    )  # fmt: skip
    with home.ledger() as ledger:
        append_action(ledger.db, receipt)
    [after] = told_of(home)
    assert after.turns[-1].items[-1].receipt == receipt
    check_sums(home, [after])
