"""The index of the history: what is found, in which order, and that it follows what the writer stores."""

from __future__ import annotations

import random
import re
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokentop.answers.archive import Archive
from tokentop.engine.likeness import nearness, slips, words_of
from tokentop.engine.terms import Pattern
from tokentop.engine.work import Work
from tokentop.nouns.facts import Fact
from tokentop.nouns.history import Ask, Listing
from tokentop.nouns.sessions import Role, Session
from tokentop.nouns.usage import Kind, Tokens, Usage
from tokentop.pricing import PriceTable
from tokentop.store import searching
from tokentop.store.db import FILE_NAME, open_writer
from tokentop.store.indexing import Indexer, waiting
from tokentop.store.outcomes import Kept, keep_works
from tokentop.store.purging import purge_some
from tokentop.store.writer import Writer
from tokentop.ui.history.cells import group_figures, outcome

NOW = 1_795_269_600_000  # 2026-11-21 14:00 UTC
HOUR, DAY = 3_600_000, 86_400_000
HOSTILE = ('foo"', '"', "a AND", "*", "(", "NEAR(", "-a", "\0", "", "a\0b", "AND OR NOT", '"""', "title:", "^a", "a*b",
           "{title} : x", "x" * 5000, "é" * 40, "\ud800", "%", "_", "'; DROP TABLE line; --", "🔎", "~(", "cost>",
           "tool:", "file:*", "since:", "on:2026-99-99", "since:99999999d", "until:0001-01-01", "on:now")  # fmt: skip


class Store:
    """A store that sessions are written to, and questions about them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.db = open_writer(folder)
        self.writer = Writer(self.db, PriceTable.load())
        self.indexer = Indexer(self.db)

    def put(self, *facts: Fact) -> None:
        self.writer.commit(facts)

    def session(
        self, sid: str, title: str = "", *, cost: int = 0, at_ms: int = NOW - HOUR, **more: object
    ) -> None:
        """A session of one response; `cost` in cents of claude-sonnet-4-5."""
        agent = str(more.pop("agent", "claude"))
        model = str(more.pop("model", "claude-sonnet-4-5"))
        cwd = str(more.pop("cwd", "/home/dev/api"))
        fact = Session(
            agent, sid, title=title, title_rank=1, cwd=cwd, model=model, first_ms=at_ms - HOUR, **more
        )  # type: ignore[arg-type]
        usage = Usage(agent, sid, f"{sid}:1", at_ms, model, Tokens(output=667 * cost + 1))
        self.put(fact, usage)

    def outline(self, sid: str, tools: str, files: str) -> None:
        self.db.execute(
            "INSERT OR REPLACE INTO outline (session, log_size, log_mtime_ns, version, read_ms, tools, files, deeds)"
            " SELECT id, 0, 0, 1, 0, ?, ?, x'' FROM session WHERE sid = ?",
            (tools, files, sid),
        )

    def index(self) -> None:
        while self.indexer.index_some(3):
            pass

    def ask(self, query: str = "", sort: str = "", **more: object) -> Listing:
        self.index()
        return searching.answer(self.db, Ask(query, sort, **more), UTC, NOW)  # type: ignore[arg-type]

    def found(self, query: str = "", sort: str = "", **more: object) -> list[str]:
        """Session ids in the order of the answer."""
        listing = self.ask(query, sort, **more)
        assert not listing.problem
        return [entry.session_id for entry in searching.entries(self.db, listing.order)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    yield made
    made.db.close()


@pytest.fixture
def filled(store: Store) -> Store:
    store.session("s1", "fix the flaky retry test", cost=300, branch="fix/flaky")
    store.session("s2", "Move the build to vite", cost=700, agent="codex", model="gpt-5.2", cwd="/home/dev/web",
                  at_ms=NOW - 2 * DAY)  # fmt: skip
    store.session("s3", "retry later", cost=100, at_ms=NOW - 3 * DAY)
    store.session("s4", "Ubersicht für die Küche", cost=900, cwd="/home/dev/küche", at_ms=NOW - 40 * DAY)
    store.outline("s2", "shell\napply_patch", "src/flaky_loader.ts\nvite.config.ts")
    return store


# ------------------------------------------------------------ words


@pytest.mark.parametrize(
    ("query", "first"),
    [("flky retry", "s1"), ("fix the flaky retry test", "s1"), ("falky", "s1"), ("retyr tets", "s1"),
     ("vitte", "s2"), ("bild vite", "s2"), ("KÜCHE", "s4"), ("kuche", "s4"), ("flaky_loader", "s2"), ("applypatch", ""),
     ("apply", "s2"), ("codex", "s2"), ("mvbvt", "s2"), ("nothing like it", "")],
)  # fmt: skip
def test_slips_and_letters_left_out_are_forgiven(filled: Store, query: str, first: str) -> None:
    assert next(iter(filled.found(query)), "") == first


def test_the_likest_comes_first(filled: Store) -> None:
    assert set(filled.found("retry")) == {"s1", "s3"}
    assert filled.found("flaky")[0] == "s1"  # in its title; of the other one it is in a file
    assert set(filled.found("flaky")) == {"s1", "s2"}
    filled.session("s9", "retri", at_ms=NOW)
    assert filled.found("retri")[0] == "s9"  # as it is, before what is like it


@pytest.mark.parametrize("query", HOSTILE)
def test_hostile_queries_never_raise(filled: Store, query: str) -> None:
    for sort in ("", "cost"):
        for group in ("", "day"):
            listing = filled.ask(query, sort, group=group)
            assert listing.problem or len(listing.order) <= 4


@given(query=st.text(max_size=40), sort=st.sampled_from(["", "cost"]), group=st.sampled_from(["", "project"]))
@settings(max_examples=150)
def test_no_query_raises(query: str, sort: str, group: str) -> None:
    listing = searching.answer(_SHARED, Ask(query, sort, group=group), UTC, NOW)
    assert set(listing.order) <= {1, 2}


def _shared() -> sqlite3.Connection:
    from tokentop.store.db import migrate

    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    writer = Writer(connection, PriceTable.load())
    writer.commit(
        [Session("claude", "a", title="fix it", title_rank=1), Session("codex", "b", title="do that")]
    )
    Indexer(connection).index_some()
    return connection


_SHARED = _shared()


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [("retry", "retry", 0), ("retyr", "retry", 1), ("rtry", "retry", 1), ("retrry", "retry", 1), ("retra", "retry", 1),
     ("abc", "xyz", 3), ("", "ab", 2), ("signatrue", "signature", 1)],
)  # fmt: skip
def test_slips(one: str, other: str, count: int) -> None:
    assert slips(one, other) == slips(other, one) == count


@given(st.text("abcd", max_size=7), st.text("abcd", max_size=7))
def test_slips_are_counted_as_by_the_definition(one: str, other: str) -> None:
    def plain(a: str, b: str) -> int:
        if not a or not b:
            return len(a) + len(b)
        best = min(plain(a[1:], b) + 1, plain(a, b[1:]) + 1, plain(a[1:], b[1:]) + (a[0] != b[0]))
        if len(a) > 1 and len(b) > 1 and a[0] == b[1] and a[1] == b[0]:
            best = min(best, plain(a[2:], b[2:]) + 1)
        return best

    assert slips(one[:5], other[:5]) == min(3, plain(one[:5], other[:5]))


def test_what_is_nearer_counts_more() -> None:
    ranks = [nearness("retry", word) for word in ("retry", "retrying", "retyr", "re-try", "xyz")]
    assert ranks[0] > ranks[1] > ranks[2] > 0 == ranks[-1]
    assert words_of("Fix_the x2-Küche") == ["fix", "the", "x2", "kuche"]


# ------------------------------------------------------------ filters


@pytest.mark.parametrize(
    ("query", "ids"),
    [("agent:codex", {"s2"}), ("!agent:codex", {"s1", "s3", "s4"}), ("proj:web", {"s2"}), ("proj:KÜCHE", {"s4"}),
     ("cost>2", {"s1", "s2", "s4"}), ("cost>5 agent:claude", {"s4"}), ("cost=3", {"s1"}), ("!cost>2", {"s3"}),
     ("since:60h", {"s1", "s2"}), ("since:3d", {"s1", "s2", "s3"}), ("on:2026-11-19", {"s2"}), ("since:today", {"s1"}),
     ("until:2026-11-01", {"s4"}), ("branch:flaky", {"s1"}), ("tool:shell", {"s2"}), ("file:vite.config", {"s2"}),
     ("file:loader", {"s2"}), ("title:retry", {"s1", "s3"}), ("session:s3", {"s3"}), ("cwd:/home/dev/web", {"s2"}),
     ("~^fix.*test", {"s1"}), ("!~retry", {"s2", "s4"}), ("!flaky", {"s3", "s4"}), ("model:gpt", {"s2"}),
     ("tokens>300k", {"s2", "s4"}), ("responses>1", set()), ("age>2d", {"s2", "s3", "s4"}), ("took>2h", set()),
     ("kind:main", {"s1", "s2", "s3", "s4"}), ("kind:fork", set())],
)  # fmt: skip
def test_filters(filled: Store, query: str, ids: set[str]) -> None:
    assert set(filled.found(query)) == ids
    assert set(filled.found(query, flat=True)) == ids


@pytest.mark.parametrize(
    ("query", "said"),
    [("cst>5", "cost?"), ("cost>x", "needs a number"), ("agnt:claude", "agent?"), ("on:now", "needs a day"),
     ("~(a+)+", "repeat"), ("!", "missing after !"), ("tool:", "a name is missing")],
)  # fmt: skip
def test_what_cannot_be_understood_says_why(filled: Store, query: str, said: str) -> None:
    assert said in filled.ask(query).problem


def _worked(store: Store) -> None:
    """s1 has a commit, in two clones, and its squash; a sub-agent of s2 changed a file, s3 changed nothing; the folder of
    s4 was gone when somebody looked."""
    store.session("s2/a", "explore", agent="codex", parent_id="s2", root_id="s2", role=Role.SUB_AGENT)
    store.index()
    ids = dict(store.db.execute("SELECT sid, id FROM session").fetchall())
    for repo, name, counts in ((1, "abc", 1), (2, "abc", 1), (1, "squash", 0)):
        store.db.execute(
            "INSERT INTO git_change VALUES (?, ?, 1, 'kept', ?, 1, 0, x'')", (repo, name, counts)
        )
        store.db.execute("INSERT INTO git_credit VALUES (?, ?, ?, 1.0, 1, 'hash')", (repo, name, ids["s1"]))
    keep_works(store.db, [(ids["s4"], Kept(0, 0, -1, Work(True)))])
    edits = {"s1": {"/w/a.py": (1,)}, "s2/a": {"/w/b.py": (1,)}, "s2": {}, "s3": {}}
    keep_works(store.db, [(ids[sid], Kept(0, 0, 0, Work(True, edits=found))) for sid, found in edits.items()])


@pytest.mark.parametrize(
    ("query", "ids", "shown"),
    [("outcome:commit", {"s1"}, "1 commit"), ("outcome:commits", {"s1"}, "1 commit"), ("outcome:file", {"s2"}, "1 file"),
     ("outcome:no", {"s3"}, "no change"), ("outcome:?", {"s4"}, "?"), ("!outcome:? cost>2", {"s1", "s2"}, "")],
)  # fmt: skip
def test_outcomes_are_found_by_what_their_column_says(
    filled: Store, query: str, ids: set[str], shown: str
) -> None:
    _worked(filled)
    listing = filled.ask(query, "cost")
    entries = searching.entries(filled.db, listing.order)
    assert {entry.session_id for entry in entries} == ids
    assert {outcome(entry, NOW)[0] for entry in entries} == {shown} or not shown
    assert {name for group in filled.ask(query, group="project").groups for name in (group.name,)}


def test_a_session_with_nothing_but_a_squash_of_others_has_no_commit(filled: Store) -> None:
    _worked(filled)
    (s3,) = filled.db.execute("SELECT id FROM session WHERE sid = 's3'").fetchone()
    filled.db.execute("INSERT INTO git_credit VALUES (1, 'squash', ?, 1.0, 1, 'hash')", (s3,))
    assert filled.found("outcome:commit") == ["s1"]
    assert filled.found("outcome:no") == ["s3"]


def test_what_runs_is_found_by_its_state(filled: Store) -> None:
    running = (("claude", "s1", "working"), ("codex", "s2", "permission"), ("claude", "s3", "done"))
    assert filled.found("state:work", running=running) == ["s1"]
    assert filled.found("state:perm", running=running) == ["s2"]
    assert filled.found("!state:perm", running=running) == ["s1", "s3", "s4"]
    assert filled.found("state:done", running=running) == ["s3", "s4"]
    assert filled.found("!state:done", running=running) == ["s1", "s2"]
    assert "by the screen" in filled.ask("state:work").problem
    assert "one of permission" in filled.ask("state:nonsense", running=running).problem


def test_a_session_whose_log_names_no_model_stands_under_that_of_its_last_call(store: Store) -> None:
    calls = [
        Usage("claude", "s1", f"c{n}", NOW - n * HOUR, name, Tokens(output=1))
        for n, name in enumerate(("claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"))
    ]
    store.put(Session("claude", "s1", cwd="/w", first_ms=NOW - 3 * HOUR), *calls)
    [group] = store.ask(group="model").groups
    assert (group.name, store.found("model:opus")) == ("claude-opus-4-5", ["s1"])


def test_a_session_keeps_its_model_when_its_calls_are_purged(store: Store) -> None:
    call = Usage("codex", "s1", "c1", NOW - 9 * DAY, "gpt-5.2", Tokens(output=1))
    store.put(Session("codex", "s1", cwd="/w", first_ms=NOW - 9 * DAY), call)
    store.outline("s1", "shell", "a.py")
    [group] = store.ask(group="model").groups
    [purged] = store.ask().order
    assert purge_some(store.db, [purged], NOW) == 1
    assert store.ask(group="model").groups == (group,)
    assert store.found("model:gpt") == ["s1"]


def test_words_and_filters_together(filled: Store) -> None:
    assert filled.found("flaky agent:codex") == ["s2"]
    assert filled.found("flaky cost>5") == ["s2"]
    assert filled.found("retry since:1d") == ["s1"]


@given(
    pattern=st.lists(
        st.sampled_from(["ret", "k", "x", "7", ".", "^", "$", "[ab]", "[^]a]", "?", "*", "+", "{0,2}", "{2}", "(a|b)", "|", "-"]),
        min_size=1, max_size=5,
    ).map("".join),
    text=st.text(st.sampled_from("retkx7ab-K\u212a\u017fA"), max_size=12),
)  # fmt: skip
@settings(max_examples=400)
def test_what_a_pattern_is_certain_of_stands_in_all_that_it_matches(pattern: str, text: str) -> None:
    try:
        found = Pattern(pattern).compiled().search(text)
    except re.error:
        return
    if found:
        assert Pattern(pattern).certain.lower() in text.lower()


def test_most_titles_are_sorted_out_by_what_a_pattern_is_certain_of() -> None:
    certain = {
        text: Pattern(text).certain
        for text in ("ret+ry", "^fix.*test", "retr?y", "(ret|x)", "[a-z]+", "sk.p")
    }
    assert certain == {
        "ret+ry": "ret",
        "^fix.*test": "te",
        "retr?y": "ret",
        "(ret|x)": "",
        "[a-z]+": "",
        "sk.p": "p",
    }


def test_a_session_whose_log_names_no_model_has_that_of_its_newest_call(store: Store) -> None:
    store.put(
        Session("claude", "s1", title="no model", title_rank=1, cwd="/home/dev/api", first_ms=NOW - 3 * HOUR),
        *(
            Usage("claude", "s1", f"k{n}", at_ms, model, Tokens(output=9))
            for n, (at_ms, model) in enumerate(
                [(NOW - HOUR, "claude-opus-4-5"), (NOW - 2 * HOUR, "claude-haiku-4-5"), (NOW - HOUR // 2, "")]
            )
        ),
    )
    assert store.found("model:opus") == ["s1"]
    listing = store.ask(group="model")
    assert [group.name for group in listing.groups] == ["claude-opus-4-5"]
    assert searching.entries(store.db, listing.order)[0].model == "claude-opus-4-5"


# ------------------------------------------------------------ order and groups


def test_orders(filled: Store) -> None:
    assert filled.found() == ["s1", "s2", "s3", "s4"]
    assert filled.found(sort="cost") == ["s4", "s2", "s1", "s3"]
    assert filled.found(sort="cost", ascending=True) == ["s3", "s1", "s2", "s4"]
    assert filled.found("retry", sort="cost") == ["s1", "s3"]
    assert filled.found(flat=True, limit=2) == ["s1", "s2"]


def test_a_sum_with_an_estimated_or_unpriced_part_is_marked_in_its_header_as_in_its_row(store: Store) -> None:
    def calls(sid: str, cwd: str, *usages: Usage) -> None:
        store.put(Session("claude", sid, cwd=cwd, first_ms=NOW - HOUR, model="m"), *usages)

    def call(sid: str, model: str = "claude-opus-4-5", output: int = 100_000, **more: object) -> Usage:
        return Usage("claude", sid, f"{sid}:1", NOW - HOUR, model, Tokens(output=output), **more)  # type: ignore[arg-type]

    calls("exact", "/w/sure", call("exact"))
    calls("guess", "/w/guessed", call("guess", estimated=True))
    calls("beside", "/w/guessed", call("beside"))
    calls("strange", "/w/strange", call("strange", "nobody-knows-1"))
    calls("priced", "/w/mixed", call("priced", estimated=True))
    calls("part", "/w/mixed", call("part", "nobody-knows-1"))
    calls("lost", "/w/lost", call("lost", output=0, kind=Kind.UNKNOWN))
    shown = {group.name: group_figures(group) for group in store.ask(group="project").groups}
    assert {name: cells["cost"][0] for name, cells in shown.items()} == {
        "sure": "$2.50", "guessed": "≈$5.00", "strange": "$?", "mixed": "≥$2.50", "lost": "$?",
    }  # fmt: skip
    assert {name: cells["tokens"][0] for name, cells in shown.items()} == {
        "sure": "100k", "guessed": "200k", "strange": "100k", "mixed": "200k", "lost": "?",
    }  # fmt: skip


def test_groups_hold_each_session_once_with_their_sums(filled: Store) -> None:
    for by in ("day", "project", "agent", "model"):
        listing = filled.ask(group=by)
        assert sorted(listing.order) == [1, 2, 3, 4]
        assert sum(group.count for group in listing.groups) == 4
        for group in listing.groups:
            part = searching.entries(filled.db, listing.order[group.at : group.at + group.count])
            assert sum(entry.cost_nusd for entry in part) == group.cost_nusd
            assert sum(entry.tokens for entry in part) == group.tokens
    assert [group.name for group in filled.ask(group="project").groups] == ["api", "web", "küche"]
    assert [group.name for group in filled.ask(group="agent", sort="cost").groups] == ["claude", "codex"]


def test_days_are_those_of_the_zone_on_both_sides_of_a_change_of_its_offset(store: Store) -> None:
    zone = ZoneInfo("Europe/Berlin")  # summer time ends on 2026-10-25
    times = {
        "a": "2026-10-24T22:30",
        "b": "2026-10-24T21:30",
        "c": "2026-10-25T22:30",
        "d": "2026-10-25T23:30",
    }
    from datetime import datetime

    for sid, when in times.items():
        store.session(sid, sid, at_ms=int(datetime.fromisoformat(when + "+00:00").timestamp() * 1000))
    store.index()
    listing = searching.answer(store.db, Ask(group="day"), zone, NOW)
    days = {
        group.name: {
            entry.session_id
            for entry in searching.entries(store.db, listing.order[group.at :][: group.count])
        }
        for group in listing.groups
    }
    assert days == {"2026-10-26": {"d"}, "2026-10-25": {"a", "c"}, "2026-10-24": {"b"}}


# ------------------------------------------------------------ sub-agents


def test_a_session_stands_for_all_below_it(store: Store) -> None:
    store.session(
        "m/agent-1", "explore the shed", cost=50, parent_id="m", role=Role.SUB_AGENT
    )  # before its parent
    store.session("m/agent-2", "look", cost=50, parent_id="m/agent-1", role=Role.SUB_AGENT)
    assert store.found() == ["m"]  # it has no record of its own yet
    store.session("m", "main", cost=200)
    store.session("f", "fork", cost=1, parent_id="m", role=Role.FORK, at_ms=NOW - 2 * HOUR)
    listing = store.ask()
    main, fork = searching.entries(store.db, listing.order)
    assert (main.session_id, main.below, fork.session_id, fork.below) == ("m", 2, "f", 0)
    assert main.tokens == 667 * 300 + 3
    below = searching.below(store.db, main.id)
    assert [entry.session_id for entry in below] == ["m/agent-1", "m/agent-2"]
    assert [entry.tokens for entry in below] == [667 * 50 + 1] * 2
    assert store.found("shed") == ["m/agent-1"]
    flat = searching.entries(store.db, store.ask(flat=True, sort="tokens").order)
    assert next(entry.session_id for entry in flat) == "m"


def test_the_index_follows_the_store_whatever_happens_in_which_order(store: Store) -> None:
    """Sums of the lines are those of the sessions, and an index made anew is the same."""
    rng = random.Random(11)
    sids = [f"s{n}" for n in range(12)]
    for step in range(120):
        sid = rng.choice(sids)
        parent = rng.choice(sids[: sids.index(sid)] or [""]) if rng.random() < 0.3 else ""
        role = Role.SUB_AGENT if parent else None
        store.put(
            Session(
                "claude",
                sid,
                parent_id=parent,
                role=role,
                title=f"t {step}",
                title_rank=1,
                cwd=f"/p{step % 3}",
            ),
            Usage(
                "claude", sid, f"{sid}:{step}", NOW - rng.randrange(DAY), "claude-sonnet-4-5", Tokens(1, 2, 3)
            ),
        )
        if rng.random() < 0.5:
            store.indexer.index_some(rng.randrange(1, 4))
    store.index()
    assert waiting(store.db) == 0
    whole = store.db.execute("SELECT sum(responses), sum(cost_nusd) FROM session").fetchone()
    lines = "SELECT sum(responses), sum(cost_nusd) FROM line WHERE root = session"
    assert store.db.execute(lines).fetchone() == whole
    before = store.db.execute("SELECT * FROM line ORDER BY session").fetchall()
    words = store.db.execute("SELECT rowid, * FROM found ORDER BY rowid").fetchall()
    store.db.executescript(
        "DELETE FROM line; DELETE FROM found; INSERT OR IGNORE INTO changed SELECT id FROM session;"
    )
    store.index()
    assert store.db.execute("SELECT * FROM line ORDER BY session").fetchall() == before
    assert store.db.execute("SELECT rowid, * FROM found ORDER BY rowid").fetchall() == words


def test_nothing_is_written_to_the_words_while_only_figures_grow(store: Store) -> None:
    store.session("s1", "fix the shed")
    store.index()
    before = store.db.execute("SELECT sum(length(block)) FROM found_data").fetchone()
    for n in range(20):
        store.put(Usage("claude", "s1", f"s1:{n}", NOW, "claude-sonnet-4-5", Tokens(5)))
        store.index()
    assert store.db.execute("SELECT sum(length(block)) FROM found_data").fetchone() == before
    (entry,) = searching.entries(store.db, store.ask().order)
    assert entry.responses == 20


def test_an_existing_store_is_indexed_in_slices(tmp_path: Path) -> None:
    """A database of the version before: every session waits, none is lost."""
    from tokentop.store import schema

    path = tmp_path / FILE_NAME
    old = sqlite3.connect(path, isolation_level=None)
    for number in range(3):
        old.executescript(f"BEGIN; {schema.MIGRATIONS[number]} PRAGMA user_version={number + 1}; COMMIT;")
    old.execute("INSERT INTO project VALUES (1, 'claude', 'api')")
    for n in range(1, 8):
        names = "id, agent, sid, parent_sid, root_sid, role, project, cwd, branch, title, title_rank, model, first_ms,"
        old.execute(
            f"INSERT INTO session ({names} version, surface, log_path, forked_at_ms, tool_use_id, last_ms)"
            " VALUES (?, 'claude', ?, '', '', '', 1, '', '', ?, 1, '', 1, '', '', '', 0, '', ?)",
            (n, f"s{n}", f"shed number {n}", NOW - n),
        )
    old.close()
    store = Store(tmp_path)
    assert waiting(store.db) == 7
    assert store.indexer.index_some(5) == 5
    listing = searching.answer(store.db, Ask("shed"), UTC, NOW)
    assert (len(listing.order), listing.waiting) == (5, 2)
    assert len(store.found("shed")) == 7
    store.db.close()


# ------------------------------------------------------------ the archive


def test_an_answer_that_is_not_wanted_any_more_is_interrupted(filled: Store) -> None:
    filled.index()
    archive = Archive(filled.folder, UTC, lambda: NOW)
    first = archive.answer(Ask("retry"))
    assert first is not None
    assert len(first.order) == 2
    assert archive.answer(Ask("retry")) is first  # nothing was committed meanwhile
    under_way, go_on, answers = threading.Event(), threading.Event(), list[Listing | None]()

    def wait() -> int:
        under_way.set()
        go_on.wait(60)
        return 0

    archive._asking.open().set_progress_handler(wait, 1)
    thread = threading.Thread(target=lambda: answers.append(archive.answer(Ask("flaky"))))
    thread.start()
    assert under_way.wait(60)
    archive.interrupt()
    go_on.set()
    thread.join(60)
    assert answers == [None]
    archive._asking.open().set_progress_handler(None, 0)
    again = archive.answer(Ask("flaky"))
    assert again is not None
    assert len(again.order) == 2
    filled.session("s5", "retry once more")
    filled.index()
    third = archive.answer(Ask("retry"))
    assert third is not None
    assert len(third.order) == 3
    archive.close()


def test_a_store_that_is_not_there_is_said(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "nowhere", UTC, lambda: NOW)
    found = archive.answer(Ask())
    assert found is not None
    assert "cannot be read" in found.problem
    assert archive.entries([1]) == archive.below(1) == ()
