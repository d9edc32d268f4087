"""What the tool calls of a log tell of commits, pull requests, tests, edits, loops and retries."""

import json

import msgspec
import pytest

from tokentop.agents._deeds import Deeds
from tokentop.agents._published import commits_in, publishes, pulls_in
from tokentop.engine.tally import Credited, Done, add_up, ended_unchanged
from tokentop.engine.work import LOOP_CALLS, Spent, Waste, Work, work_of
from tokentop.nouns.outline import Deed, Outline
from tokentop.store.worked import Told

MINUTE = 60_000
BASE = 1_790_000_000_000


def claude(command, output, n=1, *, failed=False):
    use = {"type": "tool_use", "id": f"t{n}", "name": "Bash", "input": {"command": command}}
    result = {"type": "tool_result", "tool_use_id": f"t{n}", "content": output, "is_error": failed}
    return [
        {"type": "assistant", "timestamp": BASE + n * MINUTE, "message": {"role": "assistant", "content": [use]}},
        {"type": "user", "timestamp": BASE + n * MINUTE + 5_000, "message": {"role": "user", "content": [result]}},
    ]  # fmt: skip


def codex(command, output, n=1):
    arguments = json.dumps({"command": ["bash", "-lc", command]})
    call = {"type": "function_call", "name": "shell", "call_id": f"c{n}", "arguments": arguments}
    wrapped = json.dumps({"output": output, "metadata": {"exit_code": 0}})
    result = {"type": "function_call_output", "call_id": f"c{n}", "output": wrapped}
    at_ms = BASE + n * MINUTE
    return [
        {"type": "response_item", "timestamp": at_ms, "payload": call},
        {"type": "response_item", "timestamp": at_ms + 5_000, "payload": result},
    ]


def gemini(command, output, n=1):
    answer = {"id": f"g{n}", "name": "run_shell_command", "response": {"output": output}}
    call = {
        "id": f"g{n}", "name": "run_shell_command", "args": {"command": command}, "status": "success",
        "result": [{"functionResponse": answer}],
    }  # fmt: skip
    return [{"type": "gemini", "timestamp": BASE + n * MINUTE, "toolCalls": [call]}]


def deeds(*records):
    found = Deeds()
    for record in records:
        found.feed(record)
    return found.found_deeds()


@pytest.mark.parametrize("agent", [claude, codex, gemini])
def test_the_hash_that_git_printed_is_told_and_nothing_else_of_the_output(agent):
    (deed,) = deeds(
        *agent("cd x && git add . && git commit -m y", "[topic/x 0a1b2c3] kanarienvogel\n 1 file")
    )
    assert deed.commits == "0a1b2c3"
    assert "kanarienvogel" not in repr(deed)


def test_commits_that_git_prints():
    assert commits_in("[main (root-commit) 0123456] x") == "0123456"
    assert commits_in("noise\n[detached HEAD 0123456789] x\n[main abcdef0] y") == "0123456789 abcdef0"
    assert commits_in("On branch main\nnothing to commit") == "?"
    assert commits_in("see [the docs 1234567] no") == "?"
    assert (
        publishes("", "git log --grep commit") is not None
    )  # it may have: without a hash it is only looked at by time
    assert publishes("", "ls") is None
    assert publishes("mcp__github__create_pull_request", "").pulls


def test_pull_requests_that_were_opened_are_named_and_those_that_were_read_are_not():
    text = "https://github.com/me/api/pull/12 and https://gitlab.com/a/b/c/-/merge_requests/3."
    assert pulls_in(text) == "me/api#12 a/b/c#3"
    (made,) = deeds(*claude("gh pr create --fill", text))
    (seen,) = deeds(*claude("gh pr view 12", text))
    assert (made.pulls, seen.pulls) == ("me/api#12 a/b/c#3", "")


def test_a_commit_that_failed_made_none():
    (deed,) = deeds(*claude("git commit -m x", "hook says no", failed=True))
    assert work_of(Outline((deed,)), "/w", []).runs == ()
    (deed,) = deeds(*claude("git commit -q -m x", ""))
    (run,) = work_of(Outline((deed,)), "/w", []).runs
    assert (run.from_ms, run.to_ms, run.hash) == (BASE + MINUTE, BASE + MINUTE + 5_000, "")


def test_equal_calls_in_a_row_are_counted_and_others_between_begin_anew():
    records = [one for n, command in enumerate("aaabaa", 1) for one in claude(command, "x", n)]
    assert [deed.again for deed in deeds(*records)] == [0, 1, 2, 0, 0, 1]


def tool(n, again=0, result="ok", **more):
    return Deed(
        "tool", more.pop("name", "Bash"), at_ms=n * MINUTE, result=result, took_ms=10_000, again=again, **more
    )


def test_a_loop_costs_what_came_after_its_first_call_and_edits_are_none():
    calls = [Spent(n * MINUTE, 1_000, 100) for n in range(1, 9)]
    loop = Outline(tuple(tool(n, n - 1) for n in range(1, LOOP_CALLS + 1)))
    assert work_of(loop, "/w", calls).waste == (Waste(MINUTE, "loop", 400),)
    short = Outline(tuple(tool(n, n - 1) for n in range(1, LOOP_CALLS)))
    assert work_of(short, "/w", calls).waste == ()
    edits = Outline(tuple(tool(n, n - 1, name="Edit", target="a.py", takes="file") for n in range(1, 9)))
    assert work_of(edits, "/w", calls).waste == ()
    assert work_of(edits, "/w", calls).edits == {"/w/a.py": tuple(n * MINUTE for n in range(1, 9))}


def test_a_retry_costs_what_came_between_and_an_unpriced_call_makes_it_unknown():
    outline = Outline((tool(1, 0, "failed"), tool(2, 1, "failed"), tool(3, 2)))
    calls = [Spent(n * MINUTE, 0, 100) for n in range(1, 5)]
    assert work_of(outline, "/w", calls).waste == (
        Waste(2 * MINUTE, "retry", 100),
        Waste(3 * MINUTE, "retry", 100),
    )
    calls[1] = Spent(2 * MINUTE, 0, None)
    assert work_of(outline, "/w", calls).waste[0] == Waste(2 * MINUTE, "retry", None)


def test_hidden_spend_is_told_without_a_log_and_an_edit_that_failed_is_none():
    work = work_of(None, "/w", [Spent(5, 0, 7, hidden=True)])
    assert (work.told, work.waste, work.spans) == (False, (Waste(5, "hidden", 7),), ())
    failed = Outline(
        (
            tool(1, result="failed", name="Write", target="a", takes="file"),
            tool(2, name="Read", target="b", takes="file"),
        )
    )
    assert not work_of(failed, "/w", []).edited


def done(**more):
    plain = {
        "key": 1, "agent": "claude", "sid": "s", "project": "p", "model": "m", "title": "", "last_ms": 0, "spans": ((0, 1),),
        "cost_nusd": 10, "unpriced_tokens": 0, "unknown_calls": 0, "estimated": False, "in_repository": True, "told": True,
        "edits": 0, "tests": (), "pulls": (), "waste": (),
    }  # fmt: skip
    return Done(**(plain | more))


def share(amount=1.0, *, session=1, sure=False, added=10, survived=5, settled=True, name="h", counts=True):
    return Credited(session, 1, name, 0, amount, sure, "", counts, "kept", added, 0, survived, settled, (1,))


NOW = 10 * 86_400_000


@pytest.mark.parametrize(
    ("session", "credit", "wanted"),
    [
        (done(), False, True), (done(), True, False), (done(edits=1), False, False), (done(last_ms=NOW - 1), False, False),
        (done(told=False), False, None), (done(in_repository=None), False, None), (done(in_repository=False), False, True),
        (done(told=False, in_repository=False), False, None), (done(told=False), True, False),
    ],
)  # fmt: skip
def test_when_it_is_said_that_nothing_was_changed(session, credit, wanted):
    assert ended_unchanged(session, credit, NOW) is wanted


def test_shares_lines_that_are_not_known_and_costs_add_up():
    shares = [share(0.5, name="a"), share(0.5, session=2, name="a"), share(sure=True, survived=None, name="b"),
              share(sure=True, added=None, name="c"), share(sure=True, counts=False, settled=False, name="d")]  # fmt: skip
    one, two = add_up(
        [done(), done(key=2, cost_nusd=0, unpriced_tokens=4)], shares, lambda s, _: (str(s.key),), NOW
    )
    assert (one.commits.sure, one.commits.guessed) == (2, 0.5)
    assert (one.added.sure, one.added.guessed, one.survived.sure, one.survived.guessed) == (20, 5, 5, 2.5)
    assert (one.waiting, one.unread, one.young) == (10, 1, 5)
    assert one.per_commit_nusd == 4
    assert (two.per_commit_nusd, two.commits.guessed, two.priced) == (None, 0.5, False)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 65_535, 65_536])
def test_edited_files_are_counted_without_reading_their_paths(count):
    work = Work(True, edits={f"/w/{n}": (n,) for n in range(count)})
    told = msgspec.msgpack.decode(msgspec.msgpack.encode(work), type=Told)
    assert told.changed == len({*told.paths}) == count
