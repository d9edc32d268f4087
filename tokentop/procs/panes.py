"""The panes of tmux servers. A server is named by its socket; each call asks tmux itself."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from tokentop.procs.requests import RequestError, run
from tokentop.text import clean

TMUX_S = 3.0
_FORMAT = "#{pane_id} #{pane_tty} #{session_id} #{window_id} #{window_index}.#{pane_index} #{session_name}"
_NAMES = 200


class Pane(Struct, frozen=True):
    """One pane as its server lists it. `name` is session:window.pane."""

    pane: str
    tty: str
    session: str
    window: str
    name: str


def tmux(socket: str, *words: str) -> str:
    """Run one tmux command on the server behind `socket`. Raises RequestError."""
    return run(("tmux", "-u", "-S", socket, *words), TMUX_S)


def list_panes(socket: str) -> tuple[Pane, ...]:
    """All panes of a server. A window that is linked into several sessions comes once for each."""
    return tuple(
        filter(None, (_pane(line) for line in tmux(socket, "list-panes", "-a", "-F", _FORMAT).splitlines()))
    )


def _pane(line: str) -> Pane | None:
    parts = line.split(" ", 5)
    if len(parts) < 6:
        return None
    return Pane(parts[0], parts[1], parts[2], parts[3], f"{clean(parts[5], 60)}:{parts[4]}")


def find(panes: Iterable[Pane], pane: str, tty: str) -> Pane | None:
    """The pane that a process is in: on its tty, by preference the one that its environment names."""
    on_tty = [one for one in panes if tty and one.tty == tty]
    return next((one for one in on_tty if one.pane == pane), on_tty[0] if on_tty else None)


def names(wanted: Iterable[tuple[str, str]]) -> dict[str, str]:
    """`tmux session:window.pane` for each (`socket,pane`, tty); "" where the process is not in that server."""
    by_socket: dict[str, list[tuple[str, str, str]]] = {}
    for place, tty in wanted:
        socket, _, pane = place.rpartition(",")
        by_socket.setdefault(socket, []).append((place, pane, tty))
    found: dict[str, str] = {}
    for socket, asked in by_socket.items():
        try:
            panes = list_panes(socket)
        except RequestError:
            continue
        for place, pane, tty in asked[:_NAMES]:
            one = find(panes, pane, tty)
            found[place] = f"tmux {one.name}" if one else ""
    return found
