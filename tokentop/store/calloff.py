"""Calling off from another program what rules count down: a question and its answer, small files beside the store.

`tokentop rules cancel` leaves the question. The tokentop that acts takes it and leaves as answer what it called off.
Taking it is a rename, so that a question is either answered or withdrawn by who has asked, never both.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tokentop.nouns.actions import Countdown

_QUESTION, _TAKEN, _ANSWER = "cancel-", "cancelling-", "cancelled-"


class Question:
    """One question of this process."""

    def __init__(self, folder: Path) -> None:
        """Ask. OSError where the folder is not there or cannot be written."""
        name = str(os.getpid())
        self._question, self._answer = folder / (_QUESTION + name), folder / (_ANSWER + name)
        self._answer.unlink(missing_ok=True)
        self._question.touch(mode=0o600)

    def answer(self) -> tuple[Countdown, ...] | None:
        """What was called off; None = nobody has answered yet."""
        try:
            data = self._answer.read_bytes()
        except FileNotFoundError:
            return None
        self._answer.unlink()
        return msgspec.json.decode(data, type=tuple[Countdown, ...])

    def withdraw(self) -> bool:
        """Take it back; False = it is being answered."""
        try:
            self._question.unlink()
        except FileNotFoundError:
            return False
        return True


def serve(folder: Path, call_off: Callable[[], Sequence[Countdown]]) -> None:
    """Answer the questions that wait; `call_off` does it and returns what it called off."""
    for name in os.listdir(folder):
        if name.startswith(_QUESTION):
            asker = name.removeprefix(_QUESTION)
            taken = folder / (_TAKEN + asker)
            with contextlib.suppress(
                OSError
            ):  # taken back meanwhile; on a full disk its asker waits in vain, and says so
                (folder / name).rename(taken)
                taken.write_bytes(msgspec.json.encode(call_off()))
                taken.rename(folder / (_ANSWER + asker))
