"""The filter line: `agent:claude state:perm cost>5 !idle ~regex` -> a predicate over rows. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from tokentop.model import Figures, Row
from tokentop.ui.cells import context_pct, unread
from tokentop.ui.glyphs import LOOKS

Predicate = Callable[[Row], bool]

_TEXT_LIMIT = 120  # a regular expression from a keyboard runs on bounded text only
_PATTERN_LIMIT = 80
_REPEATS_LIMIT = 4
_COMPARE = re.compile(r"^(cost|rate|burn|ctx|cpu|mem)(>=|<=|>|<|=)(.*)$", re.IGNORECASE)
_SIZE = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9}

FIELDS: dict[str, Callable[[Row], str]] = {
    "agent": lambda r: r.agent,
    "state": lambda r: LOOKS[r.status.state].word if r.status.state != "tool" else "tool",
    "proj": lambda r: r.project,
    "project": lambda r: r.project,
    "model": lambda r: r.model,
    "branch": lambda r: r.branch,
    "cwd": lambda r: r.cwd,
    "pid": lambda r: str(r.pid or ""),
    "tool": lambda r: r.status.detail,
    "kind": lambda r: r.kind,
}


def _known(pick: Callable[[Figures], float]) -> Callable[[Row], float | None]:
    """None where nothing has been read: an unknown figure is not below a limit."""
    return lambda row: None if unread(row, tree=True) else pick(row.tree)


_NUMBERS: dict[str, Callable[[Row], float | None]] = {
    "cost": _known(lambda f: f.cost_nusd / 1e9),
    "rate": _known(lambda f: f.tokens_per_min),
    "burn": _known(lambda f: f.burn_nusd_per_h / 1e9),
    "ctx": context_pct,
    "cpu": lambda r: r.cpu_pct if r.pid is not None else None,
    "mem": lambda r: float(r.rss_bytes) if r.pid is not None else None,
}

HELP: tuple[tuple[str, str], ...] = (
    ("words", "title, project, model, agent or session id contains each of them"),
    ("agent: state: proj: model: branch: cwd: pid: tool: kind:", "the field contains the text"),
    ("cost>5 rate>10k burn<=2 ctx>80 cpu>50 mem>1g", "compare: dollars, tokens/min, $/h, per cent, bytes"),
    ("!word !state:idle", "everything but"),
    ("~regex", "regular expression on the same texts as words"),
)  # fmt: skip


class FilterError(ValueError):
    """The filter cannot be understood; the message is for the filter line."""


def parse(query: str) -> Predicate | None:
    """The predicate of `query`, None where it is empty. Raises FilterError."""
    terms = [_term(word) for word in query.split()]
    if not terms:
        return None
    return lambda row: all(term(row) for term in terms)


def matches(rows: Sequence[Row], predicate: Predicate) -> frozenset[str]:
    """Keys of the rows that match."""
    return frozenset(row.key for row in rows if predicate(row))


def _term(word: str) -> Predicate:
    if word.startswith("!"):
        if len(word) == 1:
            raise FilterError("a word is missing after !")
        inner = _term(word[1:])
        return lambda row: not inner(row)
    if word.startswith("~"):
        return _regex(word[1:])
    compare = _COMPARE.match(word)
    if compare:
        return _number(*compare.groups())
    name, colon, value = word.partition(":")
    if colon and name.lower() in FIELDS:
        return _field(name.lower(), value.casefold())
    return _word(word.casefold())


def _field(name: str, value: str) -> Predicate:
    pick = FIELDS[name]
    if name == "state":
        return lambda row: pick(row).startswith(value) or row.status.state.value.startswith(value)
    return lambda row: value in pick(row).casefold()


def _number(name: str, sign: str, value: str) -> Predicate:
    number = value.strip("$%").lower()
    scale = _SIZE.get(number[-1:], 1.0)
    try:
        limit = float(number[:-1] if scale != 1.0 else number) * scale
    except ValueError:
        raise FilterError(f"{name}{sign} needs a number") from None
    pick = _NUMBERS[name.lower()]

    def test(row: Row) -> bool:
        known = pick(row)
        if known is None:
            return False
        if sign == ">":
            return known > limit
        if sign == "<":
            return known < limit
        if sign == "=":
            return abs(known - limit) <= 0.005 * max(1.0, abs(limit))
        return known >= limit if sign == ">=" else known <= limit

    return test


def _texts(row: Row) -> tuple[str, ...]:
    return row.title, row.project, row.model, row.agent, row.session_id, row.command, row.status.detail


def _word(word: str) -> Predicate:
    return lambda row: any(word in text.casefold() for text in _texts(row)) or word == row.status.state.value


def _regex(pattern: str) -> Predicate:
    if not pattern:
        raise FilterError("a pattern is missing after ~")
    _check_cost(pattern)
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise FilterError(f"pattern: {str(error)[:60]}") from None
    return lambda row: any(compiled.search(text[:_TEXT_LIMIT]) for text in _texts(row))


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
