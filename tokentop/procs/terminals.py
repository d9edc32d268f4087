"""Which terminal a process is in, as its own environment says. Pure.

Variables are inherited: what was started from a tmux pane into a window of its own still has TMUX. So all
that are named are candidates, the innermost kind first; who acts on one compares the tty before.
"""

from __future__ import annotations

from collections.abc import Iterator

from tokentop.nouns.processes import AgentProc, Terminal
from tokentop.procs.table import Proc
from tokentop.text import clean

_PLAIN = {"vscode": "the terminal of VS Code", "Apple_Terminal": "Terminal.app", "iTerm.app": "iTerm2"}
_OWN_KINDS = frozenset({"tmux", "wezterm"})  # what these two call themselves in TERM_PROGRAM


def terminals_of(proc: Proc) -> tuple[Terminal, ...]:
    """The terminals that the environment names, the innermost kind first."""
    return tuple(_named(proc))


def _named(proc: Proc) -> Iterator[Terminal]:
    server, pane = proc.env_value("TMUX").rsplit(",", 2)[0], proc.env_value("TMUX_PANE")
    if server.startswith("/") and _is_id(pane, "%"):
        yield Terminal("tmux", server, pane)
    zellij, screen = proc.env_value("ZELLIJ_SESSION_NAME"), proc.env_value("STY")
    if zellij:
        yield Terminal("zellij", place=clean(zellij, 80))
    if screen:
        yield Terminal("screen", place=clean(screen, 80))
    window = proc.env_value("KITTY_WINDOW_ID")
    if _is_id(window):
        yield Terminal("kitty", proc.env_value("KITTY_LISTEN_ON"), window)
    pane = proc.env_value("WEZTERM_PANE")
    if _is_id(pane):
        yield Terminal("wezterm", proc.env_value("WEZTERM_UNIX_SOCKET"), pane)
    program = clean(proc.env_value("TERM_PROGRAM"), 40)
    if program and program.lower() not in _OWN_KINDS:
        yield Terminal(program)


def _is_id(text: str, prefix: str = "") -> bool:
    number = text.removeprefix(prefix)
    return text.startswith(prefix) and number.isascii() and number.isdigit() and len(number) < 10


def place_text(proc: AgentProc) -> str:
    """Where it is, in words, for a terminal that takes no requests: `zellij session web, pts/3`."""
    tty = proc.tty.removeprefix("/dev/")
    if not proc.terminals:
        return f"a terminal without a name, {tty}"
    first = proc.terminals[0]
    name = _PLAIN.get(first.kind, first.kind)
    return ", ".join(filter(None, (f"{name} session {first.place}" if first.place else name, tty)))
