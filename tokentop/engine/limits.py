"""Plan limits as they were last told, and how full each window was before. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import structs

from tokentop.engine.pace import full_at, worth_keeping
from tokentop.nouns.money import Quota

MAX_READINGS = 200  # of each window

Window = tuple[str, str, str, int]  # provider, account, limit id, minutes


class Limits:
    """The newest reading of each limit window in `quotas`, older ones as `(at_ms, used_pct)` by time."""

    def __init__(self) -> None:
        self.quotas: dict[Window, Quota] = {}
        self._readings: dict[Window, list[tuple[int, float]]] = {}

    def apply(self, quota: Quota, seen_at: Callable[[int], int]) -> bool:
        """Take a reading; whether it is the newest of its window, where `seen_at` tells a time in the future."""
        key = (quota.provider, quota.account, quota.limit_id, quota.window_minutes)
        old = self.quotas.get(key)
        if old is not None:
            if quota.at_ms < seen_at(old.at_ms):
                return False
            if old.plan and not quota.plan:  # a source that does not name the plan
                quota = structs.replace(quota, plan=old.plan)
        self.quotas[key] = quota
        self.add_readings(key, ((seen_at(quota.at_ms), quota.used_pct),))
        return True

    def add_readings(self, key: Window, readings: Iterable[tuple[int, float]]) -> None:
        """Add `(at_ms, used_pct)` of a window, by time."""
        known = self._readings.setdefault(key, [])
        for at_ms, used_pct in readings:
            if worth_keeping(known[-1] if known else None, at_ms, used_pct):
                known.append((at_ms, used_pct))
        del known[:-MAX_READINGS]

    def at(self, at_ms: int) -> tuple[Quota, ...]:
        """The newest reading of each window, with when it will be full at the recent pace."""
        out = []
        for key in sorted(self.quotas):
            quota = self.quotas[key]
            full_ms = full_at(self._readings.get(key, ()), quota.resets_at_ms, at_ms) or 0
            out.append(structs.replace(quota, full_at_ms=full_ms) if full_ms else quota)
        return tuple(out)
