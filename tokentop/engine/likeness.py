"""How near words are to each other, and how well a text answers a query. Pure.

A word is found as it is, as the beginning of another one, with one slip (a letter missing, added, changed, or two
turned round; in long words two), or with letters left out ("rtry" for "retry").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise

_WORDS = re.compile(r"[^\W_]+")
LONGEST = 24  # longer words are hashes and the like: found only as they are
SHORTEST = 3
_TWO_SLIPS = 8  # letters from which on two slips are forgiven
_EXACT, _BEGINS, _SLIP, _LEFT_OUT = 1.0, 0.85, 0.6, 0.45


def words_of(text: str) -> list[str]:
    """The words of a text as they are indexed: letters and digits, casefolded, without accents."""
    if not text.isascii():
        text = "".join(
            char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char)
        )
    return _WORDS.findall(text.casefold())


def learnable(word: str) -> bool:
    """Whether a word is worth being found with slips: no number, no hash."""
    return SHORTEST <= len(word) <= LONGEST and not any(char.isdigit() for char in word)


def with_one_left_out(word: str) -> set[str]:
    """The word, and all that remains of it when one letter is left out."""
    return {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}


def slips(one: str, other: str, most: int = 2) -> int:
    """How many slips lie between two words (a letter more, less, another, or two turned round); `most` + 1 = more."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    older: list[int] = []  # the row before the one above
    above: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        older, above, row = above, row, [i]
        for j, b in enumerate(other, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return min(row[-1], most + 1)


def is_left_out(short: str, word: str) -> bool:
    """Whether `short` is `word` with letters left out, not the first one."""
    if not short or not word or short[0] != word[0] or len(short) > len(word):
        return False
    rest = iter(word)
    return all(char in rest for char in short)


def nearness(asked: str, word: str) -> float:
    """1 = the same, 0 = nothing in common."""
    if asked == word:
        return _EXACT
    if word.startswith(asked):
        return _BEGINS
    if len(asked) <= SHORTEST:
        return 0.0
    most = 2 if len(asked) >= _TWO_SLIPS else 1
    if slips(asked, word, most) <= most:
        return _SLIP
    if is_left_out(asked, word) and len(word) <= 2 * len(asked) + 1:
        return _LEFT_OUT * (0.5 + 0.5 * len(asked) / len(word))
    return 0.0


def score(asked: Sequence[str], texts: Iterable[tuple[str, float]]) -> float:
    """How well texts answer the asked words: each counts by its nearest word, times the weight of its text.

    0 where a word is found nowhere. Words that stand in the asked order in one text count a little more.
    """
    weighed = sorted(((words_of(text), weight) for text, weight in texts), key=lambda pair: -pair[1])
    whole, places = 0.0, list[tuple[int, int]]()
    for word in asked:
        best, place = 0.0, (-1, -1)
        for number, (words, weight) in enumerate(weighed):
            if weight <= best:
                break  # nothing better can come
            for at, other in enumerate(words):
                found = (
                    weight * nearness(word, other) if other[:1] == word[:1] or best < weight * _SLIP else 0.0
                )
                if found > best:
                    best, place = found, (number, at)
        if not best:
            return 0.0
        whole += best
        places.append(place)
    ordered = sum(a[0] == b[0] and a[1] < b[1] for a, b in pairwise(places))
    return whole / max(1, len(asked)) + 0.05 * ordered
