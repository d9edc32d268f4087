"""When a report is asked again, and what is kept of how it went. Pure: time and chance are arguments."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from tokentop.nouns.billing import DAY_MS, REFUSED_STATES, Health, ProviderState
from tokentop.providers.base import HOUR, Provider, Source, Span

LONGEST_S = HOUR  # of a silence that we choose ourselves
LONGEST_BLOCK_S = 24 * HOUR
MANUAL_S = 60  # between two looks that a person asked for
SKEW_MS = 60_000

Chance = Callable[[], float]  # 0 to 1


class Went(Struct, frozen=True):
    """How one pull went. `retry_after_s` None = the provider named no time."""

    state: Health
    reason: str = ""
    retry_after_s: float | None = None
    date_ms: int = 0  # the provider's clock, 0 = not told
    as_of_ms: int = 0
    dropped: int = 0


class Due(Struct, frozen=True):
    """The UTC days to ask for, counted from 1970-01-01, and the spans that they satisfy."""

    since_day: int
    until_day: int
    spans: tuple[str, ...]


def due(
    state: ProviderState, source: Source, now_ms: int, *, hidden: bool = False, forced: bool = False
) -> Due | None:
    """What to ask for now; None = nothing. `forced` = a person wants it: still never before a block has ended."""
    if blocked_ms(state, now_ms):
        return None
    if forced:
        spans = source.spans if not 0 <= now_ms - state.at_ms < MANUAL_S * 1000 else ()
    else:
        if state.state in REFUSED_STATES and not state.next_ms:
            return None
        if state.failures and 0 < state.next_ms - now_ms <= LONGEST_BLOCK_S * 1000:
            return None
        spans = tuple(span for span in source.spans if _is_due(state, span, now_ms, hidden))
    if not spans:
        return None
    today = (now_ms + state.skew_ms) // DAY_MS
    since = min(today - span.back for span in spans)
    until = today if all(span.closed for span in spans) else today + 1
    covered = tuple(
        span.name for span in source.spans if today - span.back >= since and (span.closed or until > today)
    )
    return Due(since, until, covered)


def _is_due(state: ProviderState, span: Span, now_ms: int, hidden: bool) -> bool:
    last = dict(state.spans).get(span.name, 0)
    return last == 0 or last > now_ms or now_ms - last >= _every_ms(span, hidden)


def _every_ms(span: Span, hidden: bool) -> int:
    return 1000 * max(span.every_s, span.hidden_every_s if hidden else 0)


def blocked_ms(state: ProviderState, now_ms: int) -> int:
    """How long the report must still be left alone. A clock that went back does not make it longer than a day."""
    return max(0, min(state.blocked_until_ms - now_ms, LONGEST_BLOCK_S * 1000))


def next_ms(state: ProviderState, source: Source, now_ms: int, *, hidden: bool = False) -> int:
    """When something of the report is due, 0 = not before something changes."""
    if state.state in REFUSED_STATES and not state.next_ms:
        return 0
    if state.failures:
        return max(state.next_ms, state.blocked_until_ms)
    last = dict(state.spans)
    soonest = min(last.get(span.name, 0) + _every_ms(span, hidden) for span in source.spans)
    return max(soonest, state.blocked_until_ms, now_ms)


def after(
    old: ProviderState,
    went: Went,
    asked: Due,
    provider: Provider,
    source: Source,
    now_ms: int,
    chance: Chance,
) -> ProviderState:
    """The state after a pull. What was known stays known, with its age."""
    skew = went.date_ms - now_ms if went.date_ms else old.skew_ms
    new = replace(
        old, state=went.state, reason=went.reason, at_ms=now_ms, dropped=went.dropped,
        skew_ms=skew if abs(skew) > SKEW_MS else 0,
    )  # fmt: skip
    if went.state is Health.OK:
        spans = dict(old.spans) | dict.fromkeys(asked.spans, now_ms)
        new = replace(
            new,
            ok_ms=now_ms,
            as_of_ms=went.as_of_ms,
            failures=0,
            blocked_until_ms=0,
            spans=tuple(spans.items()),
        )
        return replace(new, next_ms=next_ms(new, source, now_ms))
    failures = old.failures + 1
    new = replace(new, failures=failures)
    if went.state is Health.LIMITED or went.retry_after_s is not None:
        floor_s = min(provider.floor_s * 2 ** min(failures - 1, 20), LONGEST_S)
        wait_s = min(max(went.retry_after_s or 0.0, floor_s), LONGEST_BLOCK_S)
        until = now_ms + round(wait_s * 1000)
        return replace(new, blocked_until_ms=until, next_ms=until)
    if went.state in REFUSED_STATES:
        again = now_ms + provider.refused_s * 1000 if provider.refused_s else 0
        return replace(new, next_ms=again)
    return replace(new, next_ms=now_ms + round(1000 * _pause_s(source, failures, chance)))


def _pause_s(source: Source, failures: int, chance: Chance) -> float:
    """Twice as long after each failure, up to an hour, and up to a quarter longer by chance."""
    usual_s = min(span.every_s for span in source.spans)
    return float(min(max(60.0, usual_s / 2) * 2.0 ** min(failures - 1, 20), LONGEST_S)) * (
        1 + 0.25 * chance()
    )
