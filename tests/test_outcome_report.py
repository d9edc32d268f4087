"""`tokentop outcome` from real logs and a real repository to what is printed."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.git_build import DAY_S, Repo, lines
from tokentop.answers.bought import of_session
from tokentop.answers.catching_up import bring_up
from tokentop.pricing import PriceTable
from tokentop.store import db

from .faults import MODEL, Scratch, stamp, wait_for

CALL_USD = (3 * 3 + 100 * 0.3 + 20 * 3.75 + 7 * 15) / 1e6  # of one call, at the price of the model


class Log:
    """A session's log as Claude Code writes it, call by call."""

    def __init__(self, scratch: Scratch, sid: str, cwd: Path | str, at_s: int) -> None:
        self.scratch, self.sid, self.cwd, self.at_s = scratch, sid, str(cwd), at_s
        self._n = 0

    def call(self, *content: dict[str, Any], model: str = MODEL, reads: int = 100, writes: int = 20) -> None:
        """One response of the model; each is half a minute after the last record."""
        self._n += 1
        self.at_s += 30
        usage = {
            "input_tokens": 3,
            "cache_read_input_tokens": reads,
            "cache_creation_input_tokens": writes,
            "output_tokens": 7,
        }
        message = {
            "id": f"msg_{self.sid}_{self._n}", "model": model, "role": "assistant", "stop_reason": "tool_use",
            "usage": usage, "content": list(content) or [{"type": "text", "text": "said"}],
        }  # fmt: skip
        self._write({"type": "assistant", "message": message})

    def tool(
        self, name: str, arguments: dict[str, Any], output: str = "", *, failed: bool = False, **more: Any
    ) -> None:
        """A call that uses a tool, and the result two seconds later."""
        use = f"toolu_{self.sid}_{self._n}"
        self.call({"type": "tool_use", "id": use, "name": name, "input": arguments})
        self.at_s += 2
        result = {"tool_use_id": use, "type": "tool_result", "content": output, "is_error": failed}
        self._write({"type": "user", "message": {"role": "user", "content": [result]}, **more})

    def bash(self, command: str, output: str = "", *, failed: bool = False) -> None:
        self.tool("Bash", {"command": command}, output, failed=failed)

    def write(self, path: Path) -> None:
        self.tool("Write", {"file_path": str(path), "content": "text"}, "written")

    def _write(self, record: dict[str, Any]) -> None:
        base = {
            "sessionId": self.sid, "uuid": f"u-{self.sid}-{self.at_s}", "cwd": self.cwd, "version": "2.1.330",
            "timestamp": stamp(self.at_s * 1000),
        }  # fmt: skip
        self.scratch.log([json.dumps(base | record).encode() + b"\n"], f"{self.sid}.jsonl")


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path)


@pytest.fixture
def now_s() -> int:
    return int(time.time())


def outcome(scratch: Scratch, *words: str) -> dict[str, Any]:
    done = scratch.run("outcome", "--json", *words)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_commits_lines_tests_and_pull_requests_of_a_session_with_their_cost(scratch, tmp_path, now_s):
    repo = Repo(tmp_path / "api")
    repo.at_s = now_s - 20 * DAY_S
    log = Log(scratch, "5e55-0001", repo.folder, repo.at_s)
    log.write(repo.folder / "a.py")
    repo.at_s = log.at_s + 32 - 60
    name = repo.write("a.py", *lines("a", 40)).commit("one")
    log.bash("git add -A && git commit -m one", f"[main (root-commit) {name[:7]}] one\n 1 file changed")
    log.bash("pytest -q", "3 passed in 0.1s")
    log.bash("pytest -q tests", "1 failed, 2 passed in 0.1s", failed=True)
    log.bash("gh pr create --fill", "https://github.com/me/api/pull/12\n")
    repo.at_s += 2 * DAY_S
    repo.write("a.py", *lines("a", 30)).commit("by hand, ten lines less")
    found = outcome(scratch)
    (row,) = found["rows"]
    assert row["project"] == "api"
    assert row["commits"] == {"sure": 1, "guessed": 0}
    assert row["lines_added"] == {"sure": 40, "guessed": 0}
    assert row["lines_survived"] == {"sure": 30, "guessed": 0}
    assert (row["lines_survived_so_far"], row["lines_waiting"], row["files"]) == (0, 0, 1)
    assert row["tests"] == {"passed": 1, "failed": 1, "unknown": 0}
    assert row["pull_requests"] == ["me/api#12"]
    assert float(row["cost_usd"]) == pytest.approx(5 * CALL_USD)
    assert float(row["cost_per_commit_usd"]) == pytest.approx(5 * CALL_USD)
    assert float(row["cost_per_surviving_line_usd"]) == pytest.approx(5 * CALL_USD / 30, rel=1e-4)
    assert found["nobodys_commits"] == 1
    assert found["totals"]["ended_unchanged"]["sessions"] == 0
    told = scratch.run("session", "5e55-0001").stdout
    assert "outcome  1 commit, +40 -0 lines, 30 survived; tests 1/2; opened me/api#12\n" in told
    assert json.loads(scratch.run("session", "5e55-0001", "--json").stdout)["outcome"]["files"] == 1
    text = scratch.run("outcome").stdout
    assert "1/2" in text
    assert "? 1 commit in these repositories: no session is known to have made them" in text


def test_sessions_that_changed_nothing_loops_retries_and_what_is_not_known(scratch, tmp_path, now_s):
    repo = Repo(tmp_path / "api")
    begin = now_s - 3 * DAY_S
    asked = Log(scratch, "asked", repo.folder, begin)
    asked.bash("ls", "a.py")
    asked.call()
    loop = Log(scratch, "loop", repo.folder, begin)
    for _ in range(6):
        loop.bash("curl localhost:1", "nothing")
    loop.write(repo.folder / "a.py")
    retry = Log(scratch, "retry", repo.folder, begin)
    retry.bash("make", "failed", failed=True)
    retry.bash("make", "failed", failed=True)
    retry.bash("make", "ok")
    retry.at_s += 7200
    retry.call()  # it was resumed
    gone = Log(scratch, "gone", "/nowhere/at/all", begin)
    gone.call()
    fresh = Log(scratch, "fresh", repo.folder, now_s - 600)
    fresh.call()
    whole = outcome(scratch, "--by", "session")
    by = {row["session"]: row for row in whole["rows"]}
    few = outcome(scratch, "--by", "session", "--limit", "1")
    assert (few["rows"], few["totals"]) == (whole["rows"][:1], whole["totals"])
    assert (few["more"], whole["more"]) == (True, False)
    text = scratch.run("outcome", "--by", "session", "--limit", "1").stdout
    assert f"the 1 dearest of {len(by)} sessions; further ones with --limit 2" in text
    assert "further ones" not in scratch.run("outcome", "--by", "session").stdout
    assert scratch.run("outcome", "--by", "session", "--limit", "0").returncode == 2
    unchanged = {
        name: (row["ended_unchanged"]["sessions"], row["abandoned"]["sessions"]) for name, row in by.items()
    }
    assert unchanged == {"asked": (1, 1), "loop": (0, 0), "retry": (1, 0), "gone": (0, 0), "fresh": (0, 0)}
    assert by["gone"]["ended_unclear"]["sessions"] == 1
    assert float(by["loop"]["loops_usd"]) == pytest.approx(5 * CALL_USD)
    assert float(by["retry"]["retries_usd"]) == pytest.approx(2 * CALL_USD)
    assert by["asked"]["commits"] == {"sure": 0, "guessed": 0}
    assert by["asked"]["cost_per_commit_usd"] is None
    assert (by["gone"]["loops_usd"], by["gone"]["retries_usd"]) == (None, None)
    told = scratch.run("session", "gone").stdout
    assert "outcome  not known: neither git nor its log tells whether anything changed\n" in told
    text = scratch.run("outcome").stdout
    assert "1 session ended with nothing changed, never resumed" in text
    assert "1 session of which neither git nor a log tells whether anything changed" in text


def test_what_unpriced_sessions_cost_that_changed_nothing_is_not_known(scratch, tmp_path, now_s):
    log = Log(scratch, "free", Repo(tmp_path / "api").folder, now_s - 3 * DAY_S)
    listing = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}}
    log.call(listing, model="nobody-model-1")
    assert outcome(scratch)["totals"]["ended_unchanged"] == {"sessions": 1, "cost_usd": None}
    assert scratch.run("outcome").stdout.splitlines()[1].endswith("  1 ?")


def test_loops_and_retries_of_sessions_whose_logs_tell_no_tools_are_not_known(scratch, now_s):
    Log(scratch, "gone", "/nowhere/at/all", now_s - 3 * DAY_S).call()
    assert outcome(scratch)["totals"]["loops_usd"] is None
    lines_of = scratch.run("outcome").stdout.splitlines()
    (loops,) = [line for line in lines_of if line.startswith("loops")]
    assert loops.split()[1:4] == ["?", "?", "%"]


def test_a_sub_agents_work_is_its_roots_and_a_price_that_is_not_known_is_no_cost(scratch, tmp_path, now_s):
    repo = Repo(tmp_path / "api")
    repo.at_s = now_s - 2 * DAY_S
    log = Log(scratch, "5e55-0002", repo.folder, repo.at_s)
    log.call(model="no-such-model")
    sub = scratch.project / "5e55-0002" / "subagents"
    sub.mkdir(parents=True)
    repo.at_s = log.at_s
    name = repo.write("a.py", *lines("a", 4)).commit("by the sub-agent")
    usage = {"input_tokens": 5, "output_tokens": 7}
    use = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "git commit -am x"}}
    result = {"tool_use_id": "t1", "type": "tool_result", "content": f"[main {name[:8]}] x"}
    call = {"id": "m1", "model": "no-such-model", "role": "assistant", "usage": usage, "content": [use]}
    base = {"sessionId": "5e55-0002", "agentId": "abc1", "isSidechain": True, "cwd": str(repo.folder)}
    with (sub / "agent-abc1.jsonl").open("w") as file:
        for n, one in enumerate(
            (
                {"type": "assistant", "message": call},
                {"type": "user", "message": {"role": "user", "content": [result]}},
            )
        ):
            record = (
                base
                | {"uuid": f"s{n}", "timestamp": stamp((repo.at_s + n) * 1000), "version": "2.1.330"}
                | one
            )
            file.write(json.dumps(record) + "\n")
    (row,) = outcome(scratch, "--by", "session")["rows"]
    assert (row["session"], row["commits"]) == ("5e55-0002", {"sure": 1, "guessed": 0})
    assert (row["cost_usd"], row["cost_per_commit_usd"]) == (None, None)
    assert "unpriced" in scratch.run("outcome").stdout
    connection = db.open_reader(scratch.state)
    try:
        done, shares = of_session(connection, "claude", "5e55-0002", 14)
        assert of_session(connection, "claude", "nobody", 14) == (None, [])
    finally:
        connection.close()
    assert done is not None
    assert [(one.sure, one.why, one.added, one.survived) for one in shares] == [(True, "hash", 4, 4)]


def test_by_day_agent_and_model_and_a_part_of_the_time(scratch, tmp_path, now_s):
    repo = Repo(tmp_path / "api")
    log = Log(scratch, "s", repo.folder, now_s - 5 * DAY_S)
    for day in (5, 3):
        log.at_s = now_s - day * DAY_S
        log.write(repo.folder / f"{day}.py")
        repo.at_s = log.at_s
        name = repo.write(f"{day}.py", *lines(str(day), day)).commit(f"day {day}")
        log.bash("git commit", f"[main {name[:7]}] x")
    days = [row for row in outcome(scratch, "--by", "day")["rows"] if row["commits"]["sure"]]
    assert [(row["lines_added"]["sure"], row["sessions"]) for row in days] == [(5, 1), (3, 1)]
    assert [float(row["cost_usd"]) for row in days] == pytest.approx([2 * CALL_USD] * 2)
    assert [row["agent"] for row in outcome(scratch, "--by", "agent")["rows"]] == ["claude"]
    assert [row["model"] for row in outcome(scratch, "--by", "model")["rows"]] == [MODEL]
    late = outcome(scratch, "--since", "4d")
    assert late["totals"]["commits"] == {"sure": 1, "guessed": 0}
    assert float(late["totals"]["cost_usd"]) == pytest.approx(2 * CALL_USD)
    assert outcome(scratch, "--since", "6d", "--until", "4d")["totals"]["lines_added"]["sure"] == 5


def test_what_there_was_no_time_for_is_said_and_comes_with_the_next_call(scratch, tmp_path, now_s):
    repo = Repo(tmp_path / "api")
    repo.at_s = now_s - 2 * DAY_S
    log = Log(scratch, "5e55-0006", repo.folder, repo.at_s)
    name = repo.write("a.py", *lines("a", 4)).commit("one")
    log.bash("git commit -am x", f"[main {name[:8]}] x")
    assert scratch.run("usage").returncode == 0
    connection = db.open_writer(scratch.state)
    try:
        report = bring_up(connection, PriceTable(), 0, now_s * 1000, days=14, seconds=0)
        assert (report.unread_logs, report.later, report.repositories) == (1, 1, 0)
        assert report.notes[""] == [f"{repo.folder}/.git: not looked at, the time was used up"]
        assert of_session(connection, "claude", "5e55-0006", 14) == (None, [])
        report = bring_up(connection, PriceTable(), 0, now_s * 1000, days=14, seconds=20)
        assert (report.unread_logs, report.later, report.repositories, report.notes) == (0, 0, 1, {})
        assert of_session(connection, "claude", "5e55-0006", 14)[1][0].sure
    finally:
        connection.close()


def test_what_was_paid_again_because_the_cache_had_expired(scratch, now_s):
    log = Log(scratch, "s", "/work/api", now_s - 2 * DAY_S)
    log.call(reads=5_000)
    log.call(reads=5_000)
    log.at_s += 400
    log.call(reads=0, writes=5_040)  # it waited for seven minutes: all of it is written anew
    log.call(reads=5_040)
    row = outcome(scratch)["totals"]
    assert float(row["waiting_usd"]) == pytest.approx(5_020 * (3.75 - 0.3) / 1e6, rel=0.01)
    assert "cache had expired" in scratch.run("outcome").stdout


def test_wrong_use_and_nothing_there(scratch, now_s):
    assert scratch.run("outcome", "--by", "moon").returncode == 2
    assert scratch.run("outcome", "--since", "1d", "--until", "2d").returncode == 2
    assert scratch.run("outcome").returncode == 3
    Log(scratch, "s", "/nowhere", now_s - 900).call()
    assert scratch.run("outcome").returncode == 0


def test_a_commit_in_two_clones_counts_once(scratch, tmp_path, now_s):
    repo = Repo(tmp_path / "one")
    repo.at_s = now_s - 2 * DAY_S
    log = Log(scratch, "5e55-0003", repo.folder, repo.at_s)
    name = repo.write("a.py", *lines("a", 4)).commit("one")
    log.bash("git commit -am x", f"[main {name[:8]}] x")
    repo("clone", "-q", str(repo.folder), str(tmp_path / "two"))
    Log(scratch, "5e55-0004", tmp_path / "two", repo.at_s).call()
    found = outcome(scratch)
    assert found["totals"]["commits"] == {"sure": 1, "guessed": 0}
    assert found["totals"]["lines_added"] == {"sure": 4, "guessed": 0}
    assert found["nobodys_commits"] == 0
    assert "outcome  1 commit, +4 -0 lines, 4 survived" in scratch.run("session", "5e55-0003").stdout


def test_beside_a_tokentop_that_writes_it_keeps_what_it_found(scratch, tmp_path, now_s):
    repo = Repo(tmp_path / "api")
    repo.at_s = now_s - 2 * DAY_S
    log = Log(scratch, "5e55-0005", repo.folder, repo.at_s)
    name = repo.write("a.py", *lines("a", 4)).commit("one")
    log.bash("git commit -am x", f"[main {name[:8]}] x")
    assert scratch.run("sync").returncode == 0
    watching = scratch.start("watch")
    try:
        lock = scratch.state / "lock"
        wait_for(lambda: lock.exists() and lock.read_text().strip())
        assert outcome(scratch)["totals"]["commits"] == {"sure": 1, "guessed": 0}
        connection = db.open_reader(scratch.state)
        try:
            assert of_session(connection, "claude", "5e55-0005", 14)[1]
        finally:
            connection.close()
    finally:
        watching.terminate()
        watching.communicate(timeout=30)


def test_sync_reads_tools_and_files_so_that_they_are_found(scratch, now_s):
    log = Log(scratch, "read", "/work/api", now_s - 2 * DAY_S)
    log.tool("Read", {"file_path": "/work/api/src/needle.py"}, "text")
    missing = scratch.run("sessions", "file:needle")
    assert (missing.returncode, "`tokentop sync` reads tools and files" in missing.stderr) == (3, True)
    assert json.loads(scratch.run("sync", "--json").stdout)["outlines"] == {"made": 1, "left": False}
    assert json.loads(scratch.run("sync", "--json").stdout)["outlines"] == {"made": 0, "left": False}
    [row] = json.loads(scratch.run("sessions", "file:needle", "--json").stdout)["rows"]
    assert row["session"] == "read"
