"""Conformance of the reader of OpenCode and Kilo."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.agents.build_opencode import PLACE, START_MS, TOKENS, ZERO, Database
from tests.agents.harness import HERE, NOW_MS, Scratch, price_table, scratch
from tokentop.agents import agent
from tokentop.engine.snapshot import take
from tokentop.ledger import Ledger
from tokentop.nouns.processes import ProcRole
from tokentop.nouns.sessions import Activity, Context, Role, State
from tokentop.nouns.usage import Tokens

MINUTE_MS = 60_000


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


@pytest.fixture
def db(home: Scratch) -> Iterator[Database]:
    with closing(Database(home)) as found:
        yield found


def catch_up(ledger: Ledger, now_s: float) -> None:
    ledger.follower.walk(now_s, NOW_MS * 1_000_000)
    while ledger.step(now_s, 0) is not None:
        pass


# ---------------------------------------------------------------- tokens


def test_reasoning_is_on_top_of_the_output(home: Scratch, db: Database) -> None:
    """Conformance 92."""
    db.message(db.session(1), 1, START_MS)
    event = home.read().one
    assert event.tokens == Tokens(2000, 3000, 0, 0, 80, 30)
    assert (event.model, event.provider, event.took_ms, event.at_ms) == (
        "claude-sonnet-4-5", "anthropic", 500, START_MS,
    )  # fmt: skip


def test_a_running_step_is_unknown_until_it_ends(home: Scratch, db: Database) -> None:
    """Conformance 93, 14: the row is written early and updated in place."""
    session = db.session(1)
    db.message(session, 1, START_MS, ZERO, None)
    found = home.read()
    assert (len(found.responses), len(found.unknown), found.total) == (0, 1, Tokens())
    db.message(session, 1, START_MS, TOKENS, None)  # the step's counts come a moment before its end
    assert home.read().one.tokens.output == 80
    db.message(session, 1, START_MS)
    found = home.read()
    assert (len(found.responses), found.unknown, found.total.output) == (1, [], 80)
    assert found.one.took_ms == 500


def test_a_step_killed_in_its_tool_stays_unknown(home: Scratch, db: Database) -> None:
    """Conformance 93: also when its session was resumed."""
    session = db.session(1)
    db.message(session, 1, START_MS, ZERO, None)
    home.read()
    db.message(session, 2, START_MS + MINUTE_MS)
    found = home.read()
    assert (len(found.responses), len(found.unknown)) == (1, 1)


def test_what_ends_while_other_steps_start_is_not_missed(home: Scratch, db: Database) -> None:
    session = db.session(1)
    with home.ledger(live=True) as ledger:
        for number in range(1, 20):
            db.message(session, number, START_MS + number, ZERO, None)
            catch_up(ledger, number * 100.0)
            if number > 3:
                db.message(session, number - 3, START_MS + number - 3)
                catch_up(ledger, number * 100.0 + 50)
    found = home.read()
    assert (len(found.responses), len(found.unknown)) == (16, 3)


def test_rows_written_after_others_were_undone_are_not_missed(home: Scratch, db: Database) -> None:
    """SQLite gives the rowids of deleted rows at the end to the next ones."""
    session = db.session(1)
    for number in range(1, 9):
        db.message(session, number, START_MS + number)
    home.read()
    db.db.execute("DELETE FROM message WHERE id > 'msg_0005'")
    for number in range(20, 30):
        db.message(session, number, START_MS + number)
    assert len(home.read().responses) == 18
    db.db.execute("DELETE FROM message")
    db.message(session, 40, START_MS + 40)
    assert len(home.read().responses) == 19


def test_a_vacuum_that_renumbers_rows_loses_and_doubles_nothing(home: Scratch, db: Database) -> None:
    session = db.session(1)
    for number in range(1, 50):
        db.message(session, number, START_MS + number)
    home.read()
    db.db.execute("DELETE FROM message WHERE id < 'msg_0030'")
    db.db.execute("VACUUM")
    db.message(session, 60, START_MS + 60)
    assert len(home.read().responses) == 50


def test_a_refused_call_is_no_call_and_an_aborted_one_is_unknown(home: Scratch, db: Database) -> None:
    session = db.session(1)
    refused = {"name": "APIError", "data": {"message": "rate limit", "statusCode": 429, "isRetryable": True}}
    aborted = {"name": "MessageAbortedError", "data": {"message": "aborted"}}
    db.message(session, 1, START_MS, ZERO, error=refused, cost=0)
    db.message(session, 2, START_MS + 1, ZERO, error=aborted, cost=0)
    found = home.read()
    assert (len(found.responses), len(found.unknown)) == (0, 1)


def test_the_tokens_of_parts_and_sessions_are_not_counted_again(home: Scratch, db: Database) -> None:
    """Conformance 94."""
    session = db.session(
        1, tokens_input=2000, tokens_output=50, tokens_reasoning=30, tokens_cache_read=3000, cost=0.00246
    )
    message = db.message(session, 1, START_MS)
    db.part(message, session, 1, START_MS, {"type": "step-finish", "tokens": TOKENS, "cost": 0.00246})
    assert home.read().total == Tokens(2000, 3000, 0, 0, 80, 30)


def test_a_free_call_has_its_own_price_and_the_logged_cost_is_kept_apart(home: Scratch, db: Database) -> None:
    """Conformance 97."""
    session = db.session(1)
    db.message(session, 1, START_MS, cost=0)
    db.message(session, 2, START_MS + 1, {**TOKENS, "cache": {"read": 0, "write": 1000}}, cost=0.009)
    found = home.read()
    price = price_table().price(
        provider="anthropic",
        model="claude-sonnet-4-5",
        at_ms=START_MS,
        tokens=Tokens(2000, 3000, 0, 0, 80, 30),
    )
    assert found.events[0].cost_nusd == price.nusd
    with home.ledger() as ledger:
        assert ledger.db.execute("SELECT logged_nusd FROM event_extra").fetchall() == [(9_000_000,)]


def test_hostile_rows_are_read_without_an_error(home: Scratch, db: Database) -> None:
    session = db.session(1, title="\x1b]0;x\x07 boxes", directory=7, model="{", time_created=-5)
    db.message(session, 1, START_MS, {"input": -4, "output": "many", "cache": [], "reasoning": 1 << 70})
    db.message(session, 2, START_MS, {"input": None, "output": 5, "cache": {"read": None}})
    db.db.execute("INSERT INTO message VALUES ('msg_x', ?, 1, 1, '{\"role\":')", (session,))
    db.db.execute("INSERT INTO message VALUES (x'00ff', ?, 1, 1, '{}')", (session,))
    db.db.execute("INSERT INTO message VALUES ('msg_y', ?, 1, 1, '[]')", (session,))
    found = home.read()
    assert [event.tokens.output for event in found.responses] == [5]
    assert "\x1b" not in found.sessions[session].title


# ---------------------------------------------------------------- forks


def fork(db: Database, at_ms: int, number: int = 2, **about: object) -> str:
    return db.session(number, at_ms, title=f"Count the boxes (fork #{number - 1})", **about)


@pytest.mark.parametrize("copied", [{}, {"cost": 0}], ids=["OpenCode", "Kilo"])
def test_a_fork_does_not_count_its_parents_messages(
    home: Scratch, db: Database, copied: dict[str, int]
) -> None:
    """Conformance 95: the copies have new ids and the times of their originals; Kilo's have no cost."""
    first = db.session(1)
    for number in range(1, 4):
        db.message(first, number, START_MS + number * 1000)
    second = fork(db, START_MS + MINUTE_MS)
    for number in range(1, 4):
        db.message(second, number + 10, START_MS + number * 1000, **copied)
    db.message(second, 20, START_MS + 2 * MINUTE_MS)
    third = fork(db, START_MS + 3 * MINUTE_MS, 3)
    for number in range(1, 4):
        db.message(third, number + 30, START_MS + number * 1000, **copied)
    db.message(third, 40, START_MS + 2 * MINUTE_MS)
    found = home.read()
    assert len(found.responses) == 4
    assert len(found.of(second)) == 1
    assert found.sessions[second].role is Role.FORK
    assert found.sessions[second].parent_id == first


def test_a_fork_made_during_a_step_does_not_repeat_the_step(home: Scratch, db: Database) -> None:
    first = db.session(1)
    db.message(first, 1, START_MS + 1000, ZERO, None)
    second = fork(db, START_MS + MINUTE_MS)
    db.message(second, 11, START_MS + 1000, ZERO, None)
    assert len(home.read().unknown) == 1
    db.message(first, 1, START_MS + 1000)
    found = home.read()
    assert (len(found.responses), found.unknown, found.of(second)) == (1, [], [])


def test_an_import_with_old_times_is_counted(home: Scratch, db: Database) -> None:
    """Conformance 95: without a twin it is no copy."""
    session = db.session(1, START_MS + MINUTE_MS)
    db.message(session, 1, START_MS)
    other = db.session(2, START_MS - MINUTE_MS)
    db.message(other, 2, START_MS, {**TOKENS, "input": 2001})
    assert len(home.read().responses) == 2


def test_of_two_forks_whose_parent_is_gone_one_counts(home: Scratch, db: Database) -> None:
    for number in (1, 2):
        session = fork(db, START_MS + number * MINUTE_MS, number)
        db.message(session, number, START_MS)
    assert len(home.read().responses) == 1


# ---------------------------------------------------------------- the other stores


def message_file(home: Scratch, session: str, message_id: str, at_ms: int) -> None:
    record = {
        "id": message_id, "sessionID": session, "role": "assistant", "modelID": "claude-sonnet-4-5",
        "providerID": "anthropic", "path": {"cwd": "/home/dev/shop"}, "cost": 0.00246, "tokens": TOKENS,
        "time": {"created": at_ms, "completed": at_ms + 500}, "finish": "stop",
    }  # fmt: skip
    home.write(
        f".local/share/opencode/storage/message/{session}/{message_id}.json", json.dumps(record, indent=2)
    )


def minted(at_ms: int, number: int) -> str:
    """An id as the client makes it at a time."""
    return f"msg_{((at_ms * 4096 + number) & (1 << 48) - 1):012x}AbCdEfGhIjKlMn"


def test_json_files_and_database_with_the_same_ids_count_once(home: Scratch, db: Database) -> None:
    """Conformance 96: files stay behind after the upgrade, and hold what the database has not."""
    session, message = db.session(1), minted(START_MS, 1)
    db.message(session, 1, START_MS, id=message)
    message_file(home, session, message, START_MS)
    message_file(home, "ses_old", minted(START_MS - 5000, 1), START_MS - 5000)
    home.write(
        ".local/share/opencode/storage/session/global/ses_old.json",
        json.dumps({"id": "ses_old", "projectID": "global", "directory": "/home/dev/old", "parentID": session,
                    "title": "Before the upgrade", "version": "1.0.4", "time": {"created": 1, "updated": 2}}),
    )  # fmt: skip
    home.write(
        ".local/share/opencode/storage/part/msg_x/prt_y.json", '{"type":"step-finish","tokens":{"output":9}}'
    )
    found = home.read()
    assert len(found.responses) == 2
    old = found.sessions["ses_old"]
    assert (old.title, old.cwd, old.parent_id) == ("Before the upgrade", "/home/dev/old", session)


def test_copies_among_json_files_are_known_by_the_time_in_their_ids(home: Scratch) -> None:
    """Conformance 95 for the files: an id made after the message had ended."""
    message_file(home, "ses_1", minted(START_MS, 1), START_MS)
    message_file(home, "ses_2", minted(START_MS + MINUTE_MS, 1), START_MS)
    assert [event.session for event in home.read().responses] == ["ses_1"]


def test_a_half_written_file_is_read_when_it_is_whole(home: Scratch) -> None:
    """Conformance 9."""
    message_file(home, "ses_1", minted(START_MS, 1), START_MS)
    place = next((home.home / ".local/share/opencode/storage/message").rglob("*.json"))
    whole = place.read_text()
    place.write_text(whole[:100])
    assert home.read().responses == []
    place.write_text(whole)
    assert len(home.read().responses) == 1


def test_each_generation_of_tables_counts_what_only_it_has(home: Scratch) -> None:
    """Conformance 96: rows that were taken over keep their ids."""
    with closing(Database(home, v2=True)) as db:
        session = db.session(1)
        db.message(session, 1, START_MS)
        db.message(session, 2, START_MS + 1000)
        db.session(1, table="session_v2", title="Count all boxes")
        db.message_v2(session, 2, 1, START_MS + 1000)
        db.message_v2(session, 3, 2, START_MS + 2000)
        db.session(5, table="session_v2", title=None, parent_id=session)
        db.message_v2("ses_0005", 6, 1, START_MS + 3000, kind="user", text="find the labels")
        db.message_v2("ses_0005", 7, 2, START_MS + 3000)
        found = home.read()
        assert len(found.responses) == 4
        assert found.sessions[session].title == "Count all boxes"
        child = found.sessions["ses_0005"]
        assert (child.title, child.parent_id, child.role) == ("find the labels", session, Role.SUB_AGENT)


def test_empty_tables_of_the_next_generation_hide_nothing(home: Scratch) -> None:
    """Conformance 96."""
    with closing(Database(home, v2=True)) as db:
        db.message(db.session(1), 1, START_MS)
        assert len(home.read().responses) == 1


def test_a_fork_of_the_next_generation_counts_from_its_boundary_on(home: Scratch) -> None:
    """Conformance 96: copies keep seq, type and times under new ids."""
    with closing(Database(home, v2=True)) as db:
        first = db.session(1, table="session_v2")
        for seq in (1, 2, 3):
            db.message_v2(first, seq, seq, START_MS + seq * 1000)
        boundary = json.dumps({"type": "through", "messageID": "msg_0002"})
        second = db.session(
            2, START_MS + MINUTE_MS, table="session_v2", fork_session_id=first, fork_boundary=boundary
        )
        for seq in (1, 2):
            db.message_v2(second, seq + 10, seq, START_MS + seq * 1000)
        db.message_v2(second, 13, 3, START_MS + 2 * MINUTE_MS)
        found = home.read()
        assert len(found.responses) == 4
        assert len(found.of(second)) == 1
        assert (found.sessions[second].role, found.sessions[second].parent_id) == (Role.FORK, first)


def test_a_fork_that_was_taken_over_is_not_counted_by_the_new_tables(home: Scratch) -> None:
    """The copies keep the ids that they had, and the link to the parent was never written."""
    with closing(Database(home, v2=True)) as db:
        first = db.session(1)
        db.message(first, 1, START_MS + 1000)
        second = fork(db, START_MS + MINUTE_MS)
        db.message(second, 11, START_MS + 1000)
        db.message(second, 12, START_MS + 2 * MINUTE_MS)
        # The newest session is taken over first.
        db.session(2, START_MS + MINUTE_MS, table="session_v2")
        db.message_v2(second, 11, 1, START_MS + 1000)
        db.message_v2(second, 12, 2, START_MS + 2 * MINUTE_MS)
        db.session(1, table="session_v2")
        db.message_v2(first, 1, 1, START_MS + 1000)
        found = home.read()
        assert len(found.responses) == 2
        assert (len(found.of(first)), len(found.of(second))) == (1, 1)


def test_calls_of_the_next_generation_run_fail_and_compact(home: Scratch) -> None:
    with closing(Database(home, v2=True)) as db:
        session = db.session(1, table="session_v2")
        db.message_v2(session, 1, 1, START_MS, None)
        error = {"type": "provider.invalid-request", "message": "deprecated", "status": 410}
        ended = {"created": START_MS, "completed": START_MS + 1}
        db.message_v2(session, 2, 2, START_MS, None, error=error, time=ended, finish="error")
        db.message_v2(session, 3, 3, START_MS, None, kind="compaction", status="running")
        db.message_v2(session, 4, 4, START_MS, kind="compaction", status="completed", model=None)
        db.message_v2(session, 5, 5, START_MS, kind="idle", outcome="succeeded")
        found = home.read()
        assert (len(found.unknown), len(found.responses)) == (1, 1)
        assert found.responses[0].model == "claude-sonnet-4-5"
        db.message_v2(session, 1, 1, START_MS)
        assert (len(home.read().responses), home.read().unknown) == (2, [])


# ---------------------------------------------------------------- places


@pytest.mark.parametrize(
    ("who", "environ", "place"),
    [
        ("opencode", {}, ".local/share/opencode/opencode-beta.db"),
        ("opencode", {"XDG_DATA_HOME": "xdg"}, "xdg/opencode/opencode.db"),
        ("opencode", {"OPENCODE_DB": "else/mine.sqlite"}, "else/mine.sqlite"),
        ("kilo", {}, ".local/share/kilo/kilo.db"),
        ("kilo", {"KILO_DB": "else/kilo.db"}, "else/kilo.db"),
    ],
)
def test_the_database_is_found(home: Scratch, who: str, environ: dict[str, str], place: str) -> None:
    """Conformance 98."""
    home.environ |= {name: str(home.home / value) for name, value in environ.items()}
    with closing(Database(home, place)) as db:
        db.message(db.session(1), 1, START_MS)
        assert home.read().one.agent == who


# ---------------------------------------------------------------- sessions


def test_a_session_has_its_place_title_and_branch(home: Scratch, db: Database) -> None:
    db.db.execute(
        "INSERT INTO workspace (id, type, name, branch, project_id, time_used) VALUES ('w', 'git', '', 'shelf', 'p', 1)"
    )
    session = db.session(1, workspace_id="w", title="New session - 2026-11-22T01:33:28.396Z")
    db.user(session, 1, START_MS, "count the boxes\nin the shop")
    db.message(session, 2, START_MS + 1)
    about = home.read().sessions[session]
    assert (about.title, about.cwd, about.branch) == (
        "count the boxes in the shop",
        "/home/dev/shop",
        "shelf",
    )
    assert (about.model, about.version, about.surface) == ("claude-sonnet-4-5", "1.18.33", "build")
    # The title comes later, and no other row changes with it.
    db.db.execute("UPDATE session SET title='Box count'")
    assert home.read().sessions[session].title == "Box count"


def test_a_sub_agent_belongs_to_its_parent(home: Scratch) -> None:
    shutil.copytree(HERE / "opencode/subagent/home", home.home, dirs_exist_ok=True)
    found = home.read()
    child = next(s for s in found.sessions.values() if s.parent_id)
    assert child.role is Role.SUB_AGENT
    assert len(found.of(child.id)) == 2


# ---------------------------------------------------------------- status


def state_of(home: Scratch, session: str, at_ms: int) -> tuple[State, str, int | None]:
    live, _ = home.follow(at_ms)
    row = next(row for row in take(live, 1).rows if row.session_id == session)
    return row.status.state, row.status.detail, row.context_used


def test_the_status_follows_a_turn(home: Scratch, db: Database) -> None:
    now_ms = int(os.stat(db.path).st_mtime_ns // 1_000_000)
    session = db.session(1, now_ms)
    db.user(session, 1, now_ms)
    message = db.message(session, 2, now_ms + 10, ZERO, None)
    assert state_of(home, session, now_ms + 100)[0] is State.WORKING
    running = {"type": "tool", "tool": "bash", "callID": "c", "state": {
        "status": "running", "input": {"command": "sleep 20"}, "time": {"start": now_ms + 200}}}  # fmt: skip
    db.part(message, session, 300, now_ms + 200, running)
    assert state_of(home, session, now_ms + 300)[:2] == (State.TOOL, "bash")
    done = {**running, "state": {**running["state"], "status": "completed", "output": "x"}}  # type: ignore[dict-item]
    db.part(message, session, 300, now_ms + 400, done)
    assert state_of(home, session, now_ms + 500)[0] is State.WORKING
    db.message(session, 2, now_ms + 10, took_ms=600, finish="tool-calls")
    assert state_of(home, session, now_ms + 700) == (State.WORKING, "", 5080)
    db.message(session, 3, now_ms + 800)
    assert state_of(home, session, now_ms + 1500)[0] is State.IDLE


def test_a_failed_turn_says_why(home: Scratch, db: Database) -> None:
    now_ms = int(os.stat(db.path).st_mtime_ns // 1_000_000)
    session = db.session(1, now_ms)
    error = {"name": "APIError", "data": {"message": "slow down", "statusCode": 429}}
    db.message(session, 1, now_ms, ZERO, error=error, cost=0)
    assert state_of(home, session, now_ms + 700)[:2] == (State.LIMITED, "slow down")


def test_the_newest_rows_tell_the_status_without_counting(home: Scratch, db: Database) -> None:
    from tokentop.ingest.discover import walk
    from tokentop.ingest.signs import last_signs

    session = db.session(1)
    db.message(session, 1, START_MS)
    db.message(session, 2, START_MS + MINUTE_MS, {**TOKENS, "input": 9})
    entries = walk([agent("opencode")], home.environ, {}).files.values()
    facts = [fact for entry in entries for fact in last_signs(entry)]
    assert [fact.used for fact in facts if isinstance(fact, Context)] == [3089]
    assert all(isinstance(fact, Activity | Context) for fact in facts)


# ---------------------------------------------------------------- cost of reading


def test_every_question_uses_an_index(home: Scratch, db: Database) -> None:
    """A look at a database of gigabytes must not read it again."""
    from tokentop.agents.base import LogFile
    from tokentop.ingest.rows import questions

    session = db.session(1)
    db.user(session, 1, START_MS)
    db.message(session, 2, START_MS, ZERO, None)
    second = fork(db, START_MS + MINUTE_MS)
    db.message(second, 3, START_MS, ZERO, None)
    db.message(second, 4, START_MS + 2 * MINUTE_MS, ZERO, None)
    asked: list[tuple[str, tuple[object, ...]]] = []
    source = agent("opencode").sources[0]
    file = LogFile(PLACE, "opencode", (), START_MS + 3 * MINUTE_MS)
    with questions(str(db.path)) as ask:

        class Spy:
            tables = ask.tables

            def __call__(self, sql: str, *values: object) -> list[tuple[object, ...]]:
                asked.append((sql, values))
                return ask(sql, *values)

        reading = source.read(file, Spy(), b"")  # type: ignore[attr-defined]
        source.read(file, Spy(), reading.state)  # type: ignore[attr-defined]
        assert len(asked) > 8
        for sql, values in asked:
            for *_, plan in ask(f"EXPLAIN QUERY PLAN {sql}", *values):
                assert not plan.startswith("SCAN") or "json_each" in plan or "VIRTUAL TABLE" in plan, (
                    sql,
                    plan,
                )


# ---------------------------------------------------------------- processes


@pytest.mark.parametrize(
    ("argv", "role", "once", "session"),
    [
        (["/x/.bin/opencode"], ProcRole.AGENT, False, ""),
        (["opencode", "-s", "ses_e0"], ProcRole.AGENT, False, "ses_e0"),
        (["opencode", "-s", "ses_e0", "--fork"], ProcRole.AGENT, False, ""),
        (["opencode", "run", "--session=ses_e0", "go"], ProcRole.AGENT, True, "ses_e0"),
        (["opencode", "serve", "--port", "1"], ProcRole.DAEMON, False, ""),
        (["opencode", "models"], None, False, ""),
        (["opencode", "--version"], None, False, ""),
    ],
)
def test_its_processes(argv: list[str], role: ProcRole | None, once: bool, session: str) -> None:
    spec = agent("opencode").processes
    assert spec is not None
    assert (spec.role_of(argv), spec.one_shot(argv), spec.argv_session(argv)) == (role, once, session)


def test_kilo_is_the_program_below_its_launcher() -> None:
    from tokentop.agents import all_processes
    from tokentop.agents.processes import identify

    worker = "/x/node_modules/@kilocode/cli/bin/.kilo"
    for argv, exe in (["node", "/x/.bin/kilo", "run", "go"], "/x/bin/node"), ([worker, "run", "go"], worker):
        found = identify(argv, exe, all_processes())
        assert found is not None
        assert (found.spec.agent, found.spec.one_shot(found.argv)) == ("kilo", True)
