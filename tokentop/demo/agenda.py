"""Whose turn it is next in the invented world. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from tokentop.demo.actor import Actor

AFTER_MS = 700  # from the end of a wait to what follows


class Agenda:
    """Actors by the moment at which their phase is over; of two at once the one that entered its phase first."""

    def __init__(self) -> None:
        self._queue: list[tuple[int, int, Actor]] = []
        self._pushed = 0

    def push(self, actor: Actor) -> None:
        self._pushed += 1
        heapq.heappush(self._queue, (actor.due, self._pushed, actor))

    def enter(self, actor: Actor, phase: str, at_ms: int, for_ms: float) -> None:
        actor.enter(phase, at_ms, max(1, round(for_ms)))
        self.push(actor)

    def wake(self, actor: Actor, at_ms: int) -> None:
        """What it waited for is over: it goes on at once, or when it is thawed."""
        if actor.frozen:
            actor.due = AFTER_MS
        else:
            actor.due = at_ms + AFTER_MS
            self.push(actor)

    def freeze(self, actors: Iterable[Actor], at_ms: int, frozen: bool) -> None:
        """Stop or continue; what was due is due as much later."""
        for one in actors:
            if frozen == one.frozen:
                continue
            one.frozen = frozen
            if frozen:
                one.due -= at_ms  # keeps what was left
            else:
                one.due = at_ms + max(1, one.due)
                self.push(one)

    def due(self, now_ms: int) -> Iterator[tuple[int, Actor]]:
        """(moment, actor) up to `now_ms`, with what is pushed meanwhile."""
        while self._queue and self._queue[0][0] <= now_ms:
            at_ms, _, actor = heapq.heappop(self._queue)
            if actor.alive and not actor.frozen and at_ms == actor.due:
                yield at_ms, actor

    def postpone(self, actors: Iterable[Actor], gap_ms: int) -> None:
        """Everything happens that much later."""
        for actor in actors:
            actor.due += 0 if actor.frozen else gap_ms
            actor.phase_ms += gap_ms
        self._queue = [(at + gap_ms, number, actor) for at, number, actor in self._queue]
