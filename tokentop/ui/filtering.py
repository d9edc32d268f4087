"""The filter line: `agent:claude state:perm cost>5 !idle ~regex` -> a predicate over rows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property

from tokentop.engine.terms import TEXT_LIMIT, Compare, Field, FilterError, Pattern, Term
from tokentop.engine.terms import parse as parse_terms
from tokentop.nouns.picture import Alert, Row
from tokentop.nouns.usage import Figures
from tokentop.ui.cells import context_pct, hit_pct, unread
from tokentop.ui.glyphs import LOOKS

__all__ = ["FIELDS", "HELP", "NO_PROGRESS", "FilterError", "Moment", "Predicate", "matches", "parse"]

Predicate = Callable[[Row], bool]

NO_PROGRESS = "alert:no-progress"  # the rows with the sign


class Moment:
    """What a filter is told beside the rows: when they are of, and what stands against them."""

    def __init__(self, at_ms: int = 0, alerts: Iterable[Alert] = ()) -> None:
        self.at_ms = at_ms
        self._alerts = alerts

    @cached_property
    def kinds(self) -> Mapping[str, str]:
        """Row key -> the kinds of its alerts; worked out where a filter asks."""
        found: dict[str, str] = {}
        for alert in self._alerts:
            kind = f"{alert.kind} ∅" if alert.kind == "no-progress" else alert.kind
            found[alert.row_key] = f"{found.get(alert.row_key, '')} {kind}".strip()
        return found


FIELDS: dict[str, Callable[[Row, Moment], str]] = {
    "agent": lambda r, _: r.agent,
    "state": lambda r, _: LOOKS[r.status.state].word if r.status.state != "tool" else "tool",
    "proj": lambda r, _: r.project,
    "project": lambda r, _: r.project,
    "model": lambda r, _: r.model,
    "branch": lambda r, _: r.branch,
    "cwd": lambda r, _: r.cwd,
    "pid": lambda r, _: str(r.pid or ""),
    "tool": lambda r, _: r.status.detail,
    "kind": lambda r, _: r.kind,
    "where": lambda r, _: r.where,
    "host": lambda r, _: r.host,
    "session": lambda r, _: r.session_id,
    "title": lambda r, _: r.title,
    "alert": lambda r, moment: moment.kinds.get(r.key, ""),
}


def _known(pick: Callable[[Figures], float | None]) -> Callable[[Row, Moment], float | None]:
    """None where nothing has been read: an unknown figure is not below a limit."""
    return lambda row, _: None if unread(row, tree=True) else pick(row.tree)


def _since_s(at_ms: int, moment: Moment) -> float | None:
    return (moment.at_ms - at_ms) / 1000 if at_ms > 0 and moment.at_ms > 0 else None


_NUMBERS: dict[str, Callable[[Row, Moment], float | None]] = {
    "cost": _known(lambda f: f.cost_nusd / 1e9),
    "rate": _known(lambda f: f.tokens_per_min if f.rates_known else None),
    "burn": _known(lambda f: f.burn_nusd_per_h / 1e9 if f.rates_known else None),
    "tokens": _known(lambda f: f.tokens.total),
    "responses": _known(lambda f: f.responses),
    "hit": _known(hit_pct),
    "ctx": lambda r, _: context_pct(r),
    "cpu": lambda r, _: r.cpu_pct if r.pid is not None else None,
    "mem": lambda r, _: float(r.rss_bytes) if r.pid is not None else None,
    "age": lambda r, moment: _since_s(r.started_ms, moment),
    "unchanged": lambda r, moment: _since_s(r.unchanged_since_ms, moment),
    "pid": lambda r, _: float(r.pid) if r.pid is not None else None,
}

HELP: tuple[tuple[str, str], ...] = (
    ("words", "title, project, model, agent or session id contains each of them; n N next and previous match"),
    ("agent: state: proj: model: branch: cwd: pid: tool: kind: where: host: session: title:",
     "the field contains the text"),
    (f"{NO_PROGRESS} alert:runaway alert:context alert:limited alert:unpriced",
     "an alert stands; no-progress is ∅ (unchanged>30m: for so long)"),
    ("cost>5 rate>10k burn<=2 tokens>1m ctx>80 hit<50 cpu>50 mem>1g age>2h unchanged>30m responses>100",
     "compare: dollars, tokens/min and $/h (over the shown window), tokens, per cent, bytes, time"),
    ("!word !state:idle", "everything but"),
    ("~regex", "regular expression on the same texts as words"),
)  # fmt: skip


def parse(query: str, moment: Callable[[], Moment] = Moment) -> Predicate | None:
    """The predicate of `query`, None where it is empty; ages and alerts are as of `moment()`. Raises FilterError."""
    tests = [_test(term, moment) for term in parse_terms(query, FIELDS, _NUMBERS)]
    if not tests:
        return None
    return lambda row: all(test(row) for test in tests)


def matches(rows: Iterable[Row], predicate: Predicate) -> frozenset[str]:
    """Keys of the rows that match."""
    return frozenset(row.key for row in rows if predicate(row))


def _test(term: Term, moment: Callable[[], Moment]) -> Predicate:
    if term.negated:
        inner = _plain(term, moment)
        return lambda row: not inner(row)
    return _plain(term, moment)


def _plain(term: Term, moment: Callable[[], Moment]) -> Predicate:
    if isinstance(term, Pattern):
        compiled = term.compiled()
        return lambda row: any(compiled.search(text[:TEXT_LIMIT]) for text in _texts(row))
    if isinstance(term, Compare):
        return _number(term, moment)
    if isinstance(term, Field):
        return _field(term.name, term.text, moment)
    return _word(term.text)


def _field(name: str, value: str, moment: Callable[[], Moment]) -> Predicate:
    pick = FIELDS[name]
    if name == "state":
        return lambda row: pick(row, moment()).startswith(value) or row.status.state.value.startswith(value)
    return lambda row: value in pick(row, moment()).casefold()


def _number(term: Compare, moment: Callable[[], Moment]) -> Predicate:
    pick = _NUMBERS[term.name]

    def test(row: Row) -> bool:
        known = pick(row, moment())
        return known is not None and term.holds(known)

    return test


def _texts(row: Row) -> tuple[str, ...]:
    return row.title, row.project, row.model, row.agent, row.session_id, row.command, row.status.detail


def _word(word: str) -> Predicate:
    return lambda row: any(word in text.casefold() for text in _texts(row)) or word == row.status.state.value
