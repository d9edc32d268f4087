#!/usr/bin/env python3
"""Start a real client against the fake provider, with a scratch HOME and nothing of the caller's environment.

    AGENTS_DIR=CACHE clients.py AGENT PORT HOME [--] ARGS...

AGENT is claude, codex, or one of client_table.py. AGENTS_DIR is the folder that install_clients.sh filled. The
current folder is the project; it is marked as trusted in the client's settings. The client replaces this program,
so it keeps its process id. E2E_RUN is passed on, as a mark on all that the client starts; every proxy points at a
closed port, so that nothing but the provider can be reached.

    clients.py claude 8911 home -- -p '@@tool@@ hi' </dev/null
    clients.py codex 8911 home -- exec --skip-git-repo-check '@@tool@@ hi' </dev/null
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from client_table import TABLE, fill, prepare

CLAUDE_MODEL = "claude-sonnet-4-5"
CODEX_MODEL = "gpt-5.1-codex"
CLAUDE_KEY = "sk-ant-fake-key-00000000000000"

CODEX_CONFIG = """\
model = "{model}"
model_provider = "fake"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.fake]
name = "fake"
base_url = "http://127.0.0.1:{port}/v1"
env_key = "FAKE_API_KEY"
wire_api = "responses"
request_max_retries = 2
"""


def prepare_claude(home: Path, project: Path) -> None:
    """Settings that skip the first-start dialogs; Bash and Agent may run, other tools ask."""
    path = home / ".claude.json"
    settings = json.loads(path.read_text()) if path.exists() else {"numStartups": 3, "theme": "dark"}
    if str(project) in settings.get("projects", {}):
        return
    settings |= {"hasCompletedOnboarding": True, "autoUpdates": False}
    settings["customApiKeyResponses"] = {"approved": [CLAUDE_KEY[-20:]], "rejected": []}
    trusted = {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True, "allowedTools": []}
    settings.setdefault("projects", {})[str(project)] = trusted
    path.write_text(json.dumps(settings))
    folder = home / ".claude"
    folder.mkdir(exist_ok=True)
    if not (folder / "settings.json").exists():
        (folder / "settings.json").write_text(
            json.dumps({"permissions": {"allow": ["Bash", "Read", "Agent", "Task"]}})
        )


def prepare_codex(home: Path, project: Path, port: int) -> None:
    path = home / ".codex" / "config.toml"
    path.parent.mkdir(exist_ok=True)
    text = path.read_text() if path.exists() else CODEX_CONFIG.format(model=CODEX_MODEL, port=port)
    trusted = f'[projects."{project}"]\ntrust_level = "trusted"\n'
    if trusted not in text:
        path.write_text(text + trusted)


def environment(cache: Path, home: Path, port: int, agent: str) -> dict[str, str]:
    """The client's whole environment."""
    path = f"{cache}/node/node_modules/.bin:/usr/local/bin:/usr/bin:/bin"
    env = {
        "HOME": str(home),
        "PATH": path,
        "TERM": os.environ.get("TERM") or "xterm-256color",
        "LANG": "C.UTF-8",
        "SHELL": "/bin/bash",
        "USER": "dev",
        "E2E_RUN": os.environ.get("E2E_RUN", ""),
        "DO_NOT_TRACK": "1",
        "DISABLE_TELEMETRY": "1",
        "NO_UPDATE_NOTIFIER": "1",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
    for name in ("TMUX", "TMUX_PANE"):
        if name in os.environ:
            env[name] = os.environ[name]
    if agent in TABLE:
        return env
    if agent == "codex":
        return env | {"FAKE_API_KEY": "fake"}
    return env | {
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}",
        "ANTHROPIC_API_KEY": CLAUDE_KEY,
        "IS_SANDBOX": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_BUG_COMMAND": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }


def program(cache: Path, agent: str) -> Path:
    """Where a client's program is, if it is installed."""
    return cache / (TABLE[agent].program if agent in TABLE else f"{agent}/node_modules/.bin/{agent}")


def run_other(agent: str, cache: Path, home: Path, port: int, args: list[str]) -> None:
    """Become a client of the table."""
    client = TABLE[agent]
    values = {"port": str(port), "home": str(home), "project": str(Path.cwd()), "key": client.key}
    env = environment(cache, home, port, agent)
    env |= {name: fill(value, values) for name, value in client.env.items()}
    start = [str(program(cache, agent))]
    if client.on_node:
        start = [str(cache / "node" / "node_modules" / ".bin" / "node"), *start]
    done = home / f".{agent}-is-set-up"
    if client.first and not done.exists():
        first = [fill(word, values) for word in client.first]
        subprocess.run([*start, *first], env=env, stdin=subprocess.DEVNULL, timeout=60, check=True)
        done.touch()
    prepare(client, home, values)
    os.execve(start[0], [*start, *(fill(word, values) for word in client.arguments), *args], env)


def main() -> None:
    known = ("claude", "codex", *TABLE)
    if len(sys.argv) < 4 or sys.argv[1] not in known or not os.environ.get("AGENTS_DIR"):
        sys.exit(__doc__)
    agent, port, home = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]).absolute()
    args = sys.argv[5:] if sys.argv[4:5] == ["--"] else sys.argv[4:]
    cache = Path(os.environ["AGENTS_DIR"]).absolute()
    home.mkdir(parents=True, exist_ok=True)
    project = Path.cwd()
    if agent in TABLE:
        run_other(agent, cache, home, port, args)
    if agent == "claude":
        prepare_claude(home, project)
        args = ["--model", CLAUDE_MODEL, *args]
    else:
        prepare_codex(home, project, port)
    path = program(cache, agent)
    os.execve(path, [str(path), *args], environment(cache, home, port, agent))


if __name__ == "__main__":
    main()
