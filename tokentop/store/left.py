"""What a running tokentop leaves for `tokentop status`: its newest figures, in a small file of the state directory.

Written beside and renamed, so that a reader never sees half of it. Only the tokentop that writes the store leaves it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from tokentop.nouns.sessions import State

if TYPE_CHECKING:
    from tokentop.nouns.picture import Snapshot

NAME = "now.json"
_MOST_BYTES = 65_536
_WORKING = frozenset({State.WORKING, State.TOOL})
_WAITING = frozenset({State.PERMISSION, State.INPUT})
_NOT_RUNNING = frozenset({State.DONE, State.ORPHAN})


class Left(Struct, frozen=True):
    """The figures at `at_ms`. `day_ms` is the beginning of the local day that `today_nusd` belongs to."""

    at_ms: int
    pid: int
    agents: int
    working: int
    waiting: int
    tokens_per_min: float
    burn_nusd_per_h: int
    day_ms: int
    today_nusd: int
    today_complete: bool  # nothing of it is unpriced or unknown, and all logs have been read
    projected_nusd: int | None = None
    burn_complete: bool = True  # nothing that is spent now is without a price


def of(snapshot: Snapshot, day_ms: int) -> Left:
    """The figures of one picture."""
    counts, today, forecast = dict(snapshot.counts), snapshot.today, snapshot.forecast
    return Left(
        at_ms=snapshot.at_ms,
        pid=os.getpid(),
        agents=sum(count for state, count in counts.items() if state not in _NOT_RUNNING),
        working=sum(counts.get(state, 0) for state in _WORKING),
        waiting=sum(counts.get(state, 0) for state in _WAITING),
        tokens_per_min=round(snapshot.totals.tokens_per_min, 1),
        burn_nusd_per_h=snapshot.totals.burn_nusd_per_h,
        day_ms=day_ms,
        today_nusd=today.cost_nusd,
        today_complete=not (today.unpriced_tokens or today.unknown_calls or snapshot.progress.reading),
        projected_nusd=forecast.projected_nusd if forecast and forecast.method != "none" else None,
        burn_complete=not snapshot.burn_is_partial,
    )


def leave(folder: Path, left: Left) -> None:
    """Write the file. A disk that is full or a folder that has gone is no reason to stop."""
    part = folder / f"{NAME}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
    with contextlib.suppress(OSError):
        with open(os.open(part, flags, 0o600), "wb") as file:
            file.write(msgspec.json.encode(left))
        part.replace(folder / NAME)


def read(folder: Path) -> Left | None:
    """What was left, None = nothing, or nothing that can be understood."""
    try:
        with (folder / NAME).open("rb") as file:
            return msgspec.json.decode(file.read(_MOST_BYTES), type=Left)
    except (OSError, msgspec.MsgspecError):
        return None
