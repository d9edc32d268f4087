"""What a session's outline and calls tell of its work: commits, edits, tests, pull requests, loops and retries. Pure.

docs/outcome.md defines each of them.
"""

from __future__ import annotations

import posixpath
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from msgspec import Struct

from tokentop.nouns.outline import Deed, Outline
from tokentop.nouns.sessions import Activity, State
from tokentop.nouns.usage import Kind, Priced

from .habits import changes_files
from .misses import Misses
from .outcome import Run, spans_of

if TYPE_CHECKING:
    from tokentop.pricing.table import PriceTable

LOOP_CALLS = 5  # so many equal calls in a row are a loop


class Spent(Struct, frozen=True, gc=False, array_like=True):
    """One call of the API, or hidden spend. `cost_nusd` None = unpriced or unknown."""

    at_ms: int
    took_ms: int
    cost_nusd: int | None
    hidden: bool = False


class Waste(Struct, frozen=True, gc=False, array_like=True):
    """Spend that was not needed. `kind`: loop, retry, hidden, waiting; `cost_nusd` None = a part is not known."""

    at_ms: int
    kind: str
    cost_nusd: int | None


class Work(Struct, frozen=True, gc=False, array_like=True):
    """What is known of one session's work. `told` False = its log tells no tools, or was not read."""

    told: bool = False
    note: str = ""  # what is missing of its outline
    spans: tuple[tuple[int, int], ...] = ()
    runs: tuple[Run, ...] = ()
    edits: dict[str, tuple[int, ...]] = {}  # absolute path -> times
    tests: tuple[tuple[int, str], ...] = ()  # (when, passed, failed or unknown)
    pulls: tuple[tuple[int, str], ...] = ()
    waste: tuple[Waste, ...] = ()
    models: tuple[tuple[str, int, int], ...] = ()  # (name, nano-dollars, tokens) of its calls

    @property
    def edited(self) -> bool:
        """Whether a call of an editing tool succeeded, as far as is known."""
        return bool(self.edits)


def spent_by(event: Priced) -> Spent:
    """One event as far as its money is concerned."""
    usage = event.usage
    unknown = usage.kind is Kind.UNKNOWN and not event.cost_nusd
    return Spent(
        usage.at_ms, usage.duration_ms, None if unknown else event.cost_nusd, usage.kind is Kind.HIDDEN
    )


def waited(events: Iterable[Priced], prices: PriceTable) -> list[Waste]:
    """What a session paid again because the cache had expired while it waited. `events` by time."""
    misses = Misses(prices)
    found = ((event, misses.of(event)) for event in events)
    return [
        Waste(event.usage.at_ms, "waiting", miss.nusd or None)
        for event, miss in found
        if miss.why == "expired"
    ]


def models_of(events: Iterable[Priced]) -> tuple[tuple[str, int, int], ...]:
    """(model, nano-dollars, tokens) of a session's calls."""
    sums: dict[str, tuple[int, int]] = {}
    for event in events:
        cost, tokens = sums.get(event.usage.model, (0, 0))
        sums[event.usage.model] = cost + (event.cost_nusd or 0), tokens + event.usage.tokens.total
    return tuple((name, *both) for name, both in sums.items())


def work_of(outline: Outline | None, cwd: str, calls: Sequence[Spent]) -> Work:
    """`calls` are the session's own, by time; the outline is None where there is none."""
    spans = spans_of((one.at_ms, one.took_ms) for one in calls if not one.hidden)
    hidden = tuple(Waste(one.at_ms, "hidden", one.cost_nusd) for one in calls if one.hidden)
    if outline is None or not outline.deeds:
        return Work(False, "" if outline is None else outline.note, spans, waste=hidden)
    tools = [deed for deed in outline.deeds if deed.kind == "tool"]
    runs = [
        Run(deed.at_ms, _end(deed), "" if name == "?" else name)
        for deed in tools if deed.commits and deed.result != "failed" for name in deed.commits.split(" ")
    ]  # fmt: skip
    edits: dict[str, list[int]] = {}
    for deed in tools:
        if deed.takes == "file" and deed.result in {"ok", ""} and _changes(deed):
            for path in deed.target.split("\n"):
                edits.setdefault(posixpath.normpath(posixpath.join(cwd, path)), []).append(deed.at_ms)
    return Work(
        True, outline.note, spans, tuple(runs), {path: tuple(sorted(times)) for path, times in edits.items()},
        tuple((deed.at_ms, deed.tests) for deed in tools if deed.tests),
        tuple((deed.at_ms, name) for deed in tools for name in deed.pulls.split()),
        (*hidden, *_repeated(tools, calls)),
    )  # fmt: skip


def _changes(deed: Deed) -> bool:
    return deed.added is not None or changes_files(Activity("", "", deed.at_ms, State.TOOL, deed.name))


def _end(deed: Deed) -> int:
    return deed.at_ms + (deed.took_ms or 0)


def _repeated(tools: Sequence[Deed], calls: Sequence[Spent]) -> list[Waste]:
    """Loops: what was spent after the first of `LOOP_CALLS` or more equal calls in a row, to the end of the last.

    Retries: what was spent from the end of a call that failed to the end of the equal one after it.
    """
    found: list[Waste] = []
    at = 0
    while at < len(tools):
        last = at
        while last + 1 < len(tools) and tools[last + 1].again == tools[last].again + 1:
            last += 1
        run = tools[at : last + 1]
        at = last + 1
        if len(run) < 2 or not run[0].at_ms or _changes(run[0]):
            continue
        if len(run) >= LOOP_CALLS:
            found.append(Waste(run[0].at_ms, "loop", _between(calls, run[0].at_ms, _end(run[-1]))))
            continue
        for before, deed in pairwise(run):
            if before.result == "failed":
                found.append(Waste(deed.at_ms, "retry", _between(calls, _end(before), _end(deed))))
    return found


def _between(calls: Sequence[Spent], after_ms: int, to_ms: int) -> int | None:
    """What was spent after one moment and not after another."""
    times = [one.at_ms for one in calls]
    some = calls[bisect_right(times, after_ms) : bisect_right(times, to_ms)]
    if any(one.cost_nusd is None for one in some):
        return None
    return sum(one.cost_nusd or 0 for one in some)
