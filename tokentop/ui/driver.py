"""Escape without Textual's wait of a tenth of a second, where the terminal cannot tell it from a sequence.

A lone ESC that nothing follows for 12 ms is the key: terminals write a sequence at once. On a line so slow that the
rest of a sequence comes later, the rest is dropped: what was one key never becomes several.
"""

from __future__ import annotations

import os
import re
import selectors
import time
from codecs import getincrementaldecoder

from textual import events
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

ESC = "\x1b"
LONE_S = 0.012
REST_S = 1.0  # the rest of a torn sequence comes within this time
_WAIT_S = 0.1
_READ_BYTES = 4096
_REST = re.compile(r"\[[0-?]*[ -/]*[@-~]|O[ -~]")
_PASTE_BEGINS, _PASTE_ENDS = f"{ESC}[200~", f"{ESC}[201~"


class EscapeGate:
    """What a terminal has sent, with a trailing ESC held back until it is known what it is. Pure."""

    def __init__(self) -> None:
        self.held_s: float | None = None  # since when an ESC is held back
        self._escaped_s = -REST_S  # when an ESC was taken as the key
        self._last = ""
        self._pasting = False

    def take(self, data: str, now_s: float) -> str:
        """What of `data` the parser is to be fed."""
        if self.held_s is not None:
            data, self.held_s = ESC + data, None
        elif now_s - self._escaped_s < REST_S:
            # Typed by hand, these would come one by one.
            rest = _REST.match(data)
            data = data[rest.end() :] if rest else data
        self._escaped_s = -REST_S
        self._watch_pastes(data)
        if data.endswith(ESC) and not self._pasting:
            self.held_s = now_s
            return data[:-1]
        return data

    def escape(self, now_s: float) -> bool:
        """Whether an ESC has been alone for long enough to be the key; told once."""
        if self.held_s is None or now_s - self.held_s < LONE_S:
            return False
        self.held_s, self._escaped_s = None, now_s
        return True

    def wait_s(self, now_s: float) -> float:
        """How long to wait for more."""
        return _WAIT_S if self.held_s is None else max(0.0, self.held_s + LONE_S - now_s)

    def _watch_pastes(self, data: str) -> None:
        """Inside a paste nothing is a key; its marks may come in two parts."""
        seen = self._last + data
        begins, ends = seen.rfind(_PASTE_BEGINS), seen.rfind(_PASTE_ENDS)
        if begins != ends:
            self._pasting = begins > ends
        self._last = seen[1 - len(_PASTE_BEGINS) :]


class QuickEscape(LinuxDriver):
    """The driver of Linux and macOS with an Escape key that is there at once."""

    def _get_terminal_size(self) -> tuple[int, int]:
        """As the console takes it, also where the terminal tells none.

        Textual guesses 25 lines at first and 24 then: with both sizes on their way it would lay the screen out for
        the one and the other in turn, without an end, and hear no key.
        """
        width, height = self._app.console.size
        return width, height

    def _sigcont_application(self, *_: object) -> None:
        """Begin anew after a stop.

        SIGSTOP gives no chance to put the terminal back first, as SIGTSTP does. Textual would begin a second time all
        the same: with two threads that read keys, and with its own raw modes as those to be restored.
        """
        if self._auto_restart and not self._must_signal_resume and self._key_thread is not None:
            self.suspend_application_mode()
            self._must_signal_resume = True
        super()._sigcont_application()

    def run_input_thread(self) -> None:
        parser, gate = XTermParser(self._debug), EscapeGate()
        decode = getincrementaldecoder("utf-8")("replace").decode
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                if selector.select(gate.wait_s(time.monotonic())):
                    data = os.read(self.fileno, _READ_BYTES)
                    if not data:
                        break  # the terminal is gone
                    known = gate.take(decode(data), time.monotonic())
                    # Nothing at all would be the end. What came in one piece was typed before any of it was carried out.
                    for event in list(parser.feed(known)) if known else ():
                        self.process_message(event)
                elif gate.escape(time.monotonic()):
                    self.process_message(events.Key("escape", ESC))
                for event in parser.tick():
                    self.process_message(event)
