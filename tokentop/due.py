"""What is done now and then, and when it is due again. Pure: monotonic seconds are arguments."""

from __future__ import annotations


class Due:
    """Things by name; each is due at once until it is done for the first time."""

    def __init__(self) -> None:
        self._from_s: dict[str, float] = {}

    def is_due(self, what: str, now_s: float) -> bool:
        """Whether it is time."""
        return now_s >= self._from_s.get(what, 0.0)

    def take(self, what: str, now_s: float, period_s: float) -> bool:
        """Whether it is time; if so it is done now, and due again after `period_s`."""
        if not self.is_due(what, now_s):
            return False
        self.put_off(what, now_s + period_s)
        return True

    def put_off(self, what: str, until_s: float) -> None:
        """Not before then."""
        self._from_s[what] = until_s

    def hurry(self, what: str) -> None:
        """Now."""
        self._from_s.pop(what, None)
