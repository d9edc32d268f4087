"""The plan limits of the invented fleet."""

from __future__ import annotations

from tokentop.demo.account import MINUTE_MS
from tokentop.nouns.money import Quota

_HOUR_MS = 60 * MINUTE_MS
_FULL_MS = 21 * MINUTE_MS  # until one of the limits is full


def quotas(begin_ms: int, now_ms: int) -> list[Quota]:
    """What the hook and the logs tell of a fleet that began at `begin_ms`.

    Two logins of Claude, one of them not seen for long, and one of Codex.
    """
    found: list[Quota] = []
    for provider, account, minutes, used, plan, shift_pct in (
        ("claude", "work", 300, 92.0, "max", 31),
        ("claude", "work", 10_080, 44.0, "max", 55),
        ("codex", "", 300, 38.0, "pro", 72),
        ("codex", "", 10_080, 57.0, "pro", 12),
    ):
        length = minutes * MINUTE_MS
        into = (now_ms + length * shift_pct // 100) % length
        share = round(used * (0.2 + 0.8 * into / length), 1)
        source = "hook" if account else "log"
        resets_ms = now_ms - into + length
        found.append(Quota(provider, account, minutes, provider, share, resets_ms, source, now_ms, plan))
    seen_ms, week = begin_ms - 95 * MINUTE_MS, 10_080 * MINUTE_MS
    used = min(100.0, 96.5 + 3.5 * (now_ms - begin_ms) / _FULL_MS)
    return [
        *found,
        Quota("claude", "home", 300, "claude", 61.0, begin_ms - 40 * MINUTE_MS, "hook", seen_ms, "max"),
        Quota("claude", "home", 10_080, "claude", 22.0, begin_ms + week // 3, "hook", seen_ms, "max"),
        Quota("codex", "", 300, "codex_mini", round(used, 1), begin_ms + _HOUR_MS, "log", now_ms, "pro",
              begin_ms + _FULL_MS),
    ]  # fmt: skip
