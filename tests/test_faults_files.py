"""Hostile files. Cases T12, T14-T16 and T20-T22 of the fault catalogue."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tokentop.ledger import Ledger, prices
from tokentop.settings.config import Settings

from .faults import BASE_MS, Scratch, audit, dumps, kinds, line, read, record

TABLE = prices(Settings())


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path)


def test_what_is_no_regular_file_is_named_and_never_waited_for(scratch: Scratch) -> None:
    """T15: a pipe, a socket, a device, folders and links with the names of logs."""
    scratch.log([line(1)])
    os.mkfifo(scratch.project / "pipe.jsonl")
    os.mknod(scratch.project / "socket.jsonl", stat.S_IFSOCK | 0o600)
    made = 2
    if os.getuid() == 0:
        os.mknod(scratch.project / "zero.jsonl", stat.S_IFCHR | 0o644, os.makedev(1, 5))
        made += 1
    (scratch.project / "folder.jsonl").mkdir()
    done = scratch.run("usage", "--json", timeout=90)
    assert json.loads(done.stdout)["totals"]["responses"] == 1
    found = kinds(scratch)
    assert found["not-a-file"] == made + 1


def test_a_sparse_file_of_a_terabyte_is_passed_over(scratch: Scratch) -> None:
    """T15: only what was ever written of it is read; the line behind the hole counts."""
    path = scratch.log([line(1)])
    with path.open("r+b") as file:
        file.truncate(1 << 40)
        file.seek(1 << 40)
        file.write(b"\n" + line(2))
    endless = scratch.project / "endless.jsonl"
    endless.touch()
    os.truncate(endless, 1 << 40)
    assert scratch.totals()["responses"] == 2


def test_links_are_followed_to_logs_inside_of_the_folder_only(scratch: Scratch) -> None:
    """T14: loops, a link to the root of the file system, links out, hard links, two names of one file."""
    path = scratch.log([line(1)])
    (scratch.project / "loop").symlink_to(scratch.project)
    (scratch.project / "world").symlink_to("/")
    outside = scratch.home / "outside.jsonl"
    outside.write_bytes(line(2))
    (scratch.project / "out.jsonl").symlink_to(outside)
    (scratch.project / "in.jsonl").symlink_to(path)
    (scratch.project / "broken.jsonl").symlink_to(scratch.home / "nowhere")
    (scratch.project / "self.jsonl").symlink_to("self.jsonl")
    (scratch.project / "hard.jsonl").hardlink_to(path)
    document = json.loads(scratch.run("usage", "--json").stdout)
    assert document["totals"]["responses"] == 1
    assert document["health"]["files"] == 1
    assert kinds(scratch)["outside"] >= 1


def test_strange_names_are_read_and_shown_as_marks(scratch: Scratch) -> None:
    """T20: line ends, escapes, bytes that are no text, 255 characters, 45 folders deep."""
    folder = os.fsencode(scratch.project)
    names = [
        b"a\nb.jsonl",
        b"\x1b]0;owned\x07.jsonl",
        b"\xff\xfe\x80.jsonl",
        b"x" * 249 + b".jsonl",
        "\u202egnp.jsonl".encode(),
    ]
    for number, name in enumerate(names):
        with open(folder + b"/" + name, "wb") as file:
            file.write(dumps(record(number, session="") | {"sessionId": None}))
    deep = scratch.project.joinpath(*(f"d{n}" for n in range(45)))
    deep.mkdir(parents=True)
    (deep / "deep.jsonl").write_bytes(line(50))
    hostile = os.path.join(folder, b"\xff\x1b[2J", b"subagents")
    os.makedirs(hostile)
    with open(os.path.join(hostile, b"agent-a1.meta.json"), "wb") as file:
        file.write(b'{"agentType":"explore","description":"look"}')
    document = json.loads(scratch.run("usage", "--json").stdout)
    assert document["totals"]["responses"] == len(names) + 1
    for verb in (("sessions",), ("doctor",), ("usage", "--by", "session")):
        done = scratch.run(*verb)
        assert done.returncode == 0
        assert not set(done.stdout) & set("\x1b\x07\u202e\udcff")
    with closing(sqlite3.connect(scratch.database)) as db:
        audit(db)
    assert scratch.totals() == document["totals"], "positions of files with such names are kept"
    assert json.loads(scratch.run("sync", "--json").stdout)["new_events"] == 0


def limit(what: int, value: int) -> None:
    resource.setrlimit(what, (value, value))


def test_500_logs_are_read_with_128_descriptors(scratch: Scratch) -> None:
    """T20, T21."""
    for number in range(500):
        scratch.log([line(number, session=f"s-{number}")], f"s-{number}.jsonl")
    done = scratch.run("usage", "--json", preexec_fn=lambda: limit(resource.RLIMIT_NOFILE, 128))
    assert json.loads(done.stdout)["totals"]["responses"] == 500
    assert json.loads(done.stdout)["health"]["errors"] == []


def test_a_live_reader_keeps_few_descriptors_and_gives_them_back(scratch: Scratch) -> None:
    """T12, T21: all 300 logs are active; what is deleted is let go."""
    for number in range(300):
        scratch.log([line(number)], f"s-{number}.jsonl")
    base = (
        len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else pytest.skip("no /proc here")
    )
    ledger = Ledger(scratch.state, scratch.environ(), Settings(), now_ms=BASE_MS, live=True, table=TABLE)
    try:
        read(ledger, 0.0)
        assert len(os.listdir("/proc/self/fd")) - base < 80
        for number in range(300):
            scratch.log([line(1000 + number)], f"s-{number}.jsonl")
        read(ledger, 1.0)
        for path in scratch.project.iterdir():
            path.unlink()
        read(ledger, 2.0)
        assert len(os.listdir("/proc/self/fd")) - base < 8
        assert audit(ledger.db)[0] == 600
    finally:
        ledger.close()


def unprivileged() -> bool:
    return os.getuid() != 0


def test_an_unreadable_log_is_named_and_read_when_it_can_be(scratch: Scratch) -> None:
    """T16: the others go on; with the permission back it is read from where it was, and the row goes."""
    if not unprivileged() and not can_drop():
        pytest.skip("root reads everything and user namespaces are not allowed: NO EACCES TESTED")
    scratch.log([line(1)])
    locked = scratch.log([line(2)], "s-2.jsonl")
    closed = scratch.project.parent / "-closed"
    closed.mkdir()
    (closed / "s-3.jsonl").write_bytes(line(3))
    locked.chmod(0)
    closed.chmod(0)
    document = json.loads(as_nobody_special(scratch, "usage", "--json"))
    assert document["totals"]["responses"] == 1
    assert len([e for e in document["health"]["errors"] if e["kind"] == "unreadable"]) == 2
    locked.chmod(0o600)
    closed.chmod(0o700)
    document = json.loads(as_nobody_special(scratch, "usage", "--json"))
    assert document["totals"]["responses"] == 3
    assert document["health"]["errors"] == []


DROP = ["unshare", "-U", "--map-user=1000", "--map-group=1000"]


def can_drop() -> bool:
    return subprocess.run([*DROP, "true"], capture_output=True, check=False).returncode == 0


def as_nobody_special(scratch: Scratch, *arguments: str) -> str:
    """Run tokentop without root's rights; files keep their owner."""
    drop = [] if unprivileged() else DROP
    done = subprocess.run(
        [*drop, sys.executable, "-m", "tokentop", *arguments], env=scratch.environ(), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_log_that_fails_again_and_again_is_read_in_the_end(scratch: Scratch) -> None:
    """T16 in a running collector: the back-off grows beyond the time between two walks."""
    ledger = Ledger(scratch.state, scratch.environ(), Settings(), now_ms=BASE_MS, live=True, table=TABLE)
    path = scratch.log([line(1)])
    real = path.rename(scratch.home / "real.jsonl")
    try:
        for now_s in range(0, 600, 15):
            if now_s == 300:
                path.unlink()
                real.rename(path)
            elif now_s < 300:
                path.unlink(missing_ok=True)
                path.write_bytes(line(1))
            ledger.follower.walk(float(now_s), time.time_ns())
            if now_s < 300:  # between the walk and the reading it becomes a pipe
                path.unlink()
                os.mkfifo(path)
            while ledger.step(float(now_s), 1 << 62) is not None:
                pass
            if now_s == 45:
                assert "unreadable" in {d.kind for d in ledger.health()}
        assert audit(ledger.db)[0] == 1
        assert not [d for d in ledger.health() if d.kind == "unreadable"]
    finally:
        ledger.close()


@pytest.mark.parametrize("kind", ["a file", "unreadable", "a broken link", "missing"])
def test_a_root_that_cannot_be_used_is_named_and_the_others_are_read(scratch: Scratch, kind: str) -> None:
    scratch.log([line(1)])
    root = scratch.home / "codex"
    if kind == "a file":
        root.write_text("")
    elif kind == "a broken link":
        root.symlink_to(scratch.home / "nowhere")
    elif kind == "unreadable":
        root.symlink_to("codex")  # a link to itself cannot be read by anyone
    done = scratch.run("usage", "--json", env={"CODEX_HOME": str(root)})
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert document["totals"]["responses"] == 1
    assert len(document["health"]["errors"]) == (kind in ("a file", "unreadable"))


@pytest.mark.skipif(
    not shutil.which("strace") or subprocess.run(["strace", "-o", "/dev/null", "true"], check=False).returncode != 0,
    reason="strace cannot be used here: NO FAILED READS TESTED",
)  # fmt: skip
def test_a_log_that_the_disk_cannot_read_is_named_and_read_when_it_can_be(scratch: Scratch) -> None:
    """T22: the others go on."""
    path = scratch.log(line(n) for n in range(12))
    scratch.log([line(12)], "s-2.jsonl")
    fail = ["-o", "/dev/null", "-P", str(path), "-e", "inject=preadv,preadv2:error=EIO"]
    done = subprocess.run(
        ["strace", "-f", "-qq", *fail, sys.executable, "-m", "tokentop", "usage", "--json"], env=scratch.environ(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    document = json.loads(done.stdout)
    assert (done.returncode, document["totals"]["responses"]) == (0, 1)
    (error,) = document["health"]["errors"]
    assert error["kind"] == "unreadable"
    assert path.name in error["detail"]
    document = json.loads(scratch.run("usage", "--json").stdout)
    assert (document["totals"]["responses"], document["health"]["errors"]) == (13, [])
