"""Who made a commit: what is sure, what is guessed, what is nobody's."""

import pytest

from tests.git_build import Repo, lines, reap, worker
from tokentop.engine.outcome import Run, spans_of


@pytest.fixture
def repo(tmp_path):
    repo = Repo(tmp_path / "repo")
    repo.write("base", "base").commit("base", GIT_AUTHOR_NAME="nobody")
    repo.at_s += 7200
    return repo


def credit(tmp_path, repo, *workers, folders=()):
    """Who made the last commit."""
    found, _ = reap(tmp_path / "state", list(workers), repo.folder, *folders, now_s=repo.at_s + 60)
    return found[-1].credit


def run(repo, name="", before=5, after=5):
    return Run((repo.at_s - before) * 1000, (repo.at_s + after) * 1000, name)


def near(repo, minutes=1):
    return ((repo.at_s - 60 * minutes - 300, repo.at_s - 60 * minutes),)


def test_the_hash_that_git_told_the_agent_is_sure_even_from_another_folder(tmp_path, repo):
    name = repo.write("a.py", "a").commit("one")
    far = Repo(tmp_path / "far")
    one = worker(1, far.folder, spans=(), runs=(run(repo, name[:7]),))
    two = worker(2, repo.folder)
    assert credit(tmp_path, repo, one, two) == [(1, 1.0, 1, "hash")]


def test_the_hash_of_a_form_that_was_amended_away_is_sure_too(tmp_path, repo):
    name = repo.write("a.py", "a").commit("one")
    repo.write("a.py", "a", "b")
    repo("commit", "-qa", "--amend", "-m", "other")
    one = worker(1, repo.folder, runs=(run(repo, name[:9]),))
    assert credit(tmp_path, repo, one, worker(2, repo.folder)) == [(1, 1.0, 1, "hash")]


def test_a_call_of_git_commit_at_that_second_is_sure_if_it_is_the_only_one(tmp_path, repo):
    repo.write("a.py", "a").commit("one")
    one = worker(1, repo.folder, spans=(), runs=(run(repo),))
    late = worker(2, repo.folder, spans=(), runs=(run(repo, before=-60, after=90),))
    assert credit(tmp_path, repo, one, late) == [(1, 1.0, 1, "call")]
    both = worker(3, repo.folder, agent="codex", spans=(), runs=(run(repo),))
    assert credit(tmp_path, repo, one, both) == [(1, 0.5, 0, "call"), (3, 0.5, 0, "call")]


def test_two_agents_in_one_repository_and_two_work_trees(tmp_path, repo):
    repo("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    side = repo.beside(tmp_path / "side")
    one = worker(1, repo.folder)
    two = worker(2, side.folder, agent="codex")
    side.write("s.py", *lines("s", 4)).commit("in the side tree")
    repo.at_s = side.at_s
    repo.write("m.py", *lines("m", 2)).commit("in the main tree")
    found, _ = reap(tmp_path / "state", [one, two], repo.folder, side.folder, now_s=repo.at_s + 60)
    assert [(one.credit, one.state) for one in found[-2:]] == [
        ([(2, 1.0, 0, "time")], "branch"), ([(1, 1.0, 0, "time")], "kept"),
    ]  # fmt: skip
    three = worker(3, repo.folder, agent="codex")
    assert credit(tmp_path, repo, one, two, three) == [(1, 0.5, 0, "time"), (3, 0.5, 0, "time")]


def test_a_work_tree_that_is_gone_leaves_its_commits_to_the_repository(tmp_path, repo):
    repo("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    side = repo.beside(tmp_path / "side")
    one = worker(1, side.folder)
    two = worker(2, repo.folder, spans=())
    name = side.write("s.py", *lines("s", 4)).commit("in the side tree")
    repo("worktree", "remove", "--force", str(side.folder))
    repo.at_s = side.at_s
    assert credit(tmp_path, repo, one, two) == [(1, 1.0, 0, "time")]
    told = worker(2, repo.folder, spans=(), runs=(run(repo, name),))
    assert credit(tmp_path, repo, one, told) == [(2, 1.0, 1, "hash")]


def test_a_signature_is_sure_with_one_session_of_that_agent_and_shared_among_several(tmp_path, repo):
    repo.write("a.py", "a").commit("one\n\nCo-Authored-By: Claude <noreply@anthropic.com>")
    claude, codex = worker(1, repo.folder, spans=near(repo)), worker(2, repo.folder, agent="codex")
    assert credit(tmp_path, repo, claude, codex) == [(1, 1.0, 1, "signed")]
    other = worker(3, repo.folder, spans=near(repo, 10))
    assert credit(tmp_path, repo, claude, codex, other) == [(1, 0.5, 0, "signed"), (3, 0.5, 0, "signed")]
    assert credit(tmp_path, repo, codex) == []  # it says that it was another agent's


def test_an_author_can_be_the_signature_and_a_word_in_the_message_is_none(tmp_path, repo):
    repo.write("a.py", "a").commit("one", GIT_AUTHOR_NAME="someone (aider)")
    aider, codex = worker(1, repo.folder, agent="aider"), worker(2, repo.folder, agent="codex")
    assert credit(tmp_path, repo, aider, codex) == [(1, 1.0, 1, "signed")]
    repo.write("a.py", "b").commit("talk about noreply@anthropic.com and aider@aider.chat")
    assert credit(tmp_path, repo, codex) == [(2, 1.0, 0, "time")]


def test_a_trailer_that_names_the_session_is_sure(tmp_path, repo):
    repo.write("a.py", "a").commit(
        "one\n\nClaude-Session: https://claude.ai/code/6f1c9a52-11aa-4c1c-9d7e-0123456789ab"
    )
    one = worker(1, repo.folder, spans=(), name="6f1c9a52-11aa-4c1c-9d7e-0123456789ab")
    assert credit(tmp_path, repo, one, worker(2, repo.folder)) == [(1, 1.0, 1, "named")]


def test_a_commit_by_hand_goes_to_who_edited_its_files(tmp_path, repo):
    repo.write("a.py", "a").commit("by hand, hours later")
    edit = {f"{repo.folder}/a.py": ((repo.at_s - 5 * 3600) * 1000,)}
    one = worker(1, repo.folder, spans=(), edits=edit)
    two = worker(2, repo.folder, spans=near(repo))
    assert credit(tmp_path, repo, one, two) == [(1, 1.0, 0, "files")]
    long_ago = worker(1, repo.folder, spans=(), edits={f"{repo.folder}/a.py": ((repo.at_s - 90_000) * 1000,)})
    assert credit(tmp_path, repo, long_ago, two) == [(2, 1.0, 0, "time")]


def test_what_was_fetched_is_nobodys_and_what_nobody_was_near_too(tmp_path, repo):
    repo("clone", "-q", str(repo.folder), str(tmp_path / "theirs"))
    theirs = repo.beside(tmp_path / "theirs")
    theirs.write("t.py", "t").commit("theirs\n\nCo-Authored-By: Claude <noreply@anthropic.com>")
    repo("remote", "add", "origin", str(theirs.folder))
    repo("fetch", "-q", "origin")
    repo("merge", "-q", "--ff-only", "origin/main")
    repo.at_s = theirs.at_s
    assert credit(tmp_path, repo, worker(1, repo.folder)) == []
    repo.write("a.py", "a").commit("alone")
    resting = worker(1, repo.folder, spans=near(repo, 16))
    assert credit(tmp_path, repo, resting) == []
    assert credit(tmp_path, repo, worker(1, repo.folder, spans=near(repo, 14))) == [(1, 1.0, 0, "time")]


def test_without_logs_of_git_nothing_is_sure_by_place_and_time(tmp_path, repo):
    repo("config", "core.logAllRefUpdates", "false")
    for path in (repo.folder / ".git" / "logs").rglob("*"):
        if path.is_file():
            path.unlink()
    repo.write("a.py", "a").commit("one\n\nCo-Authored-By: Claude <noreply@anthropic.com>")
    assert credit(tmp_path, repo, worker(1, repo.folder)) == [(1, 1.0, 0, "signed")]


def test_who_made_it_stays_known_when_the_logs_of_git_expire(tmp_path, repo):
    repo.write("a.py", "a").commit("one")
    one = worker(1, repo.folder)
    assert credit(tmp_path, repo, one) == [(1, 1.0, 0, "time")]
    for path in (repo.folder / ".git" / "logs").rglob("*"):
        if path.is_file():
            path.write_text("")
    assert credit(tmp_path, repo, one) == [(1, 1.0, 0, "time")]


def test_a_rebase_by_another_session_leaves_the_commit_with_who_made_it(tmp_path, repo):
    repo("checkout", "-q", "-b", "topic")
    repo.write("a.py", *lines("a", 3)).commit("one")
    made = repo.at_s
    repo("checkout", "-q", "main")
    repo.at_s += 3600
    repo.write("b.py", "b").commit("two")
    repo("checkout", "-q", "topic")
    repo.at_s += 3600
    repo("rebase", "-q", "main")
    one = worker(1, repo.folder, spans=((made - 600, made + 60),))
    two = worker(2, repo.folder, spans=((repo.at_s - 600, repo.at_s + 60),))
    found, _ = reap(tmp_path / "state", [one, two], repo.folder, now_s=repo.at_s + 60)
    by_lines = {seen.lines[0]: seen.credit for seen in found}
    assert by_lines[3] == [(1, 1.0, 0, "time")]


def test_rests_part_the_spans_of_a_session():
    minute = 60_000
    calls = [(100 * minute, 2 * minute), (50 * minute, minute), (60 * minute, 4 * minute)]
    assert spans_of(calls) == ((49 * minute, 60 * minute), (98 * minute, 100 * minute))
