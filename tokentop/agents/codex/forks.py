"""Forks of older versions begin with a copy of their parent's counts, under new times. Pure.

The parent's log tells what is copied: the leading run that equals its counts in order. Where it is gone the initial
burst is taken for the copy, and the rest is marked as estimated.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from tokentop.agents.decoding import decode

from .records import LINE, Vector, moved, values

_BURST_MS = 1000


class Ancestry(Struct):
    """How far a rollout repeats its parent's. Plain data, kept with the decoder's state."""

    first_ms: int = 0
    following: int = -1  # length of the prefix that repeats the ancestor so far; -1 = not a legacy fork
    ancestor: str = ""
    orphaned: bool = False  # a legacy fork without its parent's log: own part told by the burst
    burst_ms: int = 0  # time of the last copied count
    own_part: bool = False

    @property
    def may_repeat(self) -> bool:
        """Whether what comes may still be a copy."""
        return self.following >= 0 or (self.orphaned and not self.own_part)

    def orphan(self) -> None:
        """The parent's log is not to be found."""
        self.orphaned = True
        self.following = -1

    def repeats(self, counted: Vector, parents: Sequence[Vector]) -> bool:
        """Whether a count is the parent's next one; the first that is not ends the copy."""
        if self.following < len(parents) and parents[self.following] == counted:
            self.following += 1
            return True
        self.following = -1
        return False

    def in_burst(self, at_ms: int) -> bool:
        """True for the copied head of a fork whose parent is gone.

        Copies carry the fork instant, or follow each other within a second; no own call is that fast.
        """
        if self.own_part or at_ms - (self.burst_ms or self.first_ms) > _BURST_MS:
            self.own_part = True
            return False
        self.burst_ms = at_ms
        return True


def orphan_of(state: bytes) -> str:
    """The parent of a fork that was read without its parent's log; "" = none is missing."""
    told = msgspec.msgpack.decode(state, type=Ancestry)
    return told.ancestor if told.orphaned else ""


def vectors(lines: Sequence[bytes]) -> list[Vector]:
    """The counted (last, total) vectors of a rollout's `token_count` lines, in order."""
    out: list[Vector] = []
    total: Vector = ()
    for line in lines:
        record = decode(line, LINE)
        if record is None or record.payload is None or record.payload.type != "token_count":
            continue
        if record.payload.info is None or (found := moved(record.payload.info, total)) is None:
            continue
        last, total = found
        out.append((*values(last), *total))
    return out
