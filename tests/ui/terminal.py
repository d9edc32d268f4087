"""Runs a program in a terminal of its own and keeps what it wrote to it.

`run_in_terminal` is for one signal and the end; `Terminal` is for a dialogue of keys and waiting.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0


class Terminal:
    """A program on a pseudo-terminal. Use it as a context manager; the program is killed at the end."""

    def __init__(
        self, argv: Sequence[str], columns: int = 80, lines: int = 24, env: dict[str, str] | None = None
    ) -> None:
        self.output = b""
        self.status: int | None = None  # exit code, negative for a signal
        self._master, self._slave = pty.openpty()
        self.resize(columns, lines)
        self.modes_before = termios.tcgetattr(self._slave)
        environ = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", "TEXTUAL_ANIMATIONS": "none"}
        for name in ("NO_COLOR", "COLUMNS", "LINES"):  # the size comes from the terminal
            environ.pop(name, None)
        environ.update(env or {})
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(self._slave, termios.TIOCSCTTY, 0)
            for fd in (0, 1, 2):
                os.dup2(self._slave, fd)
            os.chdir(ROOT)
            os.execvpe(argv[0], argv, environ)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self, seconds: float) -> bytes:
        """Take in what comes within `seconds`, and what is there by then; returns the new bytes."""
        begun = len(self.output)
        end = time.monotonic() + seconds
        while select.select([self._master], [], [], max(0.0, end - time.monotonic()))[0]:
            try:
                self.output += os.read(self._master, 65536)
            except OSError:  # EIO: the other side has closed
                break
        return self.output[begun:]

    def wait_for(self, needle: bytes, start: int = 0) -> None:
        """Until `needle` has been written after byte `start`; fails when it never is."""
        end = time.monotonic() + PATIENCE_S
        while needle not in self.output[start:]:
            assert time.monotonic() < end, f"{needle!r} never came; last: {self.output[-400:]!r}"
            assert self.wait(0) is None, f"ended with {self.status} before {needle!r}"
            self.read(0.05)

    def send(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = PATIENCE_S) -> int | None:
        """The exit code once the program has ended, None while it runs."""
        end = time.monotonic() + seconds
        while self.status is None:
            done, code = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.status = os.waitstatus_to_exitcode(code)
                self.read(0.2)
            elif time.monotonic() >= end:
                return None
            else:
                self.read(0.05)
        return self.status

    def leave(self) -> int:
        """Escape and q, until it has ended; the exit code.

        Again, because a busy machine may read both at once, as one key: Alt and q.
        """
        end = time.monotonic() + PATIENCE_S
        while (status := self.wait(0.5)) is None:
            assert time.monotonic() < end, f"it stays; last: {self.output[-400:]!r}"
            self.send(b"\x1b")
            self.read(0.5)
            self.send(b"q")
        return status

    @property
    def modes_kept(self) -> bool:
        """The terminal's own modes are those from before."""
        return termios.tcgetattr(self._slave) == self.modes_before

    @property
    def restored(self) -> bool:
        """Main screen, visible cursor, no mouse: each was switched back after it was switched away."""
        last = self.output.rfind
        return (
            last(b"\x1b[?1049l") > last(b"\x1b[?1049h") >= 0
            and last(b"\x1b[?25h") > last(b"\x1b[?25l") >= 0
            and last(b"\x1b[?1000l") > last(b"\x1b[?1000h")
        )

    def hang_up(self) -> None:
        """Close the terminal under the program."""
        for fd in (self._slave, self._master):
            os.close(fd)
        self._master = self._slave = -1

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        for fd in (self._master, self._slave):
            if fd >= 0:
                os.close(fd)


def driver(kind: str, *options: str) -> list[str]:
    """The command that runs the real screen on a fake source (tests/ui/driver.py)."""
    return [sys.executable, "-m", "tests.ui.driver", kind, *options]
