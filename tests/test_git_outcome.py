"""Commits, their lines and who made them, read from real repositories whose truth is known."""

from tests.git_build import DAY_S, Repo, lines, reap, worker
from tokentop.engine.outcome import Run


def alone(tmp_path, repo, *, now_s=None, **more):
    """What is seen of a repository in which one session was at work all the time."""
    found, report = reap(
        tmp_path / "state", [worker(1, repo.folder)], repo.folder, now_s=now_s or repo.at_s + 60, **more
    )
    assert not report.notes, report.notes
    return found


def test_lines_that_stay_and_lines_that_go(tmp_path):
    repo = Repo(tmp_path / "repo")
    repo.write("a.py", *lines("a", 10)).commit("first")
    repo.write("a.py", *lines("a", 10), *lines("b", 5)).commit("second")
    repo.write("a.py", *lines("a", 4), *lines("b", 5)).commit("third")
    first, second, third = alone(tmp_path, repo)
    assert (first.lines, second.lines, third.lines) == ((10, 0, 4), (5, 0, 5), (0, 6, 0))
    assert {one.state for one in (first, second, third)} == {"kept"}
    assert [one.credit for one in (first, second, third)] == [[(1, 1.0, 0, "time")]] * 3


def test_what_survived_is_as_after_the_days_and_does_not_change_later(tmp_path):
    repo = Repo(tmp_path / "repo")
    repo.write("a.py", *lines("a", 10)).commit("first")
    repo.at_s += 13 * DAY_S
    repo.write("a.py", *lines("a", 7)).commit("three go in time")
    repo.at_s += 10 * DAY_S
    repo.write("a.py").commit("the rest goes later")
    first, *_ = alone(tmp_path, repo)
    assert (first.lines, first.settled) == ((10, 0, 7), True)
    first, *_ = alone(tmp_path, repo, days=30)
    assert (first.lines, first.settled) == ((10, 0, 0), False)  # younger: as it is now
    first, *_ = alone(tmp_path, repo, days=1)
    assert first.lines == (10, 0, 10)


def test_amended_and_rebased_commits_count_once(tmp_path):
    repo = Repo(tmp_path / "repo")
    repo.write("base", "base").commit("base")
    repo("checkout", "-q", "-b", "topic")
    repo.write("a.py", *lines("a", 3)).commit("one")
    repo.write("a.py", *lines("a", 4))
    repo("commit", "-q", "-a", "--amend", "-m", "one, better")
    repo.write("b.py", *lines("b", 2)).commit("two")
    repo("checkout", "-q", "main")
    repo.write("c.py", "c").commit("meanwhile")
    repo("checkout", "-q", "topic")
    repo.at_s += 600
    repo("rebase", "-q", "main")
    repo("checkout", "-q", "main")
    repo("merge", "-q", "--ff-only", "topic")
    found = alone(tmp_path, repo)
    assert [one.lines for one in found] == [(1, 0, 1), (4, 0, 4), (2, 0, 2), (1, 0, 1)]
    assert all(one.counts and one.state == "kept" for one in found)


def test_a_rebase_with_a_conflict_and_a_filtered_history_count_once(tmp_path):
    repo = Repo(tmp_path / "repo")
    repo.write("a.py", "old").commit("base")
    repo("checkout", "-q", "-b", "topic")
    repo.write("a.py", "mine", "more").commit("mine")
    repo("checkout", "-q", "main")
    repo.write("a.py", "theirs").commit("theirs")
    repo("checkout", "-q", "topic")
    repo("rebase", "-q", "main", ok=False)
    repo.write("a.py", "theirs", "mine", "more")
    repo("add", "-A")
    repo("rebase", "--continue")
    repo("checkout", "-q", "main")
    repo("merge", "-q", "--ff-only", "topic")
    assert [one.lines for one in alone(tmp_path, repo)] == [(1, 0, 0), (2, 0, 2), (1, 1, 1)]
    repo("filter-branch", "-f", "--env-filter", "export GIT_COMMITTER_NAME=b", "--", "--all")
    assert [one.lines for one in alone(tmp_path, repo)] == [(1, 0, 0), (2, 0, 2), (1, 1, 1)]


def test_a_cherry_pick_counts_once(tmp_path):
    repo = Repo(tmp_path / "repo")
    repo.write("base", "base").commit("base")
    repo("checkout", "-q", "-b", "topic")
    picked = repo.write("a.py", *lines("a", 3)).commit("fix")
    repo("checkout", "-q", "main")
    repo.at_s += 300
    repo("cherry-pick", picked)
    found = alone(tmp_path, repo)
    assert [(one.lines, one.state) for one in found] == [((1, 0, 1), "kept"), ((3, 0, 3), "kept")]


def test_merges_are_not_counted_and_what_they_bring_is(tmp_path):
    repo = Repo(tmp_path / "repo")
    repo.write("base", "base").commit("base")
    repo("checkout", "-q", "-b", "topic")
    repo.write("a.py", *lines("a", 5)).commit("a")
    repo("checkout", "-q", "main")
    repo.write("b.py", "b").commit("b")
    repo("merge", "-q", "--no-ff", "-m", "merge", "topic")
    found = alone(tmp_path, repo)
    assert [one.lines for one in found] == [(1, 0, 1), (5, 0, 5), (1, 0, 1)]


def test_a_branch_that_is_merged_after_the_days_counts_as_it_was_merged(tmp_path):
    repo = Repo(tmp_path / "repo")
    repo.write("base", "base").commit("base")
    repo("checkout", "-q", "-b", "topic")
    repo.write("a.py", *lines("a", 5)).commit("a")
    assert [(one.state, one.lines) for one in alone(tmp_path, repo)][1] == ("branch", (5, 0, 5))
    repo("checkout", "-q", "main")
    repo.at_s += 20 * DAY_S
    repo("merge", "-q", "--no-ff", "-m", "merge", "topic")
    repo.at_s += DAY_S
    repo.write("a.py").commit("gone")
    assert [(one.state, one.lines, one.settled) for one in alone(tmp_path, repo)][1] == (
        "kept",
        (5, 0, 5),
        True,
    )


def test_a_revert_takes_the_lines_back_and_its_own_do_not_count(tmp_path):
    repo = Repo(tmp_path / "repo")
    repo.write("a.py", *lines("a", 6)).commit("base")
    bad = repo.write("a.py", *lines("b", 4)).commit("bad")
    repo.at_s += 60
    repo("revert", "--no-edit", bad)
    back = repo("rev-parse", "HEAD")
    base, change, revert = alone(tmp_path, repo)
    assert (change.lines, revert.lines, revert.counts) == ((4, 6, 0), (0, 0, 0), True)
    repo.at_s += 60
    repo("revert", "--no-edit", back)
    base, change, revert = alone(tmp_path, repo)  # the second revert is the change again
    assert change.lines == (4, 6, 4)
    assert base.lines == (6, 0, 0)


def test_renames_are_followed(tmp_path):
    repo = Repo(tmp_path / "repo")
    repo.write("a.py", *lines("a", 8)).commit("a")
    repo("mv", "a.py", "b c.py")
    repo.commit("move")
    repo("mv", "b c.py", "d.py")
    repo.commit("move again")
    assert [one.lines for one in alone(tmp_path, repo)] == [(8, 0, 8), (0, 0, 0), (0, 0, 0)]


def test_a_squash_leaves_the_lines_with_those_who_wrote_them(tmp_path):
    repo = Repo(tmp_path / "repo")
    repo.write("base", "base").commit("base")
    repo("checkout", "-q", "-b", "topic")
    repo.write("a.py", *lines("a", 6)).commit("one")
    half = repo.at_s + 30
    repo.write("a.py", *lines("a", 5), *lines("b", 4)).commit("two")
    repo("checkout", "-q", "main")
    repo("merge", "-q", "--squash", "topic")
    repo.write("c.py", *lines("c", 2))
    repo.commit("all of it (#1)")
    repo("branch", "-q", "-D", "topic")
    first = worker(1, repo.folder, spans=((0, half),), runs=(Run((half - 40) * 1000, half * 1000),))
    second = worker(2, repo.folder, agent="codex", runs=(Run((half + 20) * 1000, (half + 40) * 1000),))
    found, _ = reap(tmp_path / "state", [first, second], repo.folder, now_s=repo.at_s + 60)
    _, one, two, squash = found
    assert (one.state, one.lines, one.credit) == ("gone", (6, 0, 5), [(1, 1.0, 1, "call")])
    assert (two.state, two.lines, two.credit) == ("gone", (4, 1, 4), [(2, 1.0, 1, "call")])
    assert (squash.counts, squash.lines) == (False, (2, 0, 2))  # what it took over counts as theirs


def test_a_commit_that_was_thrown_away_has_no_surviving_lines(tmp_path):
    repo = Repo(tmp_path / "repo")
    repo.write("base", "base").commit("base")
    repo.write("a.py", *lines("a", 6)).commit("one")
    repo("reset", "-q", "--hard", "HEAD~1")
    assert [(one.state, one.lines) for one in alone(tmp_path, repo)] == [
        ("kept", (1, 0, 1)),
        ("gone", (6, 0, 0)),
    ]


def test_stashes_are_no_commits(tmp_path):
    repo = Repo(tmp_path / "repo")
    repo.write("a.py", "a").commit("base")
    repo.write("a.py", "b")
    repo("stash", "-q")
    assert len(alone(tmp_path, repo)) == 1
