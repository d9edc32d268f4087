"""Requests to an agent that are not signals: its own stop command, and keys through tmux."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping

from tokentop.nouns.actions import Means
from tokentop.text import clean

_TMUX_S = 3.0
_BETWEEN_KEYS_S = 0.3  # two Escapes in one burst are one key with Alt to a program


class RequestError(Exception):
    """The request could not be made or was refused; the message is in words and safe to show."""


def run_stop_command(means: Means, timeout_s: float) -> None:
    """Run the agent's own stop command. Raises RequestError."""
    if not means.stop_argv:
        raise RequestError("the agent's stop command is not known")
    run(means.stop_argv, timeout_s, dict(means.stop_env))


def send_keys(means: Means) -> None:
    """Press keys in the tmux pane of the agent, after proof that the pane is on its terminal.

    Raises RequestError.
    """
    socket, _, pane = means.tmux.rpartition(",")
    if not socket or not pane.startswith("%"):
        raise RequestError("its tmux pane is not known")
    tty = run(("tmux", "-S", socket, "display-message", "-p", "-t", pane, "#{pane_tty}"), _TMUX_S).strip()
    if not means.tty or tty != means.tty:
        raise RequestError(
            f"pane {clean(pane, 20)} is on {clean(tty, 40) or 'no terminal'}, not on the agent's"
        )
    for at, key in enumerate(means.keys):
        time.sleep(_BETWEEN_KEYS_S if at else 0.0)
        run(("tmux", "-S", socket, "send-keys", "-t", pane, key), _TMUX_S)


def run(argv: tuple[str, ...], timeout_s: float, env: Mapping[str, str] | None = None) -> str:
    """What a program prints, with `env` added to our environment. Raises RequestError."""
    # TMUX is left out: with it, tmux would take the server that tokentop itself is in for its client.
    inherited = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")}
    try:
        done = subprocess.run(  # noqa: S603 - no shell; the program is the agent's own or tmux
            argv,
            env=inherited | dict(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RequestError(f"{clean(argv[0], 80)} did not answer within {timeout_s:.0f} s") from error
    except OSError as error:
        raise RequestError(f"{clean(argv[0], 80)} could not be run: {clean(error.strerror or '')}") from error
    if done.returncode:
        text = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
        raise RequestError(f"{clean(argv[0], 80)} refused: {clean(text, 120) or f'exit {done.returncode}'}")
    return done.stdout.decode("utf-8", "replace")
