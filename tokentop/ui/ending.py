"""The end that is not in order: a terminal that is gone, an error of our own."""

from __future__ import annotations

import logging
import os
import sys
import traceback

_RESTORE = b"\x1b[?1000l\x1b[?1003l\x1b[?1006l\x1b[?1004l\x1b[?2004l\x1b[<u\x1b[?25h\x1b[?1049l"
log = logging.getLogger(__name__)


def leave_at_once(code: int) -> None:
    """The terminal cannot be written to in order: put it right as far as it goes, and end."""
    try:
        fd = sys.__stderr__.fileno() if sys.__stderr__ else 2
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
