"""Keys from the terminal, with Escape told apart from a sequence in 25 ms.

Textual's driver looks for the end of a sequence when its wait of 100 ms is over: on a terminal without the kitty
protocol each Escape would be answered that late.
"""

from __future__ import annotations

import os
import selectors
from codecs import getincrementaldecoder

from textual import constants
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver

ESCAPE_S = 0.025  # a terminal sends a sequence in one piece; a slow line may be given more by ESCDELAY (ms)
_WAIT_S = 0.1  # until the end of the program is noticed
_MARGIN_S = 0.002  # the parser looks at the time itself
_READ_BYTES = 4096


class PromptDriver(LinuxDriver):
    """The usual driver; after a lone Escape it waits no longer than it must."""

    def run_input_thread(self) -> None:
        """Wait for input and hand on what it means, until the end."""
        parser, decode = XTermParser(self._debug), getincrementaldecoder("utf-8")().decode
        wait_s = _WAIT_S
        selector = selectors.SelectSelector()
        selector.register(self.fileno, selectors.EVENT_READ)
        try:
            while not self.exit_event.is_set():
                ready = selector.select(wait_s)
                wait_s = _WAIT_S
                if ready:
                    data = os.read(self.fileno, _READ_BYTES)
                    if not data:  # at its end, and ready for ever: do not spin
                        self.exit_event.wait(_WAIT_S)
                        continue
                    text = decode(data)
                    for event in parser.feed(text) if text else ():  # none yet: half a character
                        self.process_message(event)
                    if text.endswith("\x1b"):
                        wait_s = min(_WAIT_S, constants.ESCAPE_DELAY + _MARGIN_S)
                for event in parser.tick():
                    self.process_message(event)
        finally:
            selector.close()
            try:
                for _ in parser.feed(""):
                    pass
            except (EOFError, ParseError):
                pass


def prompt(driver: type[Driver]) -> type[Driver]:
    """The driver to use in the place of the one that Textual chose."""
    if driver is not LinuxDriver:
        return driver
    if "ESCDELAY" not in os.environ:
        setattr(constants, "ESCAPE_DELAY", ESCAPE_S)  # noqa: B010 - Final for others
    return PromptDriver
