"""What the tests of faults share: scratch homes, invented transcripts, the command line, and an audit of a store."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tokentop.collector import Collector
from tokentop.ledger import Ledger
from tokentop.nouns.picture import Snapshot
from tokentop.settings.config import Settings

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT = "harbour"  # a name of its own: a collector also reads the logs of agents that run on the machine
MODEL = "claude-sonnet-4-5"
BASE_MS = 1_795_273_500_000
COUNTS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")


def stamp(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def record(number: int, *, session: str = "s-1", output: int = 7, **changes: Any) -> dict[str, Any]:
    """One billed response as Claude Code logs it; `number` makes its identity."""
    usage = {
        "input_tokens": 3, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": output,
    }  # fmt: skip
    message = {
        "id": f"msg_{number:06d}", "model": MODEL, "role": "assistant", "stop_reason": "end_turn", "usage": usage
    }  # fmt: skip
    line = {
        "type": "assistant", "message": message, "sessionId": session, "uuid": f"u-{number}", "cwd": f"/home/me/{PROJECT}",
        "version": "2.1.330", "timestamp": stamp(BASE_MS + number * 1000),
    }  # fmt: skip
    return line | changes


def line(number: int, **changes: Any) -> bytes:
    return json.dumps(record(number, **changes), separators=(",", ":")).encode() + b"\n"


def filler(size: int, number: int = 0) -> bytes:
    """A line without usage, such as a tool result."""
    body = {"type": "attachment", "n": number, "content": "x" * size}
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def midday() -> str:
    """A zone where it is about noon: what a test writes now is of the same day when it asks."""
    ahead = 12 - datetime.now(UTC).hour
    return f"Etc/GMT{-ahead:+d}"


class Scratch:
    """A home of its own with Claude Code's folder, a state directory, and tokentop run in them."""

    zone = "UTC"

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.project = self.home / ".claude" / "projects" / "-home-me-api"
        self.state = root / "state"
        self.config = root / "config.toml"
        self.project.mkdir(parents=True)

    @property
    def database(self) -> Path:
        return self.state / "tokentop.db"

    def environ(self, **changes: str | None) -> dict[str, str]:
        env = {
            "HOME": str(self.home), "TOKENTOP_STATE_DIR": str(self.state), "PATH": os.environ["PATH"], "TZ": self.zone,
            "PYTHONPATH": str(REPOSITORY), "XDG_CONFIG_HOME": str(self.home / ".config"), "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        if self.config.exists():
            env["TOKENTOP_CONFIG"] = str(self.config)
        for name, value in changes.items():
            if value is None:
                env.pop(name, None)
            else:
                env[name] = value
        return env

    def log(self, lines: Iterable[bytes], name: str = "s-1.jsonl") -> Path:
        path = self.project / name
        with path.open("ab") as file:
            file.writelines(lines)
        return path

    def run(
        self, *arguments: str, env: dict[str, str | None] | None = None, timeout: float = 60, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tokentop", *arguments], env=self.environ(**(env or {})), capture_output=True,
            text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL, cwd=self.home, **options,
        )  # fmt: skip

    def start(self, *arguments: str, env: dict[str, str | None] | None = None, **options: Any) -> Any:
        settings: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(
            [sys.executable, "-m", "tokentop", *arguments], env=self.environ(**(env or {})), cwd=self.home,
            stdin=subprocess.DEVNULL, **(settings | options),
        )  # fmt: skip

    def stored(self) -> int:
        """Responses of this home in the database."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as db:
            found: int = db.execute(
                "SELECT coalesce(sum(s.responses), 0) FROM session s JOIN project p ON p.id = s.project WHERE p.name=?",
                (PROJECT,),
            ).fetchone()[0]
        return found

    def totals(self, *arguments: str) -> dict[str, Any]:
        """The totals of `usage --json`; fails the test when the command failed."""
        done = self.run("usage", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)["totals"]
        return found


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The complaint of a command: exactly one line, and never a traceback."""
    assert "Traceback" not in done.stderr, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("tokentop: "), done.stderr
    return lines[0]


def sums(db: sqlite3.Connection, table: str, where: str = "1") -> tuple[int, ...]:
    """(responses, the six counts, cost, unpriced tokens) of `event`, `rollup` or `session`."""
    counts = ", ".join(f"coalesce(sum({name}), 0)" for name in COUNTS)
    if table == "event":
        prompt = "input + cache_read + cache_write_5m + cache_write_1h + output"
        rest = f"coalesce(sum(cost_nusd), 0), coalesce(sum(CASE WHEN cost_nusd IS NULL THEN {prompt} END), 0)"
        responses = "coalesce(sum(NOT flags & 1), 0)"
    else:
        rest = "coalesce(sum(cost_nusd), 0), coalesce(sum(unpriced_tokens), 0)"
        responses = "coalesce(sum(responses), 0)"
    found: tuple[int, ...] = db.execute(
        f"SELECT {responses}, {counts}, {rest} FROM {table} WHERE {where}"
    ).fetchone()
    return found


def audit(db: sqlite3.Connection) -> tuple[int, ...]:
    """Events, rollups and session sums say the same, in all and in every part; return what they say."""
    events = sums(db, "event")
    assert sums(db, "rollup") == events
    assert sums(db, "session") == events
    for (session,) in db.execute("SELECT id FROM session").fetchall():
        assert sums(db, "session", f"id={session}") == sums(db, "event", f"session={session}")
    by_slot = (
        "SELECT e.at_ms / 900000, s.project, e.model, e.flags, sum(NOT e.flags & 1), sum(e.output), coalesce(sum(e.cost_nusd), 0)"
        " FROM event e JOIN session s ON s.id = e.session GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
    )
    rolled = (
        "SELECT slot, project, model, flags, responses, output, cost_nusd FROM rollup"
        " WHERE responses OR input OR output OR cache_read OR cost_nusd ORDER BY 1, 2, 3, 4"
    )
    assert db.execute(rolled).fetchall() == db.execute(by_slot).fetchall()
    return events


def audit_file(path: Path) -> tuple[int, ...]:
    """`audit` of a database file, and SQLite's own check of it."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return audit(db)


def outputs(db: sqlite3.Connection) -> dict[int, int]:
    """Output tokens by event id."""
    return dict(db.execute("SELECT id, output FROM event").fetchall())


def kinds(scratch: Scratch) -> dict[str, int]:
    """Diagnostics of `doctor` by kind, with their counts."""
    found: dict[str, int] = {}
    for problem in json.loads(scratch.run("doctor", "--json").stdout)["problems"]:
        found[problem["kind"]] = found.get(problem["kind"], 0) + problem["count"]
    return found


def dumps(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def read(ledger: Ledger, now_s: float) -> None:
    """Poll, walk where that is due, commit all that is new."""
    follower = ledger.follower
    if follower.poll(now_s, True) or now_s == 0.0:
        follower.walk(now_s, time.time_ns())
    while ledger.step(now_s, 1 << 62) is not None:
        pass


def collector(scratch: Scratch) -> tuple[Collector, list[Snapshot]]:
    pictures: list[Snapshot] = []
    return Collector(scratch.state, scratch.environ(), Settings(), pictures.append), pictures


def tick_until(subject: Collector, pictures: list[Snapshot], wanted: object, seconds: float = 60) -> Snapshot:
    """Tick as the collector thread does until a picture is as wanted."""
    assert callable(wanted)
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        wait_s = subject.tick()
        if pictures and wanted(pictures[-1]):
            return pictures[-1]
        time.sleep(wait_s)
    raise AssertionError(f"never came: mode {pictures[-1].mode!r}, health {pictures[-1].health}")


def bytes_in(folder: Path) -> bytes:
    """What the files of a folder hold; read anew where one was renamed meanwhile, as a running tokentop does."""
    while True:
        with suppress(FileNotFoundError):
            return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def wait_for(condition: object, seconds: float = 60) -> None:
    assert callable(condition)
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, "it never came"
        time.sleep(0.02)


def namespace_works() -> bool:
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"], capture_output=True, check=False
    )
    return done.returncode == 0


needs_namespace = pytest.mark.skipif(
    not shutil.which("unshare") or not namespace_works(), reason="user namespaces are not allowed here: NO FULL DISK TESTED"
)  # fmt: skip
