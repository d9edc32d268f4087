"""Notices beyond the screen: the terminal's own sequences, and the desktop's program. All off until switched on.

Sequences: OSC 9 (iTerm2, kitty, WezTerm, Ghostty, Windows Terminal), OSC 777 (foot, WezTerm, Ghostty, rxvt-unicode),
BEL; inside tmux in its passthrough (`set -g allow-passthrough on`).
"""

from __future__ import annotations

import html
import logging
import shutil
import subprocess
from collections import deque

from .nouns.actions import Notice
from .settings.rulebook import Notify
from .text import clean

log = logging.getLogger(__name__)

MINUTE_MS = 60_000
PATIENCE_S = 5.0
_TITLE, _BODY = 80, 200
_SCRIPT = ("on run argv", "display notification (item 2 of argv) with title (item 1 of argv)", "end run")


class Limiter:
    """At most so many in a minute; what is beyond is dropped, the screen still shows it."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._sent: deque[int] = deque()

    def allows(self, at_ms: int) -> bool:
        while self._sent and not 0 <= at_ms - self._sent[0] < MINUTE_MS:
            self._sent.popleft()
        if len(self._sent) >= self._per_minute:
            return False
        self._sent.append(at_ms)
        return True


def sequences(notice: Notice, settings: Notify, *, tmux: bool) -> str:
    """What to write to the terminal; "" if nothing is switched on. The text cannot end the sequence early."""
    title, body = _text(notice)
    out = ""
    if settings.osc9:
        out += _osc(f"9;{title}: {body}", tmux)
    if settings.osc777:
        out += _osc(f"777;notify;{title.replace(';', ',')};{body.replace(';', ',')}", tmux)
    return out + ("\a" if settings.bell else "")


def _osc(payload: str, tmux: bool) -> str:
    plain = f"\x1b]{payload}\a"
    return "\x1bPtmux;" + plain.replace("\x1b", "\x1b\x1b") + "\x1b\\" if tmux else plain


def _text(notice: Notice) -> tuple[str, str]:
    return clean(f"tokentop {notice.rule}: {notice.title}", _TITLE), clean(notice.body, _BODY)


def desktop_command(notice: Notice) -> list[str]:
    """The argument vector of the desktop's program, [] where none is installed. Nothing of it is a script."""
    title, body = _text(notice)
    if found := shutil.which("notify-send"):
        return [found, "--app-name=tokentop", "--", title, html.escape(body, quote=False)]
    if found := shutil.which("osascript"):
        script = [part for line in _SCRIPT for part in ("-e", line)]
        return [found, *script, title, body]
    return []


def show_on_desktop(notice: Notice) -> None:
    """Blocks for at most some seconds: for a thread of its own."""
    command = desktop_command(notice)
    if not command:
        return
    try:
        subprocess.run(  # noqa: S603
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("desktop notice: %s", type(error).__name__)
