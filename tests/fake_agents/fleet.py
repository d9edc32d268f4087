"""Forty fake agents of every make, each with what the real ones have below, beside and above them.

Every process carries FLEET in its environment: the number of the agent that it ends with, or `stays-N` where
it is not to end with agent N (the script that started it, its supervisor, a shared daemon, a nested agent's
parent, a terminal multiplexer). That is the truth that plans and receipts are held against.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from tests.fake_agents.control_socket import ControlServer, socket_path
from tests.fake_agents.world import World, codex_threads, now_ms, stat

REST = ["/bin/sh", "-c", "sleep 86400; :"]
DEAF = ["/bin/sh", "-c", "trap '' TERM INT; sleep 86400; :"]
PIPES = ["/bin/sh", "-c", "sleep 86400 | cat | cat; :"]
TREE = ["/bin/sh", "-c", "/bin/sh -c 'sleep 86400 & sleep 86401 & wait' & sleep 86402; wait"]
FORKS = [
    *("/bin/sh", "-c"),
    "trap 'setsid sleep 86400 & setsid sleep 86401 &' TERM; while :; do sleep 86402 & wait $!; done",
]
LEAVES = ["/bin/sh", "-c", "setsid sleep 86400 & exit 0"]
TMUX = ["/bin/bash", "-c", "exec -a 'tmux: server' sleep 86400"]
CLAUDE = (("TERM", 5.0), ("KILL", 2.0))
ONCE = (("INT", 2.0), ("TERM", 5.0), ("KILL", 2.0))


class Member(Struct):
    """One agent of the fleet. `ladder` is what a terminate may use, `obeys` what it dies of."""

    number: int
    kind: str
    session: str
    ready: Path
    agent: str = "claude"
    ladder: tuple[tuple[str, float], ...] = CLAUDE
    obeys: tuple[str, ...] = ("TERM",)
    result: str = "ended"
    turn: bool = False  # its turn runs in a daemon, and is asked to stop first
    daemon: str = ""  # FLEET of that daemon
    stop_command: bool = False
    frozen: bool = False
    wanders: bool = False  # what is below it forks while it is being ended
    pid: int = 0

    @property
    def tag(self) -> str:
        return str(self.number)

    @property
    def stays(self) -> str:
        return f"stays-{self.number}"

    def is_up(self) -> bool:
        if not self.pid and self.ready.exists():
            self.pid = json.loads(self.ready.read_text())["pid"]
            if self.frozen:
                os.kill(self.pid, signal.SIGSTOP)
        return bool(self.pid)

    def signals(self) -> list[str]:
        """The signals that a terminate sends to the target, in order."""
        found: list[str] = []
        for name, _ in self.ladder:
            found.append(name)
            if self.frozen and name != "KILL":
                found.append("CONT")
            if name in (*self.obeys, "KILL"):
                break
        return found


class Fleet:
    """The members that live now, and what else runs in their world."""

    def __init__(self, world: World, dice: random.Random) -> None:
        self.world, self.dice = world, dice
        self.members: dict[int, Member] = {}
        self.numbers = 0
        self.servers: list[ControlServer] = []
        self.kinds: dict[str, Callable[[Member], None]] = {
            name.removeprefix("make_"): getattr(self, name) for name in dir(self) if name.startswith("make_")
        }
        for folder in (
            ".factory",
            ".copilot",
            ".pi/agent",
            ".claude/jobs",
        ):  # these agents have been used before
            (world.home / folder).mkdir(parents=True, exist_ok=True)

    def grow(self, kind: str = "") -> list[Member]:
        """One more agent, or a daemon with three."""
        kind = kind or self.dice.choice(sorted(self.kinds))
        before = set(self.members)
        if kind == "daemon":
            self._daemon_group()
        else:
            self.kinds[kind](self._member(kind))
        return [self.members[number] for number in self.members.keys() - before]

    def bystanders(self) -> None:
        """Programs that only look like agents."""
        for name in ("vim", "tail", "grep", "less"):
            script = f'exec -a {name} sleep 86400 & exec -a {name} python3 -c "import time; time.sleep(86400)" claude'
            self._run(["/bin/bash", "-c", script], "bystander")
        self._run(["/bin/bash", "-c", "echo claude >/dev/null; sleep 86400; :", "claude", "-p"], "bystander")
        self._run(["/bin/sh", "-c", "sleep 86400 & sleep 86401; :", "codex exec"], "bystander")

    def table(self) -> dict[int, tuple[int, str]]:
        """Every live process of this world: pid -> (start ticks, its FLEET)."""
        found: dict[int, tuple[int, str]] = {}
        mark = f"WORLD={self.world.token}".encode()
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            with contextlib.suppress(OSError, IndexError):
                words = Path(f"/proc/{name}/environ").read_bytes().split(b"\0")
                if mark not in words:
                    continue
                fields = stat(int(name))
                if fields[0] not in "ZX":
                    tag = next((word[6:].decode() for word in words if word.startswith(b"FLEET=")), "")
                    found[int(name)] = int(fields[19]), tag
        return found

    def remove(self, member: Member) -> None:
        """Clear away what is meant to outlive a member, and reap; a daemon goes with its last session."""
        del self.members[member.number]
        tags = {member.tag, member.stays}
        if member.daemon not in {other.daemon for other in self.members.values()}:
            tags.add(member.daemon)
        while left := [pid for pid, (_, tag) in self.table().items() if tag in tags]:
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
        for process in self.world.processes:
            process.poll()

    def close(self) -> None:
        for server in self.servers:
            server.close()

    # ------------------------------------------------------------ parts

    def _member(self, kind: str) -> Member:
        self.numbers += 1
        member = Member(self.numbers, kind, str(uuid.uuid4()), self.world.work / f"up-{self.numbers}")
        self.members[member.number] = member
        return member

    def _run(self, argv: list[str], tag: str, **env: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            argv,
            env=self.world.env(FLEET=tag, **env),
            cwd=self.world.work,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if argv[0] == "/bin/sh" else None,  # it says who was killed
            start_new_session=True,
        )
        self.world.processes.append(process)
        return process

    def _start(self, member: Member, argv: list[str], spec: dict, **env: str) -> None:
        """Run a fake under its name; `up` is written by the process that is the agent."""
        leaf = spec
        while "worker" in leaf:
            leaf = leaf["worker"]
        leaf["ready"] = str(member.ready)
        program = self.world.program(argv[0])
        self._run([program, *argv[1:]], member.tag, FAKE_AGENT=json.dumps(spec), **env)

    def _tool(self, member: Member, argv: list[str], **more: object) -> dict:
        marks = {"CLAUDE_CODE_SESSION_ID": member.session, "CLAUDE_PID": "$PID"}
        return {"argv": argv, "env": marks, "setsid": True} | more

    def _claude(
        self,
        member: Member,
        *args: str,
        children: Sequence[dict] = (),
        fields: dict | None = None,
        **spec: object,
    ) -> None:
        registry = self.world.registry(member.session, **(fields or {}))
        self._start(member, ["claude", *args], {"registry": registry, "children": list(children)} | spec)

    def _rollout(self, session: str) -> str:
        path = self.world.home / f".codex/sessions/2026/11/21/rollout-2026-11-21T10-00-00-{session}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        return str(path)

    # ------------------------------------------------------------ Claude Code

    def make_claude_with_tool(self, member: Member) -> None:
        self._claude(member, children=[self._tool(member, REST)])

    def make_claude_with_tool_tree(self, member: Member) -> None:
        self._claude(member, children=[self._tool(member, TREE), self._tool(member, PIPES)])

    def make_claude_ignores_term(self, member: Member) -> None:
        member.obeys = ()
        self._claude(member, children=[self._tool(member, REST)], ignore=["TERM", "INT"])

    def make_claude_with_deaf_tool(self, member: Member) -> None:
        self._claude(member, children=[self._tool(member, DEAF)])

    def make_claude_with_forking_tool(self, member: Member) -> None:
        member.wanders = True
        self._claude(member, children=[self._tool(member, FORKS)])

    def make_claude_with_left_tool(self, member: Member) -> None:
        self._claude(member, children=[self._tool(member, LEAVES), self._tool(member, REST)], reap=True)

    def make_claude_with_servers(self, member: Member) -> None:
        server = {"argv": ["/bin/sleep", "86400"], "pipes": True}
        self._claude(member, children=[server, server, self._tool(member, REST)])

    def make_claude_print(self, member: Member) -> None:
        member.ladder, member.obeys = ONCE, ("INT", "TERM")
        self._claude(
            member, "-p", "hi", children=[self._tool(member, REST)], fields={"entrypoint": "sdk-cli"}
        )

    def make_claude_print_ignores_int(self, member: Member) -> None:
        member.ladder = ONCE
        self._claude(member, "-p", "hi", fields={"entrypoint": "sdk-cli"}, ignore=["INT"])

    def make_claude_frozen(self, member: Member) -> None:
        member.frozen = True
        self._claude(member, children=[self._tool(member, REST)])

    def make_claude_with_multiplexer(self, member: Member) -> None:
        """A terminal multiplexer that a tool has started holds other people's shells."""
        tmux = self._tool(member, TMUX)
        tmux["env"]["FLEET"] = member.stays
        self._claude(member, children=[tmux, self._tool(member, REST)])

    def make_claude_in_script(self, member: Member) -> None:
        """The script shares the group of the agent and goes on; it reaps nothing while it sleeps."""
        document = {"registry": self.world.registry(member.session), "ready": str(member.ready)}
        program = self.world.program("claude")
        script = f"FLEET={member.tag} {program} & sleep 86400; :"
        self._run(["/bin/sh", "-c", script], member.stays, FAKE_AGENT=json.dumps(document))

    def make_claude_in_background(self, member: Member) -> None:
        """Supervised: only its own stop command ends it."""
        name = f"{member.number:08x}"
        job = self.world.home / ".claude/jobs" / name
        job.mkdir(parents=True)
        (job / "state.json").write_text(json.dumps({"state": "working"}))
        member.stop_command = True
        fields = {"kind": "bg", "jobId": name}
        self._claude(
            member, "--session-id", member.session, fields=fields, children=[self._tool(member, REST)],
            note=str(job / "worker"),
        )  # fmt: skip

    def make_claude_respawned(self, member: Member) -> None:
        """A loop that nobody knows of starts the same session again."""
        member.result = "respawned"
        document = {"registry": self.world.registry(member.session), "ready": str(member.ready)}
        program = self.world.program("claude")
        loop = f"while :; do FLEET={member.tag} {program} --session-id {member.session}; sleep 0.1; done"
        self._run(["/bin/sh", "-c", loop], member.stays, FAKE_AGENT=json.dumps(document))

    def make_claude_with_nested_codex(self, member: Member) -> None:
        """Ends with what its tool has started, agents too."""
        inner = {"open": [self._rollout(str(uuid.uuid4()))]}
        shell = ["/bin/sh", "-c", f"{self.world.program('codex')} exec review; :"]
        tool = self._tool(member, shell)
        tool["env"] |= {"FAKE_AGENT": json.dumps(inner)}
        self._claude(member, children=[tool])

    def make_codex_nested(self, member: Member) -> None:
        """The inner one of two is the target: its parent and the tool shell above it go on."""
        member.agent, member.ladder, member.obeys = "codex", ONCE, ("INT", "TERM")
        outer = str(uuid.uuid4())
        inner = {"open": [self._rollout(member.session)], "ready": str(member.ready)}
        codex = self.world.program("codex")
        shell = ["/bin/sh", "-c", f"FLEET={member.tag} {codex} exec review; sleep 86400; :"]
        tool = {
            "argv": shell, "setsid": True,
            "env": {"CLAUDE_CODE_SESSION_ID": outer, "FAKE_AGENT": json.dumps(inner)},
        }  # fmt: skip
        document = {"registry": self.world.registry(outer), "children": [tool]}
        self._run([self.world.program("claude")], member.stays, FAKE_AGENT=json.dumps(document))

    # ------------------------------------------------------------ Codex

    def make_codex_exec(self, member: Member) -> None:
        member.agent, member.ladder, member.obeys = "codex", ONCE, ("INT", "TERM")
        tool = {"argv": REST, "env": {"CODEX_THREAD_ID": member.session}, "setsid": True}
        self._start(
            member, ["codex", "exec", "go"], {"open": [self._rollout(member.session)], "children": [tool]}
        )

    def make_codex_behind_launcher(self, member: Member) -> None:
        """The launcher is deaf, and leaves its worker unreaped."""
        member.agent, member.ladder, member.obeys = "codex", ONCE, ("INT", "TERM")
        package = "node_modules/@openai/codex"
        worker = self.world.program(f"{package}/vendor/x86_64-unknown-linux-musl/bin/codex")
        spec = {
            "ignore": ["INT", "TERM"],
            "spawn": [worker],
            "worker": {"open": [self._rollout(member.session)]},
        }
        self._start(member, [f"{package}/bin/codex.js", "exec", "go"], spec)

    def make_daemon(self, member: Member) -> None:
        raise AssertionError("made as a group")

    def _daemon_group(self) -> None:
        """Three terminal clients of one daemon, which has the tools; a home of its own for each daemon."""
        group = [self._member("daemon") for _ in range(3)]
        name = f"daemon-{group[0].number}"
        home = self.world.home / f"codex-{group[0].number}"
        rollouts = codex_threads(home, [(m.session, str(self.world.work), now_ms()) for m in group])
        tools = [
            {"argv": REST, "env": {"CODEX_THREAD_ID": m.session, "FLEET": m.tag}, "setsid": True}
            for m in group
        ]
        self.servers.append(ControlServer(socket_path(home, ""), *(m.session for m in group)))
        daemon = {"open": rollouts, "children": tools}
        self._run(
            [self.world.program("codex"), "app-server", "--listen", "unix://"], name,
            CODEX_HOME=str(home), FAKE_AGENT=json.dumps(daemon),
        )  # fmt: skip
        for member in group:
            member.agent, member.turn, member.daemon = "codex", True, name
            self._start(member, ["codex", "resume", member.session], {}, CODEX_HOME=str(home))

    # ------------------------------------------------------------ others

    def make_gemini(self, member: Member) -> None:
        """No registry and no log: a row without a session, bound to its process alone."""
        member.agent = "gemini"
        tool = {"argv": REST, "env": {"GEMINI_CLI": "1"}, "setsid": True}
        worker = {"children": [tool]}
        env = {"GEMINI_CLI_NO_RELAUNCH": "true"}
        ignore = self.dice.choice([[], ["INT", "TERM"]])
        program = self.world.program("gemini")
        self._start(
            member, ["gemini", "-p", "hi"],
            {"ignore": ignore, "spawn": [program], "worker": worker, "env": env, "reap": True},
        )  # fmt: skip

    def make_qwen(self, member: Member) -> None:
        """Three deep; the innermost is the agent."""
        member.agent = "qwen"
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        entry = {"pid": "$PID", "sessionId": member.session, "procStart": f"{boot}:$START"}
        inner = {"registry": {str(self.world.home / ".qwen/sessions/$PID.json"): entry}}
        program = self.world.program("qwen")
        middle = {"spawn": [program], "worker": inner, "reap": True}
        self._start(member, ["qwen", "-p", "hi"], {"spawn": [program], "worker": middle, "reap": True})

    def make_opencode_run(self, member: Member) -> None:
        member.agent = "opencode"
        tool = {"argv": REST, "env": {"OPENCODE_PID": "$PID"}, "setsid": True}
        self._start(member, ["opencode", "run", "hi"], {"ignore": ["INT"], "children": [tool]})

    def make_copilot(self, member: Member) -> None:
        """The worker holds a file of its session open."""
        member.agent = "copilot"
        folder = self.world.home / ".copilot/session-state" / member.session
        folder.mkdir(parents=True)
        worker = {"open": [str(folder / "inuse.$PID.hold")], "children": [{"argv": REST, "setsid": True}]}
        program = self.world.program("copilot")
        self._start(member, ["copilot", "-p", "hi"], {"spawn": [program], "worker": worker})

    def make_droid(self, member: Member) -> None:
        member.agent, member.ladder = "droid", (("TERM", 8.0), ("KILL", 2.0))
        self._start(member, ["droid", "exec", "hi"], {"linger_s": 0.5, "children": [{"argv": REST}]})

    def make_pi(self, member: Member) -> None:
        member.agent = "pi"
        self._start(member, ["pi"], {"children": [{"argv": PIPES}]})
