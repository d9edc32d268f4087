"""Repositories that are odd, cut off or hostile: what is told stays true, nothing of them runs, limits hold."""

import os
import time

import pytest

from tests.git_build import DAY_S, Repo, lines, reap, worker
from tests.test_git_outcome import alone
from tokentop.ingest.repository import place_of


def alive(pid):
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/status") as file:
            return "\nState:\tZ" not in file.read()
    except (OSError, ProcessLookupError):
        return False


def test_an_empty_repository_and_a_folder_in_none(tmp_path):
    repo = Repo(tmp_path / "repo")
    found, report = reap(tmp_path / "state", [worker(1, repo.folder)], repo.folder, now_s=repo.at_s)
    assert (found, report.notes, report.repositories) == ([], {}, 1)
    assert place_of(str(tmp_path)) is None
    assert place_of(str(tmp_path / "nothing" / "here")) is None


def test_a_detached_head_is_a_branch_without_a_name(tmp_path):
    repo = Repo(tmp_path / "repo")
    repo.write("a.py", "a").commit("base")
    repo("checkout", "-q", "--detach")
    repo.write("b.py", *lines("b", 3)).commit("loose")
    assert [(one.state, one.lines) for one in alone(tmp_path, repo)] == [
        ("kept", (1, 0, 1)),
        ("branch", (3, 0, 3)),
    ]


def test_a_shallow_clone_does_not_take_the_whole_tree_for_one_commit(tmp_path):
    origin = Repo(tmp_path / "origin")
    origin.write("a.py", *lines("a", 50)).commit("one")
    origin.write("a.py", *lines("a", 52)).commit("two")
    origin("clone", "-q", "--depth", "1", f"file://{origin.folder}", str(tmp_path / "clone"))
    clone = origin.beside(tmp_path / "clone")
    clone.write("b.py", "b").commit("own")
    two, own = alone(tmp_path, clone)
    assert (two.lines, two.credit) == ((None, None, None), [])  # fetched; its parent is not here
    assert (own.lines, own.credit) == ((1, 0, 1), [(1, 1.0, 0, "time")])


def test_a_submodule_is_a_repository_of_its_own_and_its_pointer_no_line(tmp_path):
    inner = Repo(tmp_path / "inner")
    inner.write("i.py", *lines("i", 4)).commit("inner")
    outer = inner.beside(tmp_path / "outer")
    outer.folder.mkdir()
    outer("init", "-q", "-b", "main")
    outer("submodule", "--quiet", "add", str(inner.folder), "lib")
    outer.commit("with a submodule")
    module = outer.beside(tmp_path / "outer" / "lib")
    module.write("i.py", *lines("i", 6)).commit("in the submodule")
    outer.at_s = module.at_s
    outer.commit("pointer")
    agent = worker(1, outer.folder, module.folder)
    found, report = reap(tmp_path / "state", [agent], outer.folder, module.folder, now_s=outer.at_s + 60)
    assert report.repositories == 2
    assert sorted(one.lines for one in found if one.credit) == [(0, 0, 0), (2, 0, 2), (3, 0, 3)]


def test_binary_and_huge_files_have_no_lines(tmp_path):
    repo = Repo(tmp_path / "repo")
    (repo.folder / "b.bin").write_bytes(bytes(range(256)) * 10)
    repo.write("a.py", "a").commit("binary")
    (repo.folder / "huge.txt").write_text("x" * 79 + "\n" + ("y" * 79 + "\n") * 150_000)  # 12 MB
    repo.commit("huge")
    assert [one.lines for one in alone(tmp_path, repo)] == [(1, 0, 1), (0, 0, 0)]


def test_hostile_names_of_files_branches_and_people(tmp_path):
    repo = Repo(tmp_path / "repo")
    names = [
        "-rf",
        "--output=x",
        "a\nb",
        'quo"te',
        "\x1b[31mred",
        "tab\there",
        "ü ñ",
        "b\\x",
        "@@ -0,0 +1,99 @@\n+x",
    ]
    for name in names:
        (repo.folder / name).write_text(f"{name!r} one\n{name!r} two\n")
    (repo.folder / os.fsdecode(b"\xff\xfe bad")).write_text("not utf-8\n")
    repo.commit("names", GIT_AUTHOR_NAME="\x1b]0;x\x07 > 1 +0000\tcommit: ", GIT_COMMITTER_NAME="--author")
    repo("branch", "--", "x;touch-ran")
    repo.write("diff", f"diff --git a/x b/x\n@@ -1,9 +1,9 @@\n{'0' * 40}\n-- x").commit(
        "a patch in a file\n\n@@ -1 +1 @@"
    )
    found = alone(tmp_path, repo)
    assert [one.lines for one in found] == [(2 * len(names) + 1, 0, 2 * len(names) + 1), (4, 0, 4)]
    assert not (repo.folder / "x").exists()


def test_nothing_that_a_repository_names_is_run(tmp_path):
    repo = Repo(tmp_path / "repo")
    marker = tmp_path / "ran"
    script = tmp_path / "run.sh"
    script.write_text(f'#!/bin/sh\necho "$0 $@" >> {marker}\ncat\n')
    script.chmod(0o755)
    (repo.folder / ".gitattributes").write_text("* diff=evil filter=evil merge=evil\n")
    repo.write("a.py", *lines("a", 3)).commit("one")
    repo.write("a.py", *lines("a", 5)).commit("two")
    for name in (
        "core.fsmonitor", "core.pager", "pager.log", "pager.blame", "diff.external", "diff.evil.command",
        "diff.evil.textconv", "filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "gpg.program",
        "core.sshCommand", "core.askPass", "core.editor", "core.gitProxy", "core.alternateRefsCommand",
        "credential.helper", "interactive.diffFilter", "merge.evil.driver", "uploadpack.packObjectsHook",
    ):  # fmt: skip
        repo("config", name, str(script))
    for name in ("log", "rev-list", "diff-tree", "blame", "cat-file", "ls-tree", "for-each-ref", "worktree"):
        repo("config", f"alias.{name}", f"!{script}")
    repo("config", "log.showSignature", "true")
    repo("config", "remote.evil.url", f"ext::{script}")
    repo("config", "remote.evil.promisor", "true")
    repo("config", "extensions.partialClone", "evil")
    repo("config", "blame.ignoreRevsFile", str(tmp_path / "nothing"))
    hooks = repo.folder / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-index-change", "reference-transaction", "post-checkout", "fsmonitor-watchman"):
        (hooks / name).write_text(script.read_text())
        (hooks / name).chmod(0o755)
    repo("config", "core.hooksPath", str(hooks))
    marker.unlink(missing_ok=True)
    before = sorted((path, path.stat().st_mtime_ns) for path in (repo.folder / ".git").rglob("*"))
    assert [one.lines for one in alone(tmp_path, repo)][-1] == (2, 0, 2)
    assert not marker.exists(), marker.read_text()
    assert sorted((path, path.stat().st_mtime_ns) for path in (repo.folder / ".git").rglob("*")) == before


def test_a_part_that_was_left_out_is_not_fetched(tmp_path):
    origin = Repo(tmp_path / "origin")
    origin("config", "uploadpack.allowFilter", "true")
    origin.write("a.py", *lines("a", 5)).commit("one")
    origin(
        "clone",
        "-q",
        "--no-checkout",
        "--filter=blob:none",
        f"file://{origin.folder}",
        str(tmp_path / "clone"),
    )
    clone = origin.beside(tmp_path / "clone")
    packs = set((clone.folder / ".git" / "objects").rglob("*"))
    _, report = reap(tmp_path / "state", [worker(1, clone.folder)], clone.folder, now_s=clone.at_s + 60)
    assert set((clone.folder / ".git" / "objects").rglob("*")) == packs
    assert [note for notes in report.notes.values() for note in notes] == [
        "git refused a question: not all was looked at"
    ]


def test_a_git_directory_that_is_none_does_not_lead_to_the_repository_above(tmp_path):
    repo = Repo(tmp_path / "repo")
    repo.write("a.py", "a").commit("above")
    (repo.folder / "inner" / ".git").mkdir(parents=True)
    found, report = reap(
        tmp_path / "state", [worker(1, repo.folder / "inner")], repo.folder / "inner", now_s=repo.at_s
    )
    assert found == []
    assert report.notes


def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path):
    repo = Repo(tmp_path / "repo")
    repo.write("a.py", "a").commit("one")
    (repo.folder / ".git" / "logs" / "HEAD").unlink()
    os.mkfifo(repo.folder / ".git" / "logs" / "HEAD")
    os.mkfifo(repo.folder / ".git" / "shallow.lock")
    (tmp_path / "other").mkdir()
    os.mkfifo(tmp_path / "other" / ".git")
    assert place_of(str(tmp_path / "other")) is None
    assert len(alone(tmp_path, repo)) == 1


@pytest.mark.parametrize("where", ["missing", "hanging", "endless"])
def test_git_that_is_missing_hangs_or_does_not_end_is_said(tmp_path, monkeypatch, where):
    repo = Repo(tmp_path / "repo")
    repo.write("a.py", "a").commit("one")
    folder = tmp_path / "bin"
    folder.mkdir()
    if where != "missing":
        script = "sleep 61 & echo $! > {0}; wait" if where == "hanging" else "echo $$ > {0}; exec yes"
        (folder / "git").write_text(
            "#!/bin/sh\nPATH=/bin:/usr/bin\n" + script.format(tmp_path / "pid") + "\n"
        )
        (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    found, report = reap(
        tmp_path / "state", [worker(1, repo.folder)], repo.folder, now_s=repo.at_s, seconds=0.7
    )
    assert found == []
    (notes,) = report.notes.values()
    slow = "git took too long: not all was looked at"
    large = "git's answer was too large: not all was looked at"
    assert notes[0] in {"missing": ["git cannot be run"], "hanging": [slow], "endless": [slow, large]}[where]
    if where != "missing":
        pid = int((tmp_path / "pid").read_text())
        for _ in range(600):
            if not alive(pid):
                break
            time.sleep(0.05)
        else:
            pytest.fail("what the hanging git had started still runs")


def test_a_second_look_asks_only_for_what_is_new(tmp_path, monkeypatch):
    repo = Repo(tmp_path / "repo")
    repo.write("a.py", *lines("a", 3)).write("old.py", *lines("o", 3)).commit("one")
    repo.at_s += 20 * DAY_S
    repo.write("b.py", *lines("b", 3)).commit("two")
    first = alone(tmp_path, repo)
    asked = []
    from tokentop.ingest import reading

    whole = reading.ask
    monkeypatch.setattr(
        reading, "ask", lambda folder, words, **more: asked.append(words) or whole(folder, words, **more)
    )
    assert [one.lines for one in alone(tmp_path, repo)] == [one.lines for one in first]
    assert not [words for words in asked if words[0] in {"cat-file", "diff-tree", "blame", "-c"}]
    repo.write("b.py", *lines("b", 4)).commit("three")
    assert alone(tmp_path, repo)[-1].lines == (1, 0, 1)
    assert len([words for words in asked if words[0] in {"cat-file", "diff-tree"}]) == 2
    assert len([words for words in asked if "blame" in words]) == 1  # of the file that has changed


def test_what_a_short_time_cut_off_comes_with_the_next_look(tmp_path):
    repo = Repo(tmp_path / "repo")
    repo.write("a.py", *lines("a", 3)).commit("one")
    _, report = reap(tmp_path / "state", [worker(1, repo.folder)], repo.folder, now_s=repo.at_s, seconds=0)
    assert report.notes[""] == [f"{repo.folder}/.git: not looked at, the time was used up"]
    assert [one.lines for one in alone(tmp_path, repo)] == [(3, 0, 3)]


def test_a_patch_that_is_too_large_is_not_known_and_those_beside_it_are(tmp_path, monkeypatch):
    from tokentop.ingest import commits

    monkeypatch.setattr(commits, "_PATCH_BYTES", 20_000)
    repo = Repo(tmp_path / "repo")
    for number, count in enumerate((300, 300, 2000, 300, 300)):  # each patch fits but the third
        repo.write(f"{number}.py", *lines(f"word{number}", count)).commit(f"{number}")
    found, report = reap(tmp_path / "state", [worker(1, repo.folder)], repo.folder, now_s=repo.at_s + 60)
    assert [one.lines for one in found] == [
        (300, 0, 300), (300, 0, 300), (None, None, None), (300, 0, 300), (300, 0, 300),
    ]  # fmt: skip
    assert report.notes[f"{repo.folder}/.git"] == ["git's answer was too large: not all was looked at"]
    assert report.waiting == 0


def test_no_word_of_a_commit_a_file_or_a_person_is_kept(tmp_path):
    repo = Repo(tmp_path / "repo")
    repo.write("a.py", "kanarienvogel one", "kanarienvogel two").commit(
        "kanarienvogel in the subject\n\nkanarienvogel: body",
        GIT_AUTHOR_NAME="kanarienvogel",
        GIT_AUTHOR_EMAIL="kanarienvogel@x",
    )
    assert [one.lines for one in alone(tmp_path, repo)] == [(2, 0, 2)]
    for path in (tmp_path / "state").iterdir():
        assert b"kanarienvogel" not in path.read_bytes()
