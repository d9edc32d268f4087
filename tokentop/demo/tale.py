"""An invented past for a session of the demo: turns, tools and sub-agents whose sums are those of its row."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tokentop.demo.cast import dice
from tokentop.engine.timeline import Part, Timeline, timeline
from tokentop.model import Priced, Role, Row, Session, Tokens, Usage
from tokentop.outline import Deed, Outline

_TOOLS = (
    ("Read", "src/retry.py", "file", ""), ("Edit", "src/retry.py", "file", ""), ("Bash", "pytest", "program", "passed"),
    ("Bash", "git diff", "program", ""), ("Grep", "", "", ""), ("Bash", "pytest", "program", "failed"),
    ("Write", "tests/test_retry.py", "file", ""), ("Bash", "ruff check", "program", ""),
)  # fmt: skip
_KINDS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")


def tale(row: Row, below: Sequence[Row], seed: int) -> Timeline:
    """Pictures depend on the seed and on the rows alone."""
    parts = {row.session_id: _part(row, seed, [one for one in below if one.session_id])}
    for one in below:
        if one.session_id:
            parts[one.session_id] = _part(one, seed, ())
    return timeline(parts, row.session_id)


def _part(row: Row, seed: int, below: Sequence[Row]) -> Part:
    rng = dice(f"{seed}/tale/{row.key}")
    calls = max(1, row.own.responses)
    begin, end = row.started_ms, max(row.last_ms, row.started_ms + 1)
    times = sorted(rng.randrange(begin + 1, end + 1) for _ in range(calls))
    shares = [rng.uniform(0.3, 1.0) + 3 * (rng.random() < 0.05) for _ in range(calls)]
    counts = {name: _split(getattr(row.own.tokens, name), shares) for name in _KINDS}
    costs = _split(row.own.cost_nusd, shares)
    events = tuple(
        Priced(
            at + 1,
            Usage(
                row.agent, row.session_id, f"demo-{at}", times[at], row.model, Tokens(*(counts[name][at] for name in _KINDS)),
                duration_ms=rng.randint(900, 14_000),
            ),
            costs[at],
        )
        for at in range(calls)
    )  # fmt: skip
    session = Session(
        row.agent, row.session_id, parent_id="" if row.kind == "agent" else row.parent_key.partition(":")[2],
        role=Role.SUB_AGENT if row.kind == "sub-agent" else Role.MAIN, cwd=row.cwd, branch=row.branch, title=row.title,
        model=row.model, first_ms=begin, last_ms=row.last_ms, version=row.version,
    )  # fmt: skip
    return Part(session, row.project, events, Outline(tuple(_deeds(rng, begin, times, below)), read_ms=1))


def _deeds(rng: Random, begin: int, times: Sequence[int], below: Sequence[Row]) -> list[Deed]:
    found = [Deed("prompt", at_ms=begin)]
    for number, at_ms in enumerate(times):
        if number and rng.random() < 0.22:
            found.append(Deed("prompt", at_ms=at_ms - 1))
        for _ in range(rng.randint(0, 2)):
            name, target, takes, tests = rng.choice(_TOOLS)
            failed = tests == "failed"
            edits = name in {"Edit", "Write"}
            found.append(
                Deed(
                    "tool", name, target, at_ms + rng.randint(1, 400), "failed" if failed else "ok", rng.randint(20, 9_000),
                    f"call-{number}", rng.randint(1, 60) if edits else None, rng.randint(0, 20) if edits else None, tests, takes,
                )
            )  # fmt: skip
        if rng.random() < 0.01:
            found.append(Deed("limit", "429", at_ms=at_ms + 500))
    found += [
        Deed("tool", "Task", "", one.started_ms - 20, "open", None, f"task-{one.session_id}") for one in below
    ]
    return sorted(found, key=lambda deed: deed.at_ms)


def _split(total: int, shares: Sequence[float]) -> list[int]:
    """`total` in whole parts by their shares; nothing is lost."""
    whole, given, so_far = sum(shares), 0, 0.0
    found = []
    for share in shares:
        so_far += share
        part = round(total * so_far / whole) - given
        found.append(part)
        given += part
    return found
