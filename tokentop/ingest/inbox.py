"""Plan limits that the status line hook has left: files in the state directory, read when they change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokentop.hook import FOLDER, limits_of
from tokentop.nouns.facts import Diagnostic
from tokentop.nouns.money import Quota
from tokentop.text import clean

_MINUTES = {"five_hour": 300, "seven_day": 10_080}
_PERIODS = {"daily": 1440, "weekly": 10_080, "monthly": 43_200}
_MAX_FILES, _MAX_BYTES = 50, 1 << 16
_YEAR_MS = 366 * 86_400_000


class Inbox:
    """Looks into the inbox of one state directory."""

    def __init__(self, state: Path) -> None:
        self._folder = state / FOLDER
        self._seen: dict[str, int] = {}

    def look(self) -> tuple[list[Quota], list[Diagnostic]]:
        """Return what is new, and what could not be read. A missing folder is an empty one."""
        quotas: list[Quota] = []
        problems: list[Diagnostic] = []
        try:
            paths = sorted(self._folder.glob("claude-*.json"))[:_MAX_FILES]
        except OSError:
            return quotas, problems
        for path in paths:
            try:
                stamp = path.stat().st_mtime_ns
                if self._seen.get(path.name) == stamp:
                    continue
                self._seen[path.name] = stamp
                with path.open("rb") as file:
                    quotas += parse(file.read(_MAX_BYTES))
            except FileNotFoundError:
                continue
            except (OSError, ValueError, RecursionError) as error:
                problems.append(Diagnostic("claude", "status-line", f"{path.name}: {type(error).__name__}"))
        return quotas, problems


def parse(data: bytes) -> list[Quota]:
    """The limits of one file as facts. ValueError where it is none of ours."""
    document: Any = json.loads(data)
    if not isinstance(document, dict) or document.get("v") != 1 or type(document.get("at_ms")) is not int:
        raise ValueError("not a file of the hook")
    at_ms, account = document["at_ms"], document.get("account")
    out = []
    for name, member in limits_of({"rate_limits": document.get("limits")}).items():
        resets_ms = int(float(member.get("resets_at", 0)) * 1000)
        if resets_ms > at_ms + _YEAR_MS:
            resets_ms = 0
        limit, minutes = _window(name, str(member.get("period", "")))
        out.append(
            Quota(
                "claude", clean(account, 40) if isinstance(account, str) else "", minutes, limit,
                float(member["used_percentage"]), resets_ms, "hook", at_ms,
            )
        )  # fmt: skip
    return out


def _window(name: str, period: str) -> tuple[str, int]:
    """(limit id, length in minutes, 0 = not known): `five_hour` and `seven_day` are the account's own."""
    for known, minutes in _MINUTES.items():
        if name == known:
            return "claude", minutes
        if name.startswith(f"{known}_"):
            return clean(name[len(known) + 1 :], 40), minutes
    return clean(name, 40), _PERIODS.get(period, 0)
