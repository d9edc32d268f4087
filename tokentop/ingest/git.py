"""Git asked a question, with a time limit and a limit on what it may answer.

Repositories are untrusted: nothing is written (no refresh of the index), nothing that a repository names is run (hook,
filter, monitor, pager, differ, converter, signature check), and nothing is fetched.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

_SETTINGS = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.alternateRefsCommand=",
    "core.bigFileThreshold=8m",  # what is larger is binary: no lines are told
    "safe.bareRepository=explicit",
    "protocol.allow=never",  # parts that a partial clone left out are not fetched
    "log.showSignature=false",
)
_GIT = (
    "git", "--no-pager", "--no-optional-locks", "--literal-pathspecs",
    *(word for setting in _SETTINGS for word in ("-c", setting)),
)  # fmt: skip
_ENV = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "LC_ALL": "C",
}
_BLOCK = 1 << 18


class Answer(Struct, frozen=True):
    """What git wrote. `problem` is "", or why it is not all: missing, slow, large, failed."""

    out: bytes
    problem: str = ""


def ask(
    folder: str, words: Sequence[str | bytes], *, seconds: float, most: int = 1 << 24, feed: bytes = b"",
    fine: Collection[int] = (0,), more: Mapping[str, str] | None = None,
) -> Answer:  # fmt: skip
    """Run git in `folder` with `feed` as its input; blocks for `seconds` at most and raises nothing.

    `more` = further variables for it. What was written until a limit was reached is in the answer.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | _ENV
    env |= more or {}
    with tempfile.TemporaryFile() if feed else open(os.devnull, "rb") as source:
        if feed:
            source.write(feed)
            source.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603 - git, in a folder where an agent of our own user ran
                (*_GIT, "-C", folder, *words), env=env, stdin=source, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError):
            return Answer(b"", "missing")
    return _read(process, time.monotonic() + seconds, most, fine)


def _read(process: subprocess.Popen[bytes], until_s: float, most: int, fine: Collection[int]) -> Answer:
    parts: list[bytes] = []
    size, problem = 0, ""
    assert process.stdout is not None
    with process.stdout as pipe, selectors.DefaultSelector() as ready:
        ready.register(pipe, selectors.EVENT_READ)
        while not problem:
            left_s = until_s - time.monotonic()
            if left_s <= 0 or not ready.select(left_s):
                problem = "slow"
                break
            block = os.read(pipe.fileno(), _BLOCK)
            if not block:
                break
            parts.append(block)
            size += len(block)
            problem = "large" if size > most else ""
    code = None
    if not problem:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(max(0.05, until_s - time.monotonic()))
    if code is None:
        _end(process)
        return Answer(b"".join(parts)[:most], problem or "slow")
    return Answer(b"".join(parts), "" if code in fine else "failed")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Git and what it has started: they are a process group of their own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (OSError, AttributeError):
        process.kill()
    process.wait()
