"""Logs that could not be read: when each is tried again, and what is said of it until then."""

from __future__ import annotations

from tokentop.nouns.facts import Diagnostic
from tokentop.text import clean

from .listing import Listing, LogEntry

RETRY_S = (5.0, 60.0)


class Failures:
    """`diagnostics` and `until_s` (monotonic) by path; what a walk could not look at stands beside."""

    def __init__(self) -> None:
        self.diagnostics: dict[str, Diagnostic] = {}
        self.until_s: dict[str, float] = {}
        self._tries: dict[str, int] = {}

    def walked(self, listing: Listing) -> None:
        """Take over what a walk says; of files that are gone there is nothing to say."""
        for place in [place for place in self.diagnostics if place not in listing.files]:
            self.clear(place)
        for diagnostic in listing.diagnostics:
            self.diagnostics[f"walk:{diagnostic.detail}"] = diagnostic

    def clear(self, path: str) -> None:
        """It has been read."""
        self.diagnostics.pop(path, None)
        self.until_s.pop(path, None)
        self._tries.pop(path, None)

    def failed(self, entry: LogEntry, error: Exception, now_s: float) -> None:
        tries = self._tries[entry.path] = self._tries.get(entry.path, 0) + 1
        self.until_s[entry.path] = now_s + min(RETRY_S[1], RETRY_S[0] * tries)
        reason = f"{type(error).__name__}; see the log file"
        if isinstance(error, OSError | ImportError):
            reason = getattr(error, "strerror", "") or str(error)
        self._say(entry, "unreadable", f": {clean(reason, 80)}")

    def half(self, entry: LogEntry) -> None:
        """It is being written."""
        self._say(entry, "half", " is no whole document (yet)")

    def _say(self, entry: LogEntry, kind: str, what: str) -> None:
        name = clean(entry.relative, 120)
        self.diagnostics[entry.path] = Diagnostic(entry.agent, kind, f"{name}{what}")
