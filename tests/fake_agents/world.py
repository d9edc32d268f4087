"""A scratch home with fake agents in it; everything that it starts is ended by `close()`."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from pathlib import Path

from tokentop.agents.claude.processes import PROCESSES as CLAUDE
from tokentop.agents.codex.processes import PROCESSES as CODEX
from tokentop.agents.processes import Processes, flag_value
from tokentop.nouns.actions import Receipt
from tokentop.nouns.picture import Row, Status
from tokentop.nouns.processes import AgentProc, ProcRole
from tokentop.nouns.sessions import State
from tokentop.nouns.usage import Figures
from tokentop.procs import ProcWatcher, execute
from tokentop.procs.linux import ignores
from tokentop.procs.scan import LinuxSource

AGENT = Path(__file__).parent / "agent.py"
SPECS = (CLAUDE, CODEX)
COMMON = Processes(
    agent="common", label="Common", names=("common",), common_name=True, root_dirs=(".common",)
)
TITLED = Processes(
    agent="titled",
    label="Titled",
    names=("titled", "titled-worker"),
    root_dirs=(".titled",),
    one_shot=lambda argv: "-p" in argv,
    argv_session=lambda argv: flag_value(argv, "--resume"),
)
IGNORE_TERM = ["/bin/sh", "-c", "trap '' TERM INT; while :; do sleep 0.2; done"]
SLEEP = ["/bin/sh", "-c", "sleep 600; :"]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def wait_for(holds, limit_s: float = 60.0):
    """Poll until `holds()` gives something true; an end without it fails the test."""
    end_s = time.monotonic() + limit_s
    while not (found := holds()):
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.02)
    return found


def stat(pid: int) -> list[str]:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].decode().split()


def is_alive(pid: int) -> bool:
    try:
        return stat(pid)[0] not in "ZX"
    except OSError:
        return False


def is_deaf(pid: int) -> bool:
    """It ignores TERM: a shell that is to do so has come to its `trap`."""
    return ignores(pid, signal.SIGTERM)


def start_ticks(pid: int) -> int:
    return int(stat(pid)[19])


class Fake:
    """One running fake agent."""

    def __init__(self, process: subprocess.Popen, session_id: str, ready: dict) -> None:
        self.process, self.session_id, self.children = process, session_id, ready["children"]
        self.pid = ready["pid"]


class Scoped:
    """A real source that shows only this world: real agents and other tests may run beside it."""

    def __init__(self, source, is_ours) -> None:
        self.source, self.is_ours, self.host = source, is_ours, source.host
        self.open_paths, self.listening = source.open_paths, source.listening
        self.track = source.track
        self.known: dict[tuple[int, int], bool] = {}

    def tick(self, at_ms: int) -> dict:
        table = self.source.tick(at_ms)
        for proc in table.values():
            if not self.known.get(proc.key):
                self.known[proc.key] = self.is_ours(proc.pid)
        return {pid: proc for pid, proc in table.items() if self.known[proc.key]}


class World:
    def __init__(self, tmp: Path) -> None:
        self.token = uuid.uuid4().hex
        self.home, self.bin, self.work = tmp / "home", tmp / "bin", tmp / "work"
        for folder in (self.home, self.bin, self.work):
            folder.mkdir()
        self.processes: list[subprocess.Popen] = []
        self.watch(LinuxSource(SPECS))

    def watch(self, source) -> None:
        self.watcher = ProcWatcher(SPECS, self.home, {}, lambda _: Scoped(source, self.is_ours))

    def watch_for(self, *specs: Processes) -> None:
        self.watcher = ProcWatcher(
            specs, self.home, {}, lambda specs: Scoped(LinuxSource(specs), self.is_ours)
        )

    def program(self, name: str) -> str:
        """An executable script under the agent's name; the kernel runs it as `python <path> args`."""
        path = self.bin / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"#!{sys.executable}\n{AGENT.read_text()}")
            path.chmod(0o755)
        return str(path)

    def env(self, **more: str) -> dict[str, str]:
        base = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "WORLD": self.token}
        return base | more

    def popen(self, argv: list, **env: str) -> subprocess.Popen:
        """A process in a session of its own; it is loaded and has this world's token."""
        process = subprocess.Popen(argv, env=self.env(**env), start_new_session=True)
        self.processes.append(process)
        wait_for(lambda: self.is_ours(process.pid))
        return process

    def start(
        self, argv: list[str], spec: dict | None = None, *, cwd: Path | None = None, **env: str
    ) -> Fake:
        ready = self.work / f"ready-{uuid.uuid4().hex}"
        spec = dict(spec or {}, ready=str(ready))
        process = subprocess.Popen(
            [self.program(argv[0]), *argv[1:]],
            env=self.env(FAKE_AGENT=json.dumps(spec), **env),
            cwd=cwd or self.work,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.processes.append(process)
        wait_for(ready.exists)
        return Fake(process, spec.get("session", ""), json.loads(ready.read_text()))

    def registry(self, session_id: str, **fields: object) -> dict:
        entry = {"pid": "$PID", "sessionId": session_id, "cwd": str(self.work), "procStart": "$START"}
        entry |= {"kind": "interactive", "entrypoint": "cli", "status": "busy"} | fields
        return {str(self.home / ".claude/sessions/$PID.json"): entry}

    def claude(self, *args: str, children: list[dict] | None = None, **spec: object) -> Fake:
        """A registered Claude Code; `children` get its marker unless they bring an `env` of their own."""
        session_id = str(spec.pop("session", uuid.uuid4()))
        fields = spec.pop("fields", {})
        env = spec.pop("environ", {})
        for child in children or []:
            child.setdefault("env", {"CLAUDE_CODE_SESSION_ID": session_id, "CLAUDE_PID": "$PID"})
            child.setdefault("setsid", True)
        registry = self.registry(session_id, **fields)
        document = {"session": session_id, "registry": registry, "children": children or []} | spec
        return self.start(["claude", *args], document, **env)

    def tick(self, candidates=()) -> tuple[AgentProc, ...]:
        return self.watcher.tick(now_ms(), candidates)

    def is_ours(self, pid: int) -> bool:
        try:
            return f"WORLD={self.token}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False

    def row(self, proc: AgentProc, **fields: object) -> Row:
        return row(proc.agent, proc.session_id, pid=proc.ident.pid, **fields)

    def act(self, proc: AgentProc, action, **keywords) -> Receipt:
        plan = self.watcher.plan(self.row(proc), action, now_ms())
        return execute(plan, now_ms=now_ms, agents=SPECS, **keywords)

    def ours(self) -> list[int]:
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and self.is_ours(int(name))]

    def close(self) -> None:
        """End everything that carries this world's token, and reap it.

        What was started here is known by its handle too: a process that is just being loaded has no
        environment to read yet (3 of 1,000 right after `Popen`, on two busy cores).
        """
        end_s = time.monotonic() + 30
        while time.monotonic() < end_s:
            started = {process.pid for process in self.processes if process.poll() is None}
            left = [pid for pid in started.union(self.ours()) if is_alive(pid)]
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
            for process in self.processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.01)
            if not left:
                break
            time.sleep(0.02)
        for process in self.processes:
            process.wait(30)


def row(agent: str, session_id: str, *, pid: int | None = None, key: str = "", **fields: object) -> Row:
    values = {
        "key": key or f"{agent}:{session_id}",
        "parent_key": "",
        "depth": 0,
        "kind": "agent",
        "title": "a title",
        "project": "project",
        "cwd": "/work",
        "branch": "",
        "model": "m",
        "status": Status(State.WORKING),
        "own": Figures(),
        "tree": Figures(cost_nusd=5),
        "spark": (),
        "context_used": None,
        "context_window": 0,
        "started_ms": 0,
        "last_ms": 0,
    }
    return Row(agent=agent, session_id=session_id, pid=pid, **(values | fields))


def agents(procs):
    return [proc for proc in procs if proc.role is ProcRole.AGENT]


def codex_home(world, threads):
    """The usual Codex home of a world; returns the rollouts."""
    return codex_threads(world.home / ".codex", threads)


def codex_threads(home: Path, threads):
    """A Codex home with its database and one rollout per thread; returns the rollouts."""
    folder = home / "sessions/2026/11/21"
    folder.mkdir(parents=True, exist_ok=True)
    sqlite3.connect(home / "state_4.sqlite").close()
    database = sqlite3.connect(home / "state_5.sqlite")
    database.execute(
        "CREATE TABLE threads"
        " (id TEXT, cwd TEXT, created_at INT, created_at_ms INT, source TEXT, originator TEXT)"
    )
    database.execute(
        "CREATE TABLE thread_spawn_edges (parent_thread_id TEXT, child_thread_id TEXT, status TEXT)"
    )
    for thread, cwd, created_ms in threads:
        values = (thread, cwd, created_ms // 1000, created_ms, "vscode", "codex-tui")
        database.execute("INSERT INTO threads VALUES (?,?,?,?,?,?)", values)
    database.commit()
    database.close()
    return [str(folder / f"rollout-2026-11-21T10-00-00-{thread}.jsonl") for thread, _, _ in threads]
