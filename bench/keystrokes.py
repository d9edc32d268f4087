"""Time from a key to the repaint that shows what it did, while the screen has data to draw (Linux)."""

from __future__ import annotations

import os
import re
import select
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tui_probe import Terminal

FRAME = b"\x1b[?2026h"  # begins each repaint: the terminal says that it can show one at once
LIMIT_S = 3.0
CURSOR = re.compile(r"^> .*", re.M)

Shown = Callable[[str, str], bool]  # the screen before the key and now


@dataclass(frozen=True)
class Press:
    """One key: its name, its bytes, and how the screen tells that it was carried out."""

    name: str
    data: bytes
    shown: Shown


@dataclass
class Delays:
    """Milliseconds of each key, and those that were never shown."""

    ms: dict[str, list[float]] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)  # names of the keys whose effect was not seen

    @property
    def all(self) -> list[float]:
        return sorted(value for values in self.ms.values() for value in values)

    def at(self, share: float) -> float:
        values = self.all
        return values[min(len(values) - 1, int(len(values) * share))]

    def by_key(self) -> str:
        return ", ".join(
            f"{name} {statistics.median(values):.0f}/{max(values):.0f}" for name, values in self.ms.items()
        )


def session_at_cursor(screen: str) -> str:
    """The title that the cursor is on; rows may move, the cursor stays on its row."""
    found = CURSOR.search(screen)
    named = re.search(r"replay session \d+", found.group()) if found else None
    return named.group() if named else ""


def moved(before: str, now: str) -> bool:
    return session_at_cursor(now) not in ("", session_at_cursor(before))


def has(text: str) -> Shown:
    return lambda before, now: text not in before and text in now


def lacks(text: str) -> Shown:
    return lambda before, now: text in before and text not in now


STEPS = "steps, newest first"  # a head of the drawer that no row pushes off
# Sixteen keys a round. Escape follows each page that was opened.
ROUND = (
    *[Press("j", b"j", moved)] * 5,
    Press("/", b"/", has("keep the filter")),
    Press("Esc filter", b"\x1b", lacks("keep the filter")),
    *[Press("k", b"k", moved)] * 3,
    Press("Enter", b"\r", has(STEPS)),
    *[Press("j drawer", b"j", moved)] * 2,
    Press("Esc drawer", b"\x1b", lacks(STEPS)),
    Press("K", b"K", has("yes, terminate")),
    Press("Esc dialog", b"\x1b", lacks("yes, terminate")),
)

# The same rhythm for the empty app, which shows how many keys it has had.
COUNTED = tuple(Press(press.name, press.data, lambda before, now: now != before) for press in ROUND)


class Keyboard:
    """Types keys into a terminal program, at moments that do not depend on its frames."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal

    def settle(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self.terminal.read(left) is None:
                raise SystemExit(f"the program has ended:\n{self.terminal.screen.text()}")

    def press(self, press: Press) -> float | None:
        """Milliseconds to the first byte of the frame that shows the key's effect; None = not within 3 s."""
        before = self.terminal.screen.text()
        start = frame = time.monotonic()
        os.write(self.terminal.fd, press.data)
        while time.monotonic() - start < LIMIT_S:
            for at, data in self._arrived():
                if FRAME in data:
                    frame = at
                self.terminal.screen.feed(data)
                if press.shown(before, self.terminal.screen.text()):
                    return (frame - start) * 1000
        return None

    def _arrived(self) -> list[tuple[float, bytes]]:
        """All output that is there, each piece with the time at which it was read, before any is looked at."""
        found: list[tuple[float, bytes]] = []
        wait = 0.05
        while select.select([self.terminal.fd], [], [], wait)[0]:
            at = time.monotonic()
            found.append((at, os.read(self.terminal.fd, 1 << 16)))
            wait = 0.0
        return found


def delays(
    command: list[str], env: dict[str, str], keys: tuple[Press, ...], count: int, ready: str, settle_s: float
) -> Delays:
    """Press `count` keys, round by round, in a terminal of 160x50, once the screen shows `ready`."""
    terminal, out = Terminal(command, env, 160, 50), Delays()
    keyboard = Keyboard(terminal)
    try:
        limit = time.monotonic() + 30
        while not re.search(ready, terminal.screen.text()):
            if time.monotonic() > limit:
                raise SystemExit(f"{command} shows no {ready!r}:\n{terminal.screen.text()}")
            keyboard.settle(0.1)
        keyboard.settle(settle_s)
        for at in range(count):
            press = keys[at % len(keys)]
            took = keyboard.press(press)
            if took is None:
                out.lost.append(press.name)
            else:
                out.ms.setdefault(press.name, []).append(took)
            keyboard.settle(0.15 + at * 0.0618 % 0.25)
        return out
    finally:
        terminal.end()
