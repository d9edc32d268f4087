"""Shows the terminal that an agent runs in. Blocks for as long as other programs take to answer.

A request goes only to a place that is proven to be on the agent's own tty: pane and window numbers in an
environment are inherited and reused. What cannot be done is said in one line.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from tokentop.nouns.actions import Jump
from tokentop.nouns.processes import AgentProc, ProcRole, Terminal
from tokentop.procs.panes import Pane, find, list_panes, tmux
from tokentop.procs.probe import default_probe
from tokentop.procs.requests import RequestError, run
from tokentop.procs.terminals import place_text
from tokentop.text import clean

_ANSWER_S = 3.0
_ENDED = "its process has ended"
_KITTY_HELP = "set allow_remote_control and listen_on in kitty.conf"


def jump(proc: AgentProc, environ: Mapping[str, str]) -> Jump:
    """Bring the terminal of `proc` to the front; `environ` is that of tokentop. Never raises for what it meets."""
    now = default_probe().ident(proc.ident.pid)
    if now is None or now.start_ticks != proc.ident.start_ticks:
        return Jump(_ENDED)
    if proc.role is ProcRole.DAEMON:
        return Jump("it lives in a daemon without a terminal: open it with its resume command (y)")
    if not proc.tty:
        return Jump("it has no terminal: it runs in the background")
    said = ""
    for terminal in proc.terminals:
        try:
            found = _try(terminal, proc, environ)
        except RequestError as error:
            said = said or f"it is in {place_text(proc)}: {error}"
            continue
        if found is not None:
            return found
    return Jump(said or f"it is in {place_text(proc)}: that terminal takes no requests, go there by hand")


def _try(terminal: Terminal, proc: AgentProc, environ: Mapping[str, str]) -> Jump | None:
    """None = the process is not there, or it is a terminal without requests. Raises RequestError."""
    if terminal.kind == "tmux":
        return _tmux(terminal, proc, environ)
    if terminal.kind == "kitty":
        return _kitty(terminal, proc)
    if terminal.kind == "wezterm":
        return _wezterm(terminal, proc)
    if terminal.kind == "zellij":
        return _by_hand(proc, ("zellij", "attach", terminal.place))
    if terminal.kind == "screen":
        return _by_hand(proc, ("screen", "-x", terminal.place))
    return None


def _by_hand(proc: AgentProc, argv: tuple[str, ...]) -> Jump:
    command = shlex.join(argv)
    return Jump(f"it is in {place_text(proc)}: `{command}` shows it", copy=command)


# ---------------------------------------------------------------- tmux


def _tmux(terminal: Terminal, proc: AgentProc, environ: Mapping[str, str]) -> Jump | None:
    socket = terminal.server
    pane = find(list_panes(socket), terminal.place, proc.tty)
    if pane is None:
        return None
    own = own_session(socket, environ)
    clients = _clients(socket)
    here = max((c for c in clients if own and c[2] == own), default=None)
    elsewhere = max((c for c in clients if c[2] == pane.session), default=None)
    if here is None and elsewhere is None:
        return _without_client(socket, pane, environ)
    tmux(socket, "select-window", "-t", f"{pane.session}:{pane.window}")
    tmux(socket, "select-pane", "-t", pane.pane)
    if here is not None:
        if pane.session != own:
            tmux(socket, "switch-client", "-c", here[1], "-t", pane.session)
        return Jump(f"tmux {pane.name}", done=True)
    assert elsewhere is not None
    return Jump(f"tmux {pane.name} is now shown on {elsewhere[1].removeprefix('/dev/')}", done=True)


def own_session(socket: str, environ: Mapping[str, str]) -> str:
    """The tmux session that tokentop itself is in, where it is on the same server; else ""."""
    own, pane = environ.get("TMUX", "").rsplit(",", 2)[0], environ.get("TMUX_PANE", "")
    if not own or not pane or os.path.realpath(own) != os.path.realpath(socket):
        return ""
    with contextlib.suppress(RequestError):
        return tmux(socket, "display-message", "-p", "-t", pane, "#{session_id}").strip()
    return ""


def _clients(socket: str) -> list[tuple[int, str, str]]:
    """(last activity, tty, session) of each terminal that shows this server."""
    out = tmux(socket, "list-clients", "-F", "#{client_activity} #{client_tty} #{session_id}")
    parts = [line.split(" ") for line in out.splitlines()]
    return [(int(p[0]), p[1], p[2]) for p in parts if len(p) == 3 and p[0].isdigit() and p[1]]


def _without_client(socket: str, pane: Pane, environ: Mapping[str, str]) -> Jump:
    """Nobody looks at its session: tokentop's terminal can, unless that is a tmux pane of its own."""
    target = f"{pane.session}:{pane.window}"
    argv = ("tmux", "-S", socket, "attach-session", "-t", target)
    if not environ.get("TMUX"):
        tmux(socket, "select-pane", "-t", pane.pane)
        return Jump(f"tmux {pane.name}; detach to come back", done=True, attach=argv)
    command = shlex.join(argv)
    return Jump(f"no terminal shows tmux {pane.name}; in a terminal outside of tmux: {command}", copy=command)


def attach(argv: tuple[str, ...]) -> int:
    """Give tokentop's terminal to `argv` until it ends; its exit status. The screen must be suspended."""
    env = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")}
    try:
        return subprocess.call(argv, env=env)  # noqa: S603 - tmux, with a target that tmux itself named
    except OSError:
        return 127


# ---------------------------------------------------------------- kitty, wezterm


def _program(*names: str) -> str:
    for name in names:
        if found := shutil.which(name):
            return found
    raise RequestError(f"the program {names[0]} is not on the PATH, and only it can ask for that window")


def _kitty(terminal: Terminal, proc: AgentProc) -> Jump | None:
    if not terminal.server.startswith("unix:"):
        raise RequestError(f"kitty takes no requests: {_KITTY_HELP}")
    ask = (_program("kitten", "kitty"), "@", "--to", terminal.server)
    windows = _json(run((*ask, "ls"), _ANSWER_S))
    for os_window in _list(windows):
        for tab in _list(os_window.get("tabs")):
            for window in _list(tab.get("windows")):
                number, pid = window.get("id"), window.get("pid")
                if isinstance(number, int) and isinstance(pid, int) and _tty_of(pid) == proc.tty:
                    run((*ask, "focus-window", "--match", f"id:{number}"), _ANSWER_S)
                    return Jump(f"kitty window {number}", done=True)
    return None


def _wezterm(terminal: Terminal, proc: AgentProc) -> Jump | None:
    program = _program("wezterm")
    env = {"WEZTERM_UNIX_SOCKET": terminal.server} if terminal.server else {}
    for pane in _list(_json(run((program, "cli", "list", "--format", "json"), _ANSWER_S, env))):
        number = pane.get("pane_id")
        if isinstance(number, int) and pane.get("tty_name") == proc.tty:
            run((program, "cli", "activate-pane", "--pane-id", str(number)), _ANSWER_S, env)
            return Jump(f"wezterm pane {number}", done=True)
    return None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise RequestError(
            f"the terminal answered with something else than JSON: {clean(text, 40)}"
        ) from error


def _list(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _tty_of(pid: int) -> str:
    if sys.platform == "linux":
        from tokentop.procs import linux

        stat = linux.stat(pid)
        return linux.tty_name(stat.tty_nr) if stat else ""
    import psutil

    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).terminal() or ""
    return ""
