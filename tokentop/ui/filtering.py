"""The filter line: `agent:claude state:perm cost>5 !idle ~regex` -> a predicate over rows. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from tokentop.model import Figures, Row
from tokentop.ui.cells import context_pct, hit_pct, unread
from tokentop.ui.glyphs import LOOKS

Predicate = Callable[[Row], bool]

_TEXT_LIMIT = 120  # a regular expression from a keyboard runs on bounded text only
_PATTERN_LIMIT = 80
_REPEATS_LIMIT = 4
_COMPARE = re.compile(r"^([a-z]+)(>=|<=|>|<|=)(.*)$", re.IGNORECASE)
_SIZE = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9}
_TIME_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_ALIKE = 0.8  # from here on a name that no field has is taken for a slip

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
    "where": lambda r: r.where,
    "host": lambda r: r.host,
    "session": lambda r: r.session_id,
    "title": lambda r: r.title,
}


def _known(pick: Callable[[Figures], float | None]) -> Callable[[Row, int], float | None]:
    """None where nothing has been read: an unknown figure is not below a limit."""
    return lambda row, now_ms: None if unread(row, tree=True) else pick(row.tree)


def _age_s(row: Row, now_ms: int) -> float | None:
    return (now_ms - row.started_ms) / 1000 if row.started_ms > 0 and now_ms > 0 else None


_NUMBERS: dict[str, Callable[[Row, int], float | None]] = {
    "cost": _known(lambda f: f.cost_nusd / 1e9),
    "rate": _known(lambda f: f.tokens_per_min if f.rates_known else None),
    "burn": _known(lambda f: f.burn_nusd_per_h / 1e9 if f.rates_known else None),
    "tokens": _known(lambda f: f.tokens.total),
    "responses": _known(lambda f: f.responses),
    "hit": _known(hit_pct),
    "ctx": lambda r, _: context_pct(r),
    "cpu": lambda r, _: r.cpu_pct if r.pid is not None else None,
    "mem": lambda r, _: float(r.rss_bytes) if r.pid is not None else None,
    "age": _age_s,
    "pid": lambda r, _: float(r.pid) if r.pid is not None else None,
}

HELP: tuple[tuple[str, str], ...] = (
    ("words", "title, project, model, agent or session id contains each of them; n N next and previous match"),
    ("agent: state: proj: model: branch: cwd: pid: tool: kind: where: host: session: title:",
     "the field contains the text"),
    ("cost>5 rate>10k burn<=2 tokens>1m ctx>80 hit<50 cpu>50 mem>1g age>2h responses>100",
     "compare: dollars, tokens/min and $/h (over the shown window), tokens, per cent, bytes, time"),
    ("!word !state:idle", "everything but"),
    ("~regex", "regular expression on the same texts as words"),
)  # fmt: skip


class FilterError(ValueError):
    """The filter cannot be understood; the message is for the filter line."""


def parse(query: str, now_ms: Callable[[], int] = lambda: 0) -> Predicate | None:
    """The predicate of `query`, None where it is empty; ages are as of `now_ms()`. Raises FilterError."""
    terms = [_term(word, now_ms) for word in query.split()]
    if not terms:
        return None
    return lambda row: all(term(row) for term in terms)


def matches(rows: Sequence[Row], predicate: Predicate) -> frozenset[str]:
    """Keys of the rows that match."""
    return frozenset(row.key for row in rows if predicate(row))


def _term(word: str, now_ms: Callable[[], int]) -> Predicate:
    if word.startswith("!"):
        if len(word) == 1:
            raise FilterError("a word is missing after !")
        inner = _term(word[1:], now_ms)
        return lambda row: not inner(row)
    if word.startswith("~"):
        return _regex(word[1:])
    compare = _COMPARE.match(word)
    if compare and _is_field(compare[1], _NUMBERS):
        return _number(compare[1].lower(), compare[2], compare[3], now_ms)
    name, colon, value = word.partition(":")
    if colon and _is_field(name, FIELDS):
        return _field(name.lower(), value.casefold())
    return _word(word.casefold())


def _is_field(name: str, fields: Iterable[str]) -> bool:
    """Whether a field has this name; one that is nearly one is a slip, anything else may stand in a title."""
    if name.lower() in fields:
        return True
    from difflib import get_close_matches  # for a slip alone

    close = get_close_matches(name.lower(), list(fields), 1, _ALIKE)
    if close:
        raise FilterError(f"no field {name[:20]}; {close[0]}?")
    return False


def _field(name: str, value: str) -> Predicate:
    pick = FIELDS[name]
    if name == "state":
        return lambda row: pick(row).startswith(value) or row.status.state.value.startswith(value)
    return lambda row: value in pick(row).casefold()


def _number(name: str, sign: str, value: str, now_ms: Callable[[], int]) -> Predicate:
    number, scales = value.strip("$%").lower(), _TIME_S if name == "age" else _SIZE
    scale = scales.get(number[-1:])
    try:
        limit = float(number) if scale is None else float(number[:-1]) * scale
    except ValueError:
        raise FilterError(f"{name}{sign} needs a number") from None
    if limit != limit:
        raise FilterError(f"{name}{sign} needs a number")
    pick = _NUMBERS[name]

    def test(row: Row) -> bool:
        known = pick(row, now_ms())
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
