"""A small world for the end-to-end tests: a scratch HOME, a provider with its ledger, real clients, tokentop.

Everything that a world starts carries its own mark in the environment (`E2E_RUN`), so that the whole of it,
tool shells in sessions of their own and daemons included, is found and ended by process id.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import clients
from client_table import TABLE
from processes import Timeout, alive, end_marked, marked, until

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
AGENTS_DIR = Path(os.environ.get("AGENTS_DIR") or ROOT / ".cache" / "agents").absolute()
COLUMNS, LINES = 160, 50


class World:
    """One scratch HOME and all that runs in it."""

    def __init__(self) -> None:
        self.dir = Path(tempfile.mkdtemp(prefix="tt-e2e-")).resolve()
        self.home = self.dir / "home"
        self.state = self.dir / "state"
        self.config = self.dir / "config.toml"
        for folder in (".claude/projects", ".codex/sessions"):  # the clients have been used before
            (self.home / folder).mkdir(parents=True)
        self.config.touch()
        (self.dir / "tmux.conf").write_text("set -g remain-on-exit on\n")  # shows what a program said last
        self.mark = uuid.uuid4().hex[:12]
        self.socket = f"tt-e2e-{self.mark}"
        self.started: list[subprocess.Popen[bytes]] = []
        self.marks: list[str] = []
        self.ledger_path = self.dir / "ledger.jsonl"
        self.port = self._start_provider()

    def close(self) -> None:
        """End all that was started here and remove the folder."""
        self.tmux("kill-server", check=False)
        for mark in self.marks:
            end_marked(mark)
        for process in self.started:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if process.stdout:
                process.stdout.close()
        end_marked(self.mark)
        shutil.rmtree(self.dir, ignore_errors=True)

    def _spawn(self, argv: list[str], mark: str, **options: Any) -> subprocess.Popen[bytes]:
        env = dict(os.environ) | {"E2E_RUN": mark, "AGENTS_DIR": str(AGENTS_DIR)}
        process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, start_new_session=True, **options)
        self.started.append(process)
        return process

    def _start_provider(self) -> int:
        argv = [sys.executable, str(HERE / "fake_provider.py"), "--ledger", str(self.ledger_path)]
        process = self._spawn(argv, self.mark, stdout=subprocess.PIPE)
        assert process.stdout
        return int(process.stdout.readline().rsplit(b":", 1)[1])

    # -- clients

    def project(self, name: str) -> Path:
        """A project folder (a git repository) that both clients trust."""
        folder = self.dir / "src" / name
        if not folder.exists():
            folder.mkdir(parents=True)
            subprocess.run(["git", "init", "-q"], cwd=folder, check=True, capture_output=True)
            clients.prepare_claude(self.home, folder)
            clients.prepare_codex(self.home, folder, self.port)
        return folder

    def _client(self, agent: str, args: Iterable[str]) -> list[str]:
        return [sys.executable, str(HERE / "clients.py"), agent, str(self.port), str(self.home), "--", *args]

    def kill(self, pid: int) -> None:
        """End a process that this world started with KILL, and wait until it is gone."""
        os.kill(pid, signal.SIGKILL)
        until(f"end of {pid}", lambda: not alive(pid), 5)

    def interrupt(self, client: Client) -> None:
        """INT to a headless client while its tool runs (all its calls are then logged); wait for the end."""
        until("a tool call", lambda: len(client.processes()) > 1, 20, client.said)
        os.kill(client.pid, signal.SIGINT)
        client.finish(20)

    def new_mark(self) -> str:
        self.marks.append(f"{self.mark}-{len(self.marks)}")
        return self.marks[-1]

    def headless(self, agent: str, project: str, prompt: str, *args: str) -> Client:
        """Start a client without its screen; `args` are resume, fork and the like."""
        folder, mark = self.project(project), self.new_mark()
        start = {"claude": ["-p", prompt, *args], "codex": ["exec", "--skip-git-repo-check", *args, prompt]}
        start |= {name: [*client.run(prompt), *args] for name, client in TABLE.items()}
        out = self.dir / f"{mark}.out"
        with out.open("wb") as file:
            process = self._spawn(
                self._client(agent, start[agent]), mark, cwd=folder, stdout=file, stderr=subprocess.STDOUT
            )
        return Client(self, agent, folder, mark, process.pid, process=process, out=out)

    def tui(
        self, agent: str, project: str, *args: str, lines: int = 40, below_a_shell: bool = False
    ) -> Client:
        """Start the client's own screen in a tmux session named like the project.

        `below_a_shell`: below a shell, which is then the client's `pid` and holds the terminal afterwards.
        """
        folder, mark = self.project(project), self.new_mark()
        env = {"E2E_RUN": mark, "AGENTS_DIR": str(AGENTS_DIR), "PATH": os.environ["PATH"]}
        argv = self._client(agent, args)
        if below_a_shell:
            argv = ["bash", "-c", 'trap : INT; "$@"; exec sleep infinity', "bash", *argv]
        pid = self.pane(project, argv, folder, env, 120, lines)
        return Client(self, agent, folder, mark, pid, pane=project)

    # -- terminals

    def tmux(self, *args: str, check: bool = True) -> str:
        done = subprocess.run(
            ["tmux", "-L", self.socket, "-f", str(self.dir / "tmux.conf"), *args],
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"tmux {args[0]}: {done.stderr.strip()}")
        return done.stdout

    def pane(
        self, name: str, argv: list[str], cwd: Path, env: dict[str, str], columns: int, lines: int
    ) -> int:
        """Run `argv` in a tmux session of that name; returns its process id. The pane outlives it."""
        words = ["env", "-i", *(f"{k}={v}" for k, v in env.items())]
        place = 'TMUX="$TMUX" TMUX_PANE="$TMUX_PANE"'
        command = f"exec {shlex.join(words)} {place} {shlex.join(argv)}"
        size = ["-x", str(columns), "-y", str(lines)]
        self.tmux("new-session", "-d", "-s", name, *size, "-c", str(cwd), command)
        self.tmux(
            "resize-window", "-t", f"={name}:", *size
        )  # without it another session's start may resize it
        told = lambda: self.tmux("display-message", "-p", "-t", f"={name}:", "#{pane_pid}").strip()  # noqa: E731
        return int(until("the process of the pane", told, 5))

    def screen(self, name: str) -> str:
        return self.tmux("capture-pane", "-p", "-t", f"={name}:")

    def type(self, name: str, text: str) -> None:
        self.tmux("send-keys", "-t", f"={name}:", "-l", text)
        time.sleep(0.5)  # a text and an Enter in one burst count as a paste, which is not submitted
        self.key(name, "Enter")

    def key(self, name: str, *keys: str) -> None:
        for key in keys:
            self.tmux("send-keys", "-t", f"={name}:", key)

    def line_with(self, *words: str, seconds: float = 20, name: str = "tokentop") -> str:
        """The first line of a screen that holds all `words`, as soon as there is one."""

        def probe() -> str | None:
            lines = self.screen(name).splitlines()
            return next((line for line in lines if all(word in line for word in words)), None)

        return until(f"a line with {words}", probe, seconds, lambda: self.screen(name))

    def shows(self, name: str, *texts: str, seconds: float = 20) -> str:
        """Wait until the screen holds all `texts`; return it."""

        def probe() -> str | None:
            screen = self.screen(name)
            return screen if all(t in screen for t in texts) else None

        return until(f"screen {name} shows {texts}", probe, seconds, lambda: self.screen(name))

    # -- what was billed, what the agents say

    def ledger(
        self, session: str | None = None, api: str | None = None, key: str | None = None
    ) -> list[dict[str, Any]]:
        """The billed calls so far, of one session (sub-agents of Claude Code included), API or key, or all."""
        if not self.ledger_path.exists():
            return []
        rows = [json.loads(line) for line in self.ledger_path.read_text().splitlines()]
        rows = [r for r in rows if session is None or r["session"] == session]
        rows = [r for r in rows if key is None or r["key"] == key]
        return [r for r in rows if api is None or r["api"] == api]

    def logged_ledger(self) -> list[dict[str, Any]]:
        """The ledger without the calls that leave no trace in any log (the title calls of Codex's screen)."""
        logged = self.logged_sessions()
        return [r for r in self.ledger() if r["session"] in logged]

    def streaming(self, *, tools: bool = False) -> int:
        """How many calls the provider is answering now; with `tools` those that offer some: titles do not."""
        with contextlib.suppress(OSError):
            return int(self.ledger_path.with_suffix(".open").read_text().split()[tools])
        return 0

    def registry(self, pid: int) -> dict[str, Any]:
        """Claude Code's own entry for a process; {} while there is none."""
        with contextlib.suppress(OSError, ValueError):
            return dict(json.loads((self.home / ".claude" / "sessions" / f"{pid}.json").read_text()))
        return {}

    def daemon_pid(self) -> int | None:
        """The process id of Codex's daemon, as its pid file says."""
        path = self.home / ".codex" / "app-server-daemon" / "daemon.pid"
        with contextlib.suppress(OSError, ValueError, KeyError):
            return int(json.loads(path.read_text())["pid"])
        return None

    # -- tokentop

    def tokentop_env(self) -> dict[str, str]:
        env = {"HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "UTC"}
        env |= {"TOKENTOP_STATE_DIR": str(self.state), "TOKENTOP_CONFIG": str(self.config)}
        env |= {"TERM": "xterm-256color", "E2E_RUN": self.mark, "COLORTERM": "truecolor"}
        paths = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        return env | {"PYTHONPATH": os.pathsep.join(p for p in paths if p)}

    def run(
        self, *args: str, ok: Iterable[int] = (0,), seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run one tokentop command to its end; an exit status outside `ok` fails."""
        argv = [sys.executable, "-m", "tokentop", *args]
        done = subprocess.run(
            argv,
            env=self.tokentop_env(),
            cwd=self.dir,
            capture_output=True,
            text=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode in ok, f"{args} exits {done.returncode}: {done.stderr}\n{done.stdout}"
        return done

    def json(self, *args: str, ok: Iterable[int] = (0,)) -> dict[str, Any]:
        return dict(json.loads(self.run(*args, "--json", ok=ok).stdout))

    def rows(self) -> list[dict[str, Any]]:
        """The rows of one snapshot, all levels of the tree."""
        return list(self.json()["rows"])

    def row(self, session: str) -> dict[str, Any]:
        """The row of that session in a new snapshot; {} if there is none."""
        return next((dict(r) for r in self.rows() if r["session"] == session), {})

    def row_when(
        self, session: str, what: str, test: Callable[[dict[str, Any]], bool], seconds: float = 20
    ) -> dict[str, Any]:
        """The row of that session as soon as `test` holds of it."""
        last: dict[str, Any] = {}

        def probe() -> dict[str, Any] | None:
            last.clear()
            last.update(self.row(session))
            return dict(last) if last and test(last) else None

        return until(f"{session}: {what}", probe, seconds, lambda: json.dumps(last, indent=1))

    def logged_sessions(self) -> set[str]:
        """Ids of the sessions whose logs stand in this world's HOME."""
        claude = {path.stem for path in (self.home / ".claude" / "projects").glob("*/*.jsonl")}
        rollouts = (self.home / ".codex" / "sessions").glob("*/*/*/rollout-*.jsonl")
        return claude | {path.stem[-36:] for path in rollouts}

    def usage(self, by: str) -> dict[str, dict[str, Any]]:
        """What `tokentop usage` reports of this world, by agent or session, in the terms of `billing.billed`.

        tokentop also reads the profile of any other agent that runs on the machine: those are left out.
        """
        report = self.json("usage", "--by", "agent", "--by", "session")
        assert report["schema"] == "tokentop.usage/1"
        assert not report["health"]["errors"], report["health"]
        mine, groups = self.logged_sessions(), dict[str, dict[str, Any]]()
        for row in report["rows"]:
            root = row["session"].partition("/")[0]
            if root not in mine:
                continue
            assert not row.get("estimated"), row
            figures = {**row["tokens"], "responses": row["responses"], "cost": Decimal(row["cost_usd"])}
            group = groups.setdefault(row["agent"] if by == "agent" else root, dict.fromkeys(figures, 0))
            for name, value in figures.items():
                group[name] += value
        return {name: group for name, group in groups.items() if any(group.values())}

    def sums(self, agent: str) -> dict[str, Any]:
        """What `tokentop usage` reports of an agent's sessions in this world's projects."""
        projects = {path.name for path in (self.dir / "src").iterdir()}
        report = self.json("usage", "--by", "agent", "--by", "project")
        assert not report["health"]["errors"], report["health"]
        rows = [r for r in report["rows"] if r["agent"] == agent and r["project"] in projects]
        sums: dict[str, Any] = {"responses": 0, "unknown_calls": 0, "estimated": False}
        for row in rows:
            sums["estimated"] |= bool(row.get("estimated"))
            for name in ("responses", "unknown_calls"):
                sums[name] += row.get(name) or 0
            for name, value in row["tokens"].items():
                sums[name] = sums.get(name, 0) + value
        return sums

    def row_of(self, client: Client) -> dict[str, Any]:
        """The row of a client with a process, by its agent and folder, in a new snapshot; {} if there is none."""
        rows = [r for r in self.rows() if r["kind"] == "agent" and r["agent"] == client.agent and r["pid"]]
        return next((dict(r) for r in rows if r["cwd"] == str(client.folder)), {})

    def open_tokentop(self, name: str = "tokentop") -> int:
        """The live screen in a tmux session, filtered to this world's folders; returns its process id."""
        argv = [sys.executable, "-m", "tokentop"]
        pid = self.pane(name, argv, self.dir, self.tokentop_env(), COLUMNS, LINES)
        self.shows(name, "filter")  # other agents of this machine are shown too
        self.key(name, "/")
        self.shows(name, "keep the filter")
        self.type(name, f"cwd:{self.dir.name}")
        self.shows(name, f"cwd:{self.dir.name}")
        return pid


class Client:
    """One running client."""

    def __init__(
        self,
        world: World,
        agent: str,
        folder: Path,
        mark: str,
        pid: int,
        *,
        process: subprocess.Popen[bytes] | None = None,
        pane: str = "",
        out: Path | None = None,
    ) -> None:
        self.world, self.agent, self.folder, self.mark, self.pid = world, agent, folder, mark, pid
        self.process, self.pane, self.out = process, pane, out

    def session(self, seconds: float = 30) -> str:
        """Its session id: from the registry (Claude Code), from the first rollout of its folder (Codex)."""
        if self.agent == "claude":
            entry = until("registry entry", lambda: self.world.registry(self.pid), seconds, self.said)
            return str(entry["sessionId"])
        return until("rollout", self._rollout_id, seconds, self.said)

    def _rollout_id(self) -> str | None:
        for path in sorted((self.world.home / ".codex" / "sessions").glob("*/*/*/rollout-*.jsonl")):
            with path.open() as file, contextlib.suppress(ValueError):
                meta = json.loads(file.readline())["payload"]
                if meta["cwd"] == str(self.folder) and not meta.get("parent_thread_id"):
                    return str(meta["id"])
        return None

    def finish(self, seconds: float = 90) -> int:
        """Wait for a headless run's end; returns its exit status."""
        assert self.process
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Timeout(f"{self.agent} still runs after {seconds:g} s: {self.said()}") from None

    def said(self) -> str:
        """What it printed, or shows."""
        if self.pane:
            return self.world.screen(self.pane)
        return self.out.read_text(errors="replace")[-2000:] if self.out else ""

    def processes(self) -> dict[int, str]:
        """Every live process of this client, tool shells and daemons included."""
        return marked(self.mark)
