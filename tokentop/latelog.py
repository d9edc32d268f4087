"""A log that costs nothing until there is something to say: importing `logging` takes 5 ms of every report."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging


class LateLog:
    """`warning` and `exception` of the logger with that name. Without a log file nothing is printed."""

    def __init__(self, name: str) -> None:
        self._name = name

    def warning(self, text: str, *values: object) -> None:
        self._logger().warning(text, *values)

    def exception(self, text: str) -> None:
        self._logger().exception(text)

    def _logger(self) -> logging.Logger:
        import logging

        top = logging.getLogger("tokentop")
        if not top.handlers:
            top.addHandler(logging.NullHandler())  # a command's stderr is one line, not a log
        return logging.getLogger(self._name)
