"""What the invented fleet did on the days before, and this morning: sessions that have ended, day by day. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from msgspec import Struct
from msgspec.structs import replace

from tokentop.demo.actor import deed
from tokentop.demo.cast import FILES, PLACES, PROJECTS, TITLES, TOOLS, Model, dice
from tokentop.nouns.outline import Deed
from tokentop.nouns.sessions import Role, Session
from tokentop.nouns.usage import Tokens, Usage

DAYS = 3  # before today
_SESSION_NUSD = 40 * 10**9  # about what one of them costs
_CALLS = 55  # about as many as one has


class Ended(Struct, frozen=True):
    """A session with its calls and deeds, by time."""

    session: Session
    calls: tuple[Usage, ...]
    deeds: tuple[Deed, ...]


def ended(seed: str, hours: list[tuple[int, int]], end_ms: int, total_nusd: int) -> Iterator[Ended]:
    """Sessions that together cost `total_nusd` to less than a cent. `hours`: (begin, nano-dollars) of each hour."""
    rng = dice(seed)
    weights = [max(0, cost) for _, cost in hours]
    if total_nusd < _SESSION_NUSD // 4 or not any(weights):
        return
    count = max(1, total_nusd // _SESSION_NUSD)
    shares = [rng.uniform(0.3, 1.7) for _ in range(count)]
    left = total_nusd
    for number, share in enumerate(shares):
        wanted = left if number == count - 1 else min(left, round(total_nusd * share / sum(shares)))
        (begin_ms, _), *_ = rng.choices(hours, weights)
        begin_ms += rng.randrange(3_600_000)
        one = _one(rng, max(hours[0][0], min(begin_ms, end_ms - 3_600_000)), end_ms, wanted)
        left -= one[1]
        yield one[0]


def _one(rng: Random, begin_ms: int, end_ms: int, wanted_nusd: int) -> tuple[Ended, int]:
    """A session that costs so much, and what it cost indeed."""
    agent, model = rng.choice(PLACES)
    project, branch = rng.choice(PROJECTS)
    hexed = f"{rng.getrandbits(128):032x}"
    sid = "-".join((hexed[:8], hexed[8:12], hexed[12:16], hexed[16:20], hexed[20:]))
    count = rng.randint(_CALLS // 2, _CALLS * 3 // 2)
    step_ms = max(2_000, min(100_000, (end_ms - begin_ms - 60_000) // count))
    calls, deeds, cost = [], [Deed("prompt", at_ms=begin_ms)], 0
    for call in range(count):
        at_ms = begin_ms + call * step_ms + rng.randrange(step_ms // 2)
        tokens = _tokens(rng, model, (wanted_nusd - cost) // (count - call))
        cost += model.cost_nusd(tokens) or 0
        calls.append(
            Usage(
                agent, sid, f"{sid}/{call}", at_ms, model.name, tokens, provider=model.provider,
                duration_ms=min(step_ms // 2, rng.randrange(2_000, 40_000)),
            )
        )  # fmt: skip
        if call and rng.random() < 0.1:
            deeds.append(Deed("prompt", at_ms=at_ms - 1))
        tool, command = rng.choice(TOOLS)
        failed = bool(command) and rng.random() < 0.1
        deeds.append(
            deed(
                tool,
                command or rng.choice(FILES),
                at_ms + step_ms // 2,
                rng.randrange(20, 9_000),
                failed=failed,
            )
        )
    session = Session(
        agent, sid, role=Role.MAIN, cwd=f"/home/dev/src/{project}", branch=branch, title=rng.choice(TITLES), title_rank=1,
        model=model.name, first_ms=begin_ms, last_ms=calls[-1].at_ms, version="demo", surface="cli",
    )  # fmt: skip
    return Ended(session, tuple(calls), tuple(deeds)), cost


def _tokens(rng: Random, model: Model, wanted_nusd: int) -> Tokens:
    """Tokens of a call that costs so much: a long context, and as much that is new as the money is for."""
    if model.usd is None or wanted_nusd <= 0:
        return Tokens(output=1)
    base = Tokens(cache_read=round(model.window * rng.uniform(0.1, 0.6)), output=rng.randint(200, 4_000))
    spent = model.cost_nusd(base) or 0
    if spent > wanted_nusd:
        share = wanted_nusd / spent
        base = Tokens(cache_read=int(base.cache_read * share), output=max(1, int(base.output * share)))
        spent = model.cost_nusd(base) or 0
    fresh = max(0, wanted_nusd - spent)
    written = round(fresh * rng.uniform(0.5, 0.9) / (model.usd[4] * 1000))
    base = replace(base, cache_write_1h=written) if model.provider == "anthropic" else base
    rest = max(0, wanted_nusd - (model.cost_nusd(base) or 0))
    return replace(base, input=int(rest / (model.usd[0] * 1000)))
