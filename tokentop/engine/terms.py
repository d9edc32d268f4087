"""The language of filters, on the live screen and in the history: `agent:claude cost>5 !idle ~regex` -> terms. Pure.

What a field means is known by who asks: `ui/filtering.py` for rows of the screen, `store/sieve.py` for SQL.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from msgspec import Struct

TEXT_LIMIT = 120  # a regular expression from a keyboard runs on bounded text only
_PATTERN_LIMIT = 80
_REPEATS_LIMIT = 4
_COMPARE = re.compile(r"^([a-z]+)(>=|<=|>|<|=)(.*)$", re.IGNORECASE)
_SIZE = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9}
_TIME_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_TIMES = frozenset({"age", "took", "unchanged"})
_PLAIN = re.compile(r"[^\\|()]+")  # neither choices nor groups nor escapes
_CERTAIN = re.compile(r"[a-hjl-rt-z0-9]+", re.IGNORECASE | re.ASCII)
_ALIKE = 0.8  # from here on a name that no field has is taken for a slip


class FilterError(ValueError):
    """The filter cannot be understood; the message is for the filter line."""


class Word(Struct, frozen=True):
    """Any of the texts holds it; casefolded."""

    text: str
    negated: bool = False


class Field(Struct, frozen=True):
    """The field of this name holds the text; casefolded."""

    name: str
    text: str
    negated: bool = False


class Compare(Struct, frozen=True):
    """`sign` is one of > < >= <= =; the limit in dollars, tokens, bytes, per cent or seconds."""

    name: str
    sign: str
    limit: float
    negated: bool = False

    def holds(self, known: float) -> bool:
        """Whether a figure is on this side of the limit; `=` allows half a per cent."""
        if self.sign == ">":
            return known > self.limit
        if self.sign == "<":
            return known < self.limit
        if self.sign == "=":
            return abs(known - self.limit) <= self.slack
        return known >= self.limit if self.sign == ">=" else known <= self.limit

    @property
    def slack(self) -> float:
        """How far off a figure may be that is called equal."""
        return 0.005 * max(1.0, abs(self.limit))


class Pattern(Struct, frozen=True):
    """A regular expression that cannot run away; it is tried on the first `TEXT_LIMIT` characters."""

    text: str
    negated: bool = False

    def compiled(self) -> re.Pattern[str]:
        return re.compile(self.text, re.IGNORECASE)

    @property
    def certain(self) -> str:
        """Letters and digits that stand in whatever it matches, in either case; "" = none are known.

        Only plain patterns are looked at. `i`, `k` and `s` are left out: signs beyond ASCII match them too.
        """
        if not _PLAIN.fullmatch(self.text):
            return ""
        bare = re.sub(r"\[\^?\]?[^\]]*\]", "\0", self.text)
        bare = re.sub(r".(?:[?*]|\{[^}]*\})", "\0", bare, flags=re.DOTALL)
        return max(_CERTAIN.findall(bare), key=len, default="")


Term = Word | Field | Compare | Pattern


def parse(query: str, fields: Collection[str], numbers: Collection[str]) -> tuple[Term, ...]:
    """The terms of `query`, all of which must hold. Raises FilterError."""
    return tuple(_term(word, fields, numbers, False) for word in query.split())


def _term(word: str, fields: Collection[str], numbers: Collection[str], negated: bool) -> Term:
    if word.startswith("!"):
        if len(word) == 1:
            raise FilterError("a word is missing after !")
        return _term(word[1:], fields, numbers, not negated)
    if word.startswith("~"):
        return _pattern(word[1:], negated)
    compare = _COMPARE.match(word)
    if compare and _is_field(compare[1], numbers):
        return _number(compare[1].lower(), compare[2], compare[3], negated)
    name, colon, value = word.partition(":")
    if colon and _is_field(name, fields):
        return Field(name.lower(), value.casefold(), negated)
    return Word(word.casefold(), negated)


def _is_field(name: str, fields: Iterable[str]) -> bool:
    """Whether a field has this name; one that is nearly one is a slip, anything else may stand in a title."""
    if name.lower() in fields:
        return True
    from difflib import get_close_matches  # for a slip alone

    close = get_close_matches(name.lower(), list(fields), 1, _ALIKE)
    if close:
        raise FilterError(f"no field {name[:20]}; {close[0]}?")
    return False


def _number(name: str, sign: str, value: str, negated: bool) -> Compare:
    number, scales = value.strip("$%").lower(), _TIME_S if name in _TIMES else _SIZE
    scale = scales.get(number[-1:])
    try:
        limit = float(number) if scale is None else float(number[:-1]) * scale
    except ValueError:
        raise FilterError(f"{name}{sign} needs a number") from None
    if limit != limit:
        raise FilterError(f"{name}{sign} needs a number")
    return Compare(name, sign, limit, negated)


def _pattern(pattern: str, negated: bool) -> Pattern:
    if not pattern:
        raise FilterError("a pattern is missing after ~")
    _check_cost(pattern)
    found = Pattern(pattern, negated)
    try:
        found.compiled()
    except (re.error, OverflowError, RecursionError) as error:
        raise FilterError(f"pattern: {str(error)[:60]}") from None
    return found


def _check_cost(pattern: str) -> None:
    """Refuse what can take exponential time: a repeated group with a repeat or a choice inside."""
    if len(pattern) > _PATTERN_LIMIT:
        raise FilterError(f"pattern longer than {_PATTERN_LIMIT}")
    bare = re.sub(r"\[\^?\]?[^\]]*\]", "x", re.sub(r"\\.", "x", pattern))
    if len(re.findall(r"[+*{]", bare)) > _REPEATS_LIMIT:
        raise FilterError(f"pattern: more than {_REPEATS_LIMIT} repeats")
    risky: list[bool] = []
    for at, char in enumerate(bare):
        if char == "(":
            risky.append(False)
        elif char in "+*{|" or (char == "?" and bare[at - 1 : at] != "("):
            risky[:] = [True] * len(risky)
        elif char == ")" and risky and risky.pop() and bare[at + 1 : at + 2] in {"+", "*", "{"}:
            raise FilterError("pattern: a repeat inside a repeat")
