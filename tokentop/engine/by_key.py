"""What a provider says of each API key, and what of ours belongs to it. Pure.

Logs do not name keys. Ours is known for a key that is the only one of its UTC day, provider and model, or the only one
that the user names as this machine's; for any other it is not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from tokentop.engine.reconcile import Line, NameOf
from tokentop.nouns.billing import NO_KEY, BillLine
from tokentop.nouns.usage import Tokens


class KeyLine(Struct, frozen=True):
    """One UTC day, provider, model and key. `None` = not told, or not known. `key` "" = a report that does not split
    by key, `model` "" = what no model is named for; web searches are in the money of the model that searched."""

    provider: str
    day_utc: str
    model: str
    key: str
    name: str  # of the key, as people call it
    theirs: Tokens | None
    list_nusd: int | None
    billed_nusd: int | None
    final: bool
    ours: Tokens | None = None
    ours_nusd: int | None = None

    @property
    def coverage(self) -> float | None:
        """Ours / theirs in tokens."""
        if self.ours is None or self.theirs is None or not self.theirs.total:
            return None
        return self.ours.total / self.theirs.total


def by_key(
    bills: Iterable[BillLine], lines: Iterable[Line], name_of: NameOf, names: Mapping[tuple[str, str, str], str],
    mine: Collection[str] = (),
) -> tuple[KeyLine, ...]:  # fmt: skip
    """Bills by UTC day, provider, key and model, dollars only. `names` = (provider, "key", id) -> name; `mine` are the
    ids of this machine's keys."""
    sums: dict[tuple[str, str, str, str], KeyLine] = {}
    for bill in bills:
        if bill.currency != "USD":
            continue
        model = name_of(bill.provider, bill.model) if bill.model else ""
        place = (bill.day, bill.provider, bill.key, model)
        known = sums.get(place) or KeyLine(
            bill.provider, bill.day, model, bill.key, names.get((bill.provider, "key", bill.key), ""),
            None, None, None, bill.final,
        )  # fmt: skip
        listed = bill.amount_nusd if bill.list_nusd is None else bill.list_nusd
        sums[place] = replace(
            known, theirs=bill.tokens if known.theirs is None else known.theirs + (bill.tokens or Tokens()),
            list_nusd=_add(known.list_nusd, listed), billed_nusd=_add(known.billed_nusd, bill.amount_nusd),
            final=known.final and bill.final,
        )  # fmt: skip
    ours = {(line.day_utc, line.provider, line.model): line for line in lines if line.kind == "tokens"}
    return tuple(_with_ours(sums, place, ours, mine) for place in sorted(sums))


_Place = tuple[str, str, str, str]  # UTC day, provider, key, model


def _with_ours(
    sums: Mapping[_Place, KeyLine],
    place: _Place,
    ours: Mapping[tuple[str, str, str], Line],
    mine: Collection[str],
) -> KeyLine:
    day, provider, key, model = place
    one = sums[place]
    line = ours.get((day, provider, model))
    if not key or not model or line is None:
        return one
    others = {
        other
        for d, p, other, m in sums
        if (d, p, m) == (day, provider, model) and other not in ("", NO_KEY) and (not mine or other in mine)
    }
    if others != {key}:
        return one
    return replace(one, ours=line.ours, ours_nusd=line.ours_nusd)


def _add(one: int | None, two: int | None) -> int | None:
    return two if one is None else one if two is None else one + two
