"""The `rate_limits` of a rollout: plan limits as the provider told them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from tokentop.agents.decoding import epoch_ms, label
from tokentop.nouns.money import Quota

from .records import Limits


def quotas(limit_id: str, limits: Limits, at_ms: int) -> Iterator[Quota]:
    """One for each window that can be read."""
    for window in (limits.primary, limits.secondary):
        if window is None or window.used_percent is None or not window.window_minutes:
            continue
        if not (0 <= window.used_percent <= 10_000 and 0 < window.window_minutes <= 10_000_000):
            continue
        resets_ms = epoch_ms(window.resets_at)
        if not resets_ms and window.resets_in_seconds and 0 < window.resets_in_seconds < 1e9:
            resets_ms = at_ms + int(window.resets_in_seconds * 1000)
        yield Quota(
            "codex", "", window.window_minutes, limit_id, window.used_percent, resets_ms, "log", at_ms,
            label(limits.plan_type),
        )  # fmt: skip
