"""Which step of which rule is due: ladders, rests, caps. Pure; the time comes with the pictures.

Nothing is done here: `enforce.py` counts down, asks for a plan and acts, and says here what came of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from tokentop.engine.judge import DIP_MS, Hit, Judge
from tokentop.nouns.actions import Receipt
from tokentop.nouns.picture import Snapshot
from tokentop.nouns.sessions import State
from tokentop.settings.rulebook import Rule, Rules, Step

HOUR_MS = 3_600_000
REASON = "policy:"
_DONE_NOTHING = ("cancelled", "would")


class Due(Struct, frozen=True):
    """One step that is due now."""

    rule: str
    step: Step
    hit: Hit


class _Episode:
    """One rule and one row, while its condition holds and while it rests."""

    __slots__ = ("last_ms", "rest_until_ms", "rung")

    def __init__(self) -> None:
        self.rung = 0
        self.last_ms = 0
        self.rest_until_ms = 0


class Policies:
    """The state of all rules."""

    def __init__(self, rules: Rules) -> None:
        self._rules: dict[str, Rule] = dict(rules.items())
        self._judge = Judge(rules)
        self._episodes: dict[tuple[str, str], _Episode] = {}
        self._acted: dict[str, list[int]] = {}
        self.hits: dict[tuple[str, str], Hit] = {}

    def rule(self, name: str) -> Rule:
        return self._rules[name]

    def look(self, snapshot: Snapshot) -> list[Due]:
        """Return what is due. The same step is due again until `rest` is called for it."""
        at_ms = snapshot.at_ms
        self.hits = self._judge.look(snapshot)
        self._hold_frozen(snapshot)
        self._forget(at_ms)
        due: list[Due] = []
        for (name, key), hit in self.hits.items():
            episode = self._episodes.setdefault((name, key), _Episode())
            episode.last_ms = at_ms
            ladder = self._rules[name].ladder
            if at_ms >= episode.rest_until_ms and episode.rung < len(ladder):
                due.append(Due(name, ladder[episode.rung], hit))
        return due

    def _hold_frozen(self, snapshot: Snapshot) -> None:
        """What a rule has frozen fulfils no condition any more: while it stays frozen, the ladder goes on."""
        frozen = {row.key: row for row in snapshot.rows if row.status.state is State.FROZEN}
        for (name, key), episode in self._episodes.items():
            ladder = self._rules[name].ladder
            if key in frozen and 0 < episode.rung < len(ladder) and ladder[episode.rung - 1] is Step.FREEZE:
                self.hits.setdefault(
                    (name, key), Hit(frozen[key], "frozen by this rule, and nobody has thawed it")
                )

    def _forget(self, at_ms: int) -> None:
        """A condition that has gone begins anew with the first step; its rest goes on."""
        for key, episode in list(self._episodes.items()):
            rest_ms = round(self._rules[key[0]].cooldown_minutes * 60_000)
            episode.rest_until_ms = min(episode.rest_until_ms, at_ms + rest_ms)  # a clock that went back
            episode.last_ms = min(episode.last_ms, at_ms)
            if at_ms - episode.last_ms <= DIP_MS or key in self.hits:
                continue
            episode.rung = 0
            if at_ms >= episode.rest_until_ms:
                del self._episodes[key]

    def rest(self, rule: str, row_key: str, at_ms: int, *, next_step: bool) -> None:
        """A step was taken (or called off, or not possible): the row rests, then the next step or the same."""
        episode = self._episodes.setdefault((rule, row_key), _Episode())
        episode.last_ms = max(episode.last_ms, at_ms)
        episode.rest_until_ms = at_ms + round(self._rules[rule].cooldown_minutes * 60_000)
        episode.rung += next_step

    def stays(self, rule: str, row_key: str) -> bool:
        """Whether the present step is the last one and worth repeating: a turn that begins again is stopped again."""
        ladder = self._rules[rule].ladder
        episode = self._episodes.get((rule, row_key))
        at = episode.rung if episode else 0
        return at == len(ladder) - 1 and ladder[at] is Step.STOP

    def acts(self, rule: str, at_ms: int) -> None:
        """An action is about to be carried out: it counts for the hour."""
        self._acted.setdefault(rule, []).append(at_ms)

    def capped(self, rule: str, at_ms: int, under_way: int = 0) -> bool:
        """Whether the rule has done all that it may do in an hour, or will have with what is counted down."""
        recent = [ms for ms in self._acted.get(rule, ()) if 0 <= at_ms - ms < HOUR_MS]
        self._acted[rule] = recent
        return len(recent) + under_way >= self._rules[rule].per_hour

    def remember(self, receipts: Iterable[Receipt], at_ms: int) -> None:
        """Take over what an earlier run did: caps and rests outlive a restart."""
        for receipt in receipts:
            name = receipt.reason.removeprefix(REASON)
            if not receipt.reason.startswith(REASON) or name not in self._rules or receipt.at_ms > at_ms:
                continue
            if not receipt.result.startswith(_DONE_NOTHING):
                self.acts(name, receipt.at_ms)
            rest_ms = receipt.at_ms + round(self._rules[name].cooldown_minutes * 60_000)
            if rest_ms > at_ms:
                episode = self._episodes.setdefault((name, row_key_of(receipt)), _Episode())
                episode.rest_until_ms = max(episode.rest_until_ms, rest_ms)


def row_key_of(receipt: Receipt) -> str:
    """The row that a receipt speaks of."""
    if receipt.session_id and receipt.agent:
        return f"{receipt.agent}:{receipt.session_id}"
    return f"proc:{receipt.pid}:{receipt.start_ticks}"
