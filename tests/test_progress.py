"""The clock of an agent that changes nothing: the judgement, and git asked in real repositories."""

import os
import subprocess
import time

import pytest

from tests.engine_build import NOW, START, act, agent_proc, rows_of, session, spent, sub_agent, usage
from tokentop.engine.live import LiveState
from tokentop.engine.progress import last_change
from tokentop.engine.rules import Thresholds
from tokentop.engine.snapshot import take
from tokentop.engine.track import is_edit
from tokentop.ingest.changes import EVERY_S, Changes
from tokentop.ingest.repository import find_git
from tokentop.nouns.looks import FolderChange
from tokentop.nouns.sessions import State
from tokentop.nouns.usage import Figures
from tokentop.report.snapshot import row_document
from tokentop.ui.facts import fields

MINUTE = 60_000
GIT = FolderChange("/w/app", "git", NOW - 20 * MINUTE, NOW - 5_000)


def working(*facts, git: FolderChange | None = None, **thresholds) -> LiveState:
    live = LiveState(thresholds=Thresholds(**thresholds))
    live.advance(NOW)
    live.load_session(session(), Figures())
    live.set_procs((agent_proc(),), NOW)
    for fact in facts:
        (live.apply_activity if hasattr(fact, "state") else live.apply_usage)(fact)
    if git is not None:
        live.set_changes([git])
    return live


def test_the_clock_starts_at_the_last_call_of_an_editing_tool_and_counts_its_dollars():
    live = working(
        act(State.WORKING, 40 * MINUTE), act(State.TOOL, 14 * MINUTE, tool="MultiEdit"),
        act(State.WORKING, 5_000),
        usage(1, ago_ms=20 * MINUTE, cost=7_000_000_000),
        usage(2, ago_ms=9 * MINUTE, cost=2_000_000_000), usage(3, cost=1_200_000_000),
    )  # fmt: skip
    row = rows_of(live)["claude:s"]
    assert row.unchanged_since_ms == NOW - 14 * MINUTE
    assert row.unchanged_nusd == 3_200_000_000
    assert (row.unchanged_source, row.unchanged_at_least) == ("tools", False)
    (alert,) = [one for one in take(live, NOW).alerts if one.kind == "no-progress"]
    assert alert.since_ms == NOW - 14 * MINUTE
    assert alert.text == "spent $3.20 without a change to a file"


def test_an_edit_of_a_sub_agent_is_progress_and_its_dollars_count():
    live = working(act(State.WORKING, 40 * MINUTE), act(State.WORKING, 5_000), usage(1, cost=1_000_000_000))
    live.load_session(sub_agent("k"), Figures())
    live.apply_activity(act(State.TOOL, 3 * MINUTE, "k", tool="Write"))
    live.apply_usage(usage(2, "k", ago_ms=MINUTE, cost=500_000_000))
    row = rows_of(live)["claude:s"]
    assert row.unchanged_since_ms == NOW - 3 * MINUTE
    assert row.unchanged_nusd == 1_500_000_000


def test_a_rest_starts_the_clock_anew_and_a_resting_agent_has_none():
    live = working(act(State.TOOL, 50 * MINUTE, tool="Edit"), act(State.IDLE, 45 * MINUTE))
    assert rows_of(live)["claude:s"].unchanged_since_ms == 0
    live.apply_activity(act(State.WORKING, 2 * MINUTE))
    assert rows_of(live)["claude:s"].unchanged_since_ms == NOW - 2 * MINUTE


def test_what_was_before_the_oldest_known_record_is_not_claimed():
    row = rows_of(working(act(State.WORKING, 4 * MINUTE)))["claude:s"]
    assert row.unchanged_since_ms == NOW - 4 * MINUTE
    assert row.unchanged_at_least
    assert row.unchanged_since_ms > START


def test_all_that_a_session_spent_counts_where_nothing_has_changed_since_it_began():
    """To the nano-dollar, also in its first half minute; money of an unknown size is not none of it."""
    cell_ms = NOW - 30_000  # sums are kept by half minutes
    live = LiveState()
    live.advance(NOW)
    live.load_session(session(first_ms=cell_ms + 17_000), spent(75_033_450))
    live.set_procs((agent_proc(started_ms=cell_ms + 16_000),), NOW)
    live.apply_usage(usage(1, ago_ms=NOW - cell_ms - 18_000, cost=75_033_450))
    live.apply_activity(act(State.TOOL, NOW - cell_ms - 18_000, tool="Bash"))
    live.set_changes([FolderChange("/w/app", "git", cell_ms + 9_000, NOW)])
    assert rows_of(live)["claude:s"].unchanged_nusd == 75_033_450
    lost = LiveState()
    lost.load_session(session(), Figures(unknown_calls=1))
    lost.set_procs((agent_proc(),), NOW)
    lost.apply_activity(act(State.TOOL, tool="Bash"))
    lost.set_changes([GIT])
    row = rows_of(lost)["claude:s"]
    assert (row.unchanged_since_ms, row.unchanged_nusd) == (NOW - 20 * MINUTE, None)


def test_git_has_the_last_word_over_an_edit_that_it_has_looked_after():
    """Failed edits are calls of a tool, and no change."""
    live = working(act(State.TOOL, 60_000, tool="Edit"), usage(1, cost=10**9), git=GIT)
    row = rows_of(live)["claude:s"]
    assert (row.unchanged_since_ms, row.unchanged_source) == (NOW - 20 * MINUTE, "git")
    assert last_change(NOW - 1_000, GIT) == (NOW - 1_000, "git")  # git has not looked since
    assert last_change(NOW - 60_000, FolderChange("/w", "slow", 0, NOW)) == (NOW - 60_000, "tools")


def test_there_is_no_alert_without_spending_below_the_limit_or_when_it_is_off():
    facts = act(State.TOOL, 14 * MINUTE, tool="Edit"), act(State.WORKING, 5_000)
    kinds = lambda live: {alert.kind for alert in take(live, NOW).alerts}  # noqa: E731
    assert "no-progress" not in kinds(working(*facts))
    assert "no-progress" in kinds(working(*facts, usage(1)))
    assert "no-progress" not in kinds(working(*facts, usage(1), no_progress_ms=15 * MINUTE))
    assert "no-progress" not in kinds(working(*facts, usage(1), no_progress_ms=0))


@pytest.mark.parametrize(
    "tool", ["Edit", "apply_patch", "str_replace_based_edit_tool", "write_to_file", "NotebookEdit"]
)
def test_editing_tools_by_any_spelling(tool):
    assert is_edit(tool)
    assert not is_edit("Bash")
    assert not is_edit("")


def test_the_drawer_says_how_long_how_much_and_who_says_so():
    row = rows_of(
        working(act(State.TOOL, 14 * MINUTE, tool="Edit"), act(State.WORKING), usage(1, cost=10**9))
    )
    shown = [(field.label, field.value) for field in fields(row["claude:s"], NOW, (), ())]
    at = shown.index(("unchanged", "∅14m, $1.00 since a file changed"))
    assert shown[at + 1] == ("  told by", "editing tools alone, no git here")
    live = working(act(State.WORKING), usage(1, cost=10**9), git=GIT)
    shown = [(field.label, field.value) for field in fields(rows_of(live)["claude:s"], NOW, (), ())]
    assert ("  told by", "git") in shown
    document = row_document(rows_of(live)["claude:s"])
    assert (document["unchanged_source"], document["unchanged_usd"]) == ("git", "1.000000000")


# ---------------------------------------------------------------- git


def git(folder, *words):
    env = os.environ | {
        "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "HOME": str(folder),
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
    }  # fmt: skip
    subprocess.run(["git", "-C", str(folder), *words], env=env, check=True, capture_output=True)


@pytest.fixture
def repo(tmp_path):
    folder = tmp_path / "repo"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "a.py").write_text("one\n")
    (folder / ".gitignore").write_text("build/\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def set_time(path, ago_s):
    at_s = time.time() - ago_s
    os.utime(path, (at_s, at_s))
    return int(at_s * 1000)


def wall_ms():
    return time.time_ns() // 1_000_000


def test_the_newest_of_commit_edit_and_new_file_counts_and_what_is_ignored_does_not(repo):
    committed = set_time(repo / ".git/logs/HEAD", 900)
    looks = Changes()
    assert looks.look(str(repo), 0, wall_ms()).changed_ms == committed
    (repo / "src/a.py").write_text("two\n")
    edited = set_time(repo / "src/a.py", 600)
    assert looks.look(str(repo), EVERY_S - 1, wall_ms()).changed_ms == committed  # not asked yet
    found = looks.look(str(repo), EVERY_S, wall_ms())
    assert (found.source, found.changed_ms) == ("git", edited)
    (repo / "build").mkdir()
    (repo / "build/x.o").write_text("x")
    assert looks.look(str(repo), 2 * EVERY_S, wall_ms()).changed_ms == edited
    (repo / "new.py").write_text("new\n")
    new = set_time(repo / "new.py", 300)
    assert looks.look(str(repo), 3 * EVERY_S, wall_ms()).changed_ms == new
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "second")
    assert looks.look(str(repo), 4 * EVERY_S, wall_ms()).changed_ms > new


def test_a_folder_below_the_top_and_a_linked_work_tree_are_seen(repo, tmp_path):
    set_time(repo / ".git/logs/HEAD", 900)
    (repo / "src/a.py").write_text("two\n")
    edited = set_time(repo / "src/a.py", 600)
    assert Changes().look(str(repo / "src"), 0, wall_ms()).changed_ms == edited
    git(repo, "worktree", "add", "-q", str(tmp_path / "tree"))
    tree = tmp_path / "tree"
    assert find_git(str(tree)) == (repo / ".git/worktrees/tree").resolve()
    (tree / "src/a.py").write_text("three\n")
    later = set_time(tree / "src/a.py", -0)
    assert abs(Changes().look(str(tree), 0, wall_ms()).changed_ms - later) < 2_000


def test_a_deleted_file_is_a_change_at_the_look_that_misses_it(repo):
    set_time(repo / ".git/logs/HEAD", 900)
    looks = Changes()
    looks.look(str(repo), 0, wall_ms())
    (repo / "src/a.py").unlink()
    before = wall_ms()
    assert looks.look(str(repo), EVERY_S, wall_ms()).changed_ms >= before


def test_nothing_of_the_repository_runs_and_nothing_is_written(repo):
    """A monitor and a filter that a repository names for itself would be foreign programs."""
    marker = repo.parent / "ran"
    script = repo.parent / "run.sh"
    script.write_text(f"#!/bin/sh\ntouch {marker}\ncat\n")
    script.chmod(0o755)
    git(repo, "config", "core.fsmonitor", str(script))
    git(repo, "config", "filter.f.clean", str(script))
    (repo / ".git/info").mkdir(exist_ok=True)
    (repo / ".git/info/attributes").write_text("* filter=f\n")
    (repo / "src/a.py").write_text("two two\n")
    index = (repo / ".git/index").stat().st_mtime_ns
    assert Changes().look(str(repo), 0, wall_ms()).source == "git"
    assert not marker.exists()
    assert (repo / ".git/index").stat().st_mtime_ns == index


def test_without_git_or_when_git_does_not_answer_it_is_said(tmp_path, monkeypatch):
    assert Changes().look(str(tmp_path), 0, wall_ms()).source == "none"
    assert Changes().look("/nonexistent", 0, wall_ms()).source == "none"
    (tmp_path / ".git").mkdir()
    assert Changes().look(str(tmp_path), 0, wall_ms()).source == "slow"
    slow = tmp_path / "bin"
    slow.mkdir()
    (slow / "git").write_text("#!/bin/sh\nexec sleep 60\n")
    (slow / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow}:{os.environ['PATH']}")
    monkeypatch.setattr("tokentop.ingest.changes.GIT_S", 0.2)
    assert Changes().look(str(tmp_path), 0, wall_ms()).source == "slow"
