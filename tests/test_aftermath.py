"""What is spent after an action: the pure watch, the store, and `tokentop kill --watch` on real processes."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from msgspec import json as msgjson
from msgspec import structs

from tests.agents.build_claude import Transcript, usage
from tests.engine_build import NOW, agent_proc, session, sub_agent
from tests.engine_build import usage as priced
from tests.fake_agents.world import SLEEP, World, is_alive, now_ms, wait_for
from tokentop.engine.aftermath import READ_S, WATCH_S, in_words
from tokentop.engine.live import LiveState
from tokentop.engine.snapshot import take
from tokentop.nouns.actions import Action, Receipt
from tokentop.nouns.usage import Figures, Kind
from tokentop.store import db, reader
from tokentop.store.receipts import append_action, replace_action

ROOT = Path(__file__).resolve().parents[1]
OVER_S = WATCH_S + READ_S


def receipt(
    sid: str = "s", action: Action = Action.TERMINATE, result: str = "ended", **more: object
) -> Receipt:
    fields: dict[str, object] = {
        "at_ms": NOW - 500, "action": action, "reason": "manual", "agent": "claude", "session_id": sid, "pid": 10,
        "start_ticks": 1000, "argv0": "claude", "cwd": "/w/app", "result": result, "detail": "", "rungs": (),
        "ended_pids": (10,), "survivors": (), "took_ms": 500, "cost_nusd": 1, "burn_nusd_per_h": 2, "resume": "r",
    }  # fmt: skip
    return Receipt(**{**fields, **more})  # type: ignore[arg-type]


def state(**more: object) -> LiveState:
    live = LiveState(**more)  # type: ignore[arg-type]
    live.advance(NOW)
    live.load_session(session("s"), Figures())
    live.load_session(sub_agent("s/a1"), Figures())
    live.load_session(session("n"), Figures())
    live.set_procs((agent_proc(10, "s"), agent_proc(11, "n", parent_session_id="s")), NOW)
    return live


def at(event_id: int, sid: str, after_ms: int, **more: object):
    """An event that ended so long after the action did."""
    event = priced(event_id, sid, ago_ms=-after_ms)
    fields = {"duration_ms": 0, "start_ms": 0} | more
    return structs.replace(event, usage=structs.replace(event.usage, **fields))


def watched(live: LiveState, *events, of: Receipt | None = None) -> Receipt:
    live.watch(of or receipt(), 100.0)
    for event in events:
        live.apply_usage(event)
    assert live.watched(100.0 + OVER_S - 0.1) == []
    (told,) = live.watched(100.0 + OVER_S)
    assert take(live, NOW + 13_000).watched[-1] == told
    assert live.watched(200.0) == []
    return told


def test_a_quiet_session_spent_nothing() -> None:
    """What ended before the action did does not count, nor what came after the ten seconds, nor other sessions."""
    live = state()
    live.load_session(session("other"), Figures())
    told = watched(
        live, at(1, "s", -1), at(2, "s", 10_001), at(3, "other", 500), at(4, "s", 900, kind=Kind.HIDDEN)
    )
    assert told.after is not None
    assert (told.after.calls, told.after.tokens, told.after.unknown) == (0, 0, "")
    assert in_words(told.after) == "no token in its log in the 10 s after"
    assert told.key == receipt().key


def test_what_is_spent_is_told_with_its_place_and_counted_once() -> None:
    live = state()
    new, inner, nested = at(1, "s", 2_000), at(2, "s/a1", 3_000), at(3, "n", 4_000)
    told = watched(live, new, inner, nested, new, inner)
    assert told.after is not None
    assert told.after.calls == 3
    assert told.after.tokens == 3 * new.usage.tokens.total
    assert told.after.cost_nusd == 3_000
    said = in_words(told.after)
    assert f"{told.after.tokens:,} tokens, <$0.01 in the 10 s after: " in said
    for part in ("a new call", "a new call of a sub-agent", "a new call of claude n below it"):
        assert part in said


def test_the_call_that_was_under_way_is_called_so() -> None:
    told = watched(state(), at(1, "s", 800, start_ms=NOW - 4_000, duration_ms=4_800))
    assert told.after is not None
    assert told.after.where == "the call that was under way"


def test_what_cannot_be_known_is_not_called_nothing() -> None:
    frozen = watched(state(), of=receipt(action=Action.FREEZE, result="frozen"))
    blind = watched(state(blind={"claude": "its log does not tell single calls"}))
    loose = watched(state(), of=receipt(sid=""))
    unsized = watched(state(), at(1, "s", 900, kind=Kind.UNKNOWN, tokens=type(at(1, "s", 1).usage.tokens)()))
    untimed = watched(state(), at(1, "s", 900, at_estimated=True))
    unpriced = watched(state(), structs.replace(at(1, "s", 900), cost_nusd=None))
    live = state()
    live.watch(receipt(), 100.0)
    live.aftermath.blinded("the logs could not be read meanwhile")
    (unread,) = live.watched(150.0)
    for told, why in ((frozen, "frozen process writes no log"), (blind, "single calls"), (loose, "session is not known"),
                      (unsized, "1 call began whose tokens"), (untimed, "when a call was made"),
                      (unread, "could not be read")):  # fmt: skip
        assert "is not known: " in in_words(told.after)
        assert why in in_words(told.after)
    assert ", no price in the 10 s after" in in_words(unpriced.after)


@pytest.mark.parametrize(
    "result", ["refused", "failed", "already gone", "thawed", "would terminate", "cancelled"]
)
def test_what_did_nothing_is_not_watched(result: str) -> None:
    live = state()
    live.watch(receipt(result=result, action=Action.THAW if result == "thawed" else Action.TERMINATE), 1.0)
    assert not live.aftermath.watching
    assert in_words(None) == ""


def test_the_stored_receipt_gets_what_was_spent_and_old_ones_still_decode(tmp_path: Path) -> None:
    connection = db.open_writer(tmp_path)
    one, other = receipt(), receipt(pid=11)
    old = {name: value for name, value in msgjson.decode(msgjson.encode(one)).items()
           if name not in ("title", "project", "way", "after")}  # fmt: skip
    for each in (one, other):
        append_action(connection, each)
    connection.execute(
        "INSERT INTO action (at_ms, action, reason, agent, sid, pid, result, receipt) VALUES (1,'kill','','','',1,'',?)",
        (json.dumps(old),),
    )
    live = state()
    told = watched(live, of=one)
    replace_action(connection, told)
    stored = reader.actions(connection)
    assert [each.after is not None for each in stored] == [False, False, True]
    assert stored[2] == told
    assert stored[0].after is None
    assert stored[0].title == ""
    connection.close()


def log_of(world: World, session_id: str, at_ms: int) -> tuple[Path, Transcript]:
    log = Transcript(session_id, cwd=str(world.work), at_ms=at_ms)
    path = world.home / Path(log.path).parent / f"{session_id}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path, log


def test_kill_watch_says_who_spent_after_its_end(tmp_path: Path) -> None:
    """Two agents are ended; the log of one grows afterwards, as if a part of it lived on elsewhere."""
    world = World(tmp_path)
    try:
        quiet, late = (world.claude(session=str(uuid.uuid4()), children=[{"argv": SLEEP}]) for _ in range(2))
        for fake in (quiet, late):
            path, log = log_of(world, fake.session_id, now_ms() - 60_000)
            log.user("go on")
            log.reply("before", usage(fresh=10, output=20, read=0, w5=0))
            path.write_bytes(log.bytes())
        environ = {
            "PATH": os.environ["PATH"], "HOME": str(world.home), "TZ": "UTC", "PYTHONPATH": str(ROOT),
            "TOKENTOP_STATE_DIR": str(tmp_path / "state"),
        }  # fmt: skip
        words = ("kill", quiet.session_id, late.session_id, "--yes", "--watch", "--json")
        command = subprocess.Popen(
            [sys.executable, "-m", "tokentop", *words], env=environ, stdout=subprocess.PIPE, text=True
        )
        wait_for(lambda: not is_alive(quiet.pid) and not is_alive(late.pid), 60)
        for fake in (quiet, late):
            fake.process.wait()
        path, log = log_of(world, late.session_id, now_ms() + 500)
        log.user("more")
        log.reply("after", usage(fresh=4, output=1_200, read=0, w5=0))
        with path.open("ab") as file:
            file.write(log.bytes())
        said, _ = command.communicate(timeout=90)
        results = {one["session"]: one for one in json.loads(said)["results"]}
        assert results[quiet.session_id]["after"] == {
            "seconds": 10, "calls": 0, "tokens": 0, "cost_usd": "0.000000000", "where": None, "unknown": None,
        }  # fmt: skip
        after = results[late.session_id]["after"]
        assert (after["calls"], after["tokens"], after["where"]) == (1, 1_204, "a new call")
        done = subprocess.run(
            [sys.executable, "-m", "tokentop", "actions"],
            env=environ,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "no token in its log in the 10 s after" in done.stdout
        assert "1,204 tokens, $0.0" in done.stdout
        assert " in the 10 s after: a new call" in done.stdout
    finally:
        world.close()
