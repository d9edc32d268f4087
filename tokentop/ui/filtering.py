"""The filter line: `agent:claude state:perm cost>5 !idle ~regex` -> a predicate over rows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tokentop.engine.terms import TEXT_LIMIT, Compare, Field, FilterError, Pattern, Term
from tokentop.engine.terms import parse as parse_terms
from tokentop.nouns.picture import Row
from tokentop.nouns.usage import Figures
from tokentop.ui.cells import context_pct, hit_pct, unread
from tokentop.ui.glyphs import LOOKS

__all__ = ["FIELDS", "HELP", "FilterError", "Predicate", "matches", "parse"]

Predicate = Callable[[Row], bool]

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


def parse(query: str, now_ms: Callable[[], int] = lambda: 0) -> Predicate | None:
    """The predicate of `query`, None where it is empty; ages are as of `now_ms()`. Raises FilterError."""
    tests = [_test(term, now_ms) for term in parse_terms(query, FIELDS, _NUMBERS)]
    if not tests:
        return None
    return lambda row: all(test(row) for test in tests)


def matches(rows: Iterable[Row], predicate: Predicate) -> frozenset[str]:
    """Keys of the rows that match."""
    return frozenset(row.key for row in rows if predicate(row))


def _test(term: Term, now_ms: Callable[[], int]) -> Predicate:
    if term.negated:
        inner = _plain(term, now_ms)
        return lambda row: not inner(row)
    return _plain(term, now_ms)


def _plain(term: Term, now_ms: Callable[[], int]) -> Predicate:
    if isinstance(term, Pattern):
        compiled = term.compiled()
        return lambda row: any(compiled.search(text[:TEXT_LIMIT]) for text in _texts(row))
    if isinstance(term, Compare):
        return _number(term, now_ms)
    if isinstance(term, Field):
        return _field(term.name, term.text)
    return _word(term.text)


def _field(name: str, value: str) -> Predicate:
    pick = FIELDS[name]
    if name == "state":
        return lambda row: pick(row).startswith(value) or row.status.state.value.startswith(value)
    return lambda row: value in pick(row).casefold()


def _number(term: Compare, now_ms: Callable[[], int]) -> Predicate:
    pick = _NUMBERS[term.name]

    def test(row: Row) -> bool:
        known = pick(row, now_ms())
        return known is not None and term.holds(known)

    return test


def _texts(row: Row) -> tuple[str, ...]:
    return row.title, row.project, row.model, row.agent, row.session_id, row.command, row.status.detail


def _word(word: str) -> Predicate:
    return lambda row: any(word in text.casefold() for text in _texts(row)) or word == row.status.state.value
