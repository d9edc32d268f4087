"""The command line: every verb imports what it needs, when it needs it.

Exit status: 0 done, 1 failed, 2 wrong use, 3 nothing matched. Errors are one line on stderr.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, cast

from .errors import Failure, NothingMatched, UsageError

if TYPE_CHECKING:
    import argparse


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    _open_what_is_closed()
    words = sys.argv[1:] if argv is None else list(argv)
    if words == ["hook", "run", "statusline"]:  # an agent waits for it: nothing else is imported
        from .hook import run_statusline

        return run_statusline(os.environ)
    _import_msgspec()
    from .settings.config import SettingsError

    _write_any_text()
    try:
        status = _run(words)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except UsageError as error:
        return _complain(str(error), 2)
    except SettingsError as error:
        return _complain(str(error), 2)
    except Failure as error:
        return _complain(str(error), 1)
    except NothingMatched as error:
        return _complain(str(error), 3)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _discard_output()  # the reader has gone: nothing more to say
        return 0
    except OSError as error:
        _discard_output()
        if error.errno == errno.EBADF and not error.filename:
            return _complain("standard output is closed: nothing could be written to it", 1)
        place = f": {error.filename}" if error.filename else ""
        return _complain(f"{error.strerror or error}{place}", 1)


def _open_what_is_closed() -> None:
    """Started with a closed standard stream, no log or database may get its number, nor a complaint go to stdout.

    What was closed for reading cannot be read and what is told on standard output fails, as at other programs;
    complaints go nowhere.
    """
    for number, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # takes the lowest number that is free: this one
            if number == 1:
                sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            elif number == 2:
                sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _import_msgspec() -> None:
    """msgspec asks `typing_extensions`, where it is installed, for what `typing` has had since Python 3.11.

    That module takes a tenth of a report's time; msgspec does without it where it cannot be imported.
    """
    if "msgspec" in sys.modules or "typing_extensions" in sys.modules:
        return
    hidden: dict[str, ModuleType | None] = cast("dict[str, ModuleType | None]", sys.modules)
    hidden["typing_extensions"] = None
    try:
        import msgspec  # noqa: F401
    finally:
        del hidden["typing_extensions"]


def _write_any_text() -> None:
    """A terminal or file that does not know a character gets a replacement, never an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if sys.stdout is not None and sys.stdout.isatty():
        from .sevenbits import restrict, wants_ascii

        if wants_ascii(os.environ):
            restrict(sys.stdout)


def _discard_output(number: int = 1) -> None:
    """Let what is still buffered go nowhere, so that the end of the program does not complain about it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def _complain(text: str, status: int) -> int:
    try:
        print("tokentop: " + " ".join(text.split()), file=sys.stderr)
    except OSError:  # nobody hears it: the status still tells
        _discard_output(2)
    return status


def _run(argv: list[str]) -> int:
    from .arguments import parser

    arguments = parser().parse_args(argv)
    command = arguments.command or "live"
    if _wants_screen(command, arguments) and _has_screen():
        from .ui.launch import launch

        if command == "replay":
            from .report.replay import begin_ms

            arguments.replay_ms = begin_ms(arguments.at)
        return launch(arguments, demo=command == "demo")
    if (
        command == "status"
    ):  # called every few seconds by a status bar: nothing is imported that it does not need
        from .report.status import status

        return status(arguments)
    from .report import commands

    return commands.run(command, arguments)


def _wants_screen(command: str, arguments: argparse.Namespace) -> bool:
    if command not in ("live", "demo", "replay") or arguments.once or arguments.json:
        return False
    return command != "replay" or not (arguments.since or arguments.until)


def _has_screen() -> bool:
    """Whether there is a terminal that can show the live screen; without one it is the same as --once."""
    if os.environ.get("TERM", "") == "dumb":
        return False
    return all(stream is not None and stream.isatty() for stream in (sys.__stdin__, sys.__stdout__))
