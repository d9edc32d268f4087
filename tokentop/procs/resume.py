"""Resumes a session in a new tmux window, in the folder that it was in. Blocks while tmux is asked."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

from tokentop.nouns.actions import Jump, Receipt
from tokentop.procs.jump import own_session
from tokentop.procs.panes import tmux
from tokentop.procs.requests import RequestError
from tokentop.text import clean


def resume(receipt: Receipt, environ: Mapping[str, str]) -> Jump:
    """Type the resume command into the shell of a new window beside tokentop's own; else leave it to be copied.

    `environ` is that of tokentop. The session id in the command comes from a log: a command that a shell would
    read otherwise than word by word is not typed.
    """
    command = receipt.resume
    if not command:
        return Jump("this receipt has no resume command")
    if not command.isprintable() or any(shlex.quote(word) != word for word in command.split(" ")):
        return Jump("not resumed: the command would do more in a shell than it shows")
    folder = receipt.cwd
    if not os.path.isdir(folder):
        return Jump(f"{clean(folder, 80) or 'its folder'} is not there", copy=command)
    socket = environ.get("TMUX", "").rsplit(",", 2)[0]
    session = own_session(socket, environ) if socket else ""
    if not session:
        return Jump("tokentop is not in tmux: run the command in a terminal of its own", copy=command)
    try:
        made = tmux(
            socket, "new-window", "-t", f"{session}:", "-c", folder,
            "-P", "-F", "#{pane_id} #{session_name}:#{window_index}",
        ).strip()  # fmt: skip
        pane, _, place = made.partition(" ")
        tmux(socket, "send-keys", "-t", pane, "-l", command)
        tmux(socket, "send-keys", "-t", pane, "Enter")
    except RequestError as error:
        return Jump(f"tmux made no window: {error}", copy=command)
    return Jump(f"resumed in tmux {clean(place, 60)}", done=True)
