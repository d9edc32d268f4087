"""The end by a signal, and the one that is not in order: a terminal that is gone, an error of our own."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import termios
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_PATIENCE_S = 3  # for an orderly end
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_RESTORE = b"\x1b[?1000l\x1b[?1003l\x1b[?1006l\x1b[?1004l\x1b[?2004l\x1b[<u\x1b[?25h\x1b[?1049l"
log = logging.getLogger(__name__)


class Ending:
    """Hears signals from before the terminal is taken until it has been given back.

    Not through the loop alone: that waits for the thread that writes where the terminal takes nothing any more.
    """

    def __init__(self, leave: Callable[[int], None]) -> None:
        """`leave` is called in the loop with the exit status."""
        self.lent = False  # another program has the terminal, and ends by itself when that is gone
        self._leave = leave
        self._number = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def status(self) -> int:
        """The exit status of the signal, 0 where none came; also where a terminal that is gone was an error first."""
        return 128 + self._number if self._number else 0

    def catch(self) -> None:
        """From now on; in the main thread, while the terminal has its own modes."""
        modes = termios.tcgetattr(sys.__stderr__ or 2)

        def too_late(*_: object) -> None:
            leave_at_once(self.status, modes)

        signal.signal(signal.SIGALRM, too_late)
        for number in _SIGNALS:
            signal.signal(number, self._heard)

    def ready(self) -> None:
        """The screen has been painted: it can be left in order."""
        self._loop = asyncio.get_running_loop()
        if self._number:
            self._in_order()

    def let_go(self) -> None:
        """The terminal has been given back: signals do what they do to any program."""
        signal.alarm(0)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    def _heard(self, number: int, _frame: object) -> None:
        self._number = number
        if not self.lent:
            signal.alarm(_PATIENCE_S)
        if self._loop is not None:
            with suppress(RuntimeError):  # it has just been closed
                self._loop.call_soon_threadsafe(self._in_order)

    def _in_order(self) -> None:
        signal.alarm(_PATIENCE_S)
        self._leave(self.status)


def leave_at_once(code: int, modes: list[Any]) -> None:
    """The terminal cannot be written to in order: put it right as far as it goes, and end."""
    try:
        fd = sys.__stderr__.fileno() if sys.__stderr__ else 2
        with suppress(termios.error):  # it is gone
            termios.tcsetattr(fd, termios.TCSANOW, modes)
        os.set_blocking(fd, False)
        os.write(fd, _RESTORE)
    except OSError:
        log.debug("terminal is gone")
    os._exit(code)


def crash_words(error: BaseException | None, log_path: str) -> str:
    """What is said of a crash: type and place, not values, for locals and messages may hold secrets."""
    frames = traceback.extract_tb(error.__traceback__) if error is not None else []
    where = "\n".join(f"  {f.filename}:{f.lineno} in {f.name}" for f in frames[-12:])
    log.error("crash: %s\n%s", type(error).__name__, where)
    last = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    hint = f"Details: {log_path}" if log_path else where
    return f"tokentop stopped by an error of its own: {type(error).__name__}{last}\n{hint}\n"


def let_go_of_dead_streams() -> None:
    """After a hang-up nothing can be written: the interpreter would end with status 120 instead of ours."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError):
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, stream.fileno() if not stream.closed else devnull)
