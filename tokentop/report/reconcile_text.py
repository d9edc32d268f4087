"""`tokentop reconcile` for people: the days, what differs on them, and on demand each model and key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tokentop.engine.by_key import KeyLine
from tokentop.engine.day_totals import DayTotal, by_day
from tokentop.engine.reconcile import Line, Verdict
from tokentop.store.compare import Result
from tokentop.text import clean, digits3

from .out import money, plain_table

_NAMED = 3  # models and pieces of a difference that are named; the others are counted


def text(result: Result) -> str:
    """A line a day and provider; below, of days that do not match, the models and the pieces of the difference."""
    days = tuple(reversed(by_day(result.report.lines)))
    heads = ("day", "provider", "cover", "ours $", "theirs $", "difference", "verdict")
    out = [plain_table(heads, [_day(day) for day in days], 2, 1)] if days else []
    for day in days:
        if day.odd:
            out += ["", *_differs(day)]
    if not all(day.final for day in days):
        out += ["", "* not settled: the provider may still change it"]
    if any(day.odd for day in days):
        out += ["", "--by-model shows each model and what its difference is made of"]
    for provider, ratio in result.report.discounts.items():
        out += [
            "",
            f"{provider}: billed at {ratio:.1%} of list price, a discount of {1 - ratio:.1%} on all models",
        ]
    for f in result.factors:
        ours, expected, low, high = result.today[f.provider]
        out += ["", f"{f.provider} today: {money(ours)} in our logs; by the last {f.days} settled days the bill will say"
                    f" {money(expected)} ({money(low)} to {money(high)}), {f.ratio:.3f} for each dollar here"]  # fmt: skip
    if result.covered:
        out += ["", f"not compared: {_covered(result)}"]
    return "\n".join(out)


def _day(day: DayTotal) -> tuple[str, ...]:
    return (
        _dated(day.day_utc, day.final),
        day.provider,
        _share(day.coverage),
        money(day.ours_nusd),
        "?" if day.list_nusd is None else money(day.list_nusd),
        _gap(day.difference_nusd),
        day.verdict.value,
    )


def _differs(day: DayTotal) -> Iterable[str]:
    """The reason, the models with the largest differences, and what these are made of."""
    yield f"{day.day_utc} {day.provider}: {day.verdict.value}, {day.reason}"
    odd = sorted(day.odd, key=lambda line: -abs(line.difference_nusd or 0))
    named = [f"{_model(line, 60)} {_gap(line.difference_nusd)}" for line in odd[:_NAMED]]
    yield f"    {', '.join(named)}{_more(len(odd))}"
    for part in day.parts[:_NAMED]:
        yield f"    {_gap(part.nusd):>9}  {part.name}"
    if len(day.parts) > _NAMED:
        yield f"    {'':>9} {_more(len(day.parts))}"


def _more(count: int) -> str:
    return f" and {count - _NAMED} more" if count > _NAMED else ""


def model_text(result: Result) -> str:
    """A line a day and model; below what does not match, the pieces of the difference."""
    heads = (
        "day",
        "provider",
        "model",
        "ours",
        "theirs",
        "cover",
        "ours $",
        "theirs $",
        "difference",
        "verdict",
    )
    lines = result.report.lines
    notes = [
        note
        for line in lines
        if line.verdict not in (Verdict.MATCH, Verdict.NONE)
        for note in _explained(line)
    ]
    table = plain_table(heads, [_cells(line) for line in lines], 3, 1)
    return "\n".join([table, "", *notes] if notes else [table])


def nothing_told(result: Result) -> str:
    """Why there is nothing to compare."""
    if result.covered:
        return f"no provider has told a bill of these days, and {_covered(result)}"
    return "no provider has told a bill of these days"


def _covered(result: Result) -> str:
    """What plans pay is never called a discrepancy."""
    value = sum(row.cost_nusd for row in result.covered)
    return f"{money(value)} at list price is covered by plans: no call is billed"


def _cells(line: Line) -> tuple[str, ...]:
    return (
        _dated(line.day_utc, line.final),
        line.provider,
        _model(line, 40),
        digits3(line.ours.total),
        "?" if line.theirs is None else digits3(line.theirs.total),
        _share(line.coverage),
        money(line.ours_nusd),
        "?" if line.list_nusd is None else money(line.list_nusd),
        _gap(line.difference_nusd),
        line.verdict.value,
    )


def key_text(keys: Sequence[KeyLine]) -> str:
    """A line a day, key and model; ours where it is known to be of that key."""
    heads = ("day", "provider", "key", "model", "ours", "theirs", "cover", "ours $", "theirs $")
    rows = [
        (
            _dated(one.day_utc, one.final),
            one.provider,
            (clean(one.name, 30) or clean(one.key, 30)) if one.key else "not split",
            clean(one.model, 40) or "-",
            "?" if one.ours is None else digits3(one.ours.total),
            "?" if one.theirs is None else digits3(one.theirs.total),
            _share(one.coverage),
            "?" if one.ours_nusd is None else money(one.ours_nusd),
            "?" if one.list_nusd is None else money(one.list_nusd),
        )
        for one in keys
    ]
    note = "logs do not name keys: ours is known where one key alone was used; --key ID names this machine's"
    return f"{plain_table(heads, rows, 4)}\n\n{note}" if rows else "no report splits these days by key"


def _explained(line: Line) -> Iterable[str]:
    yield f"{line.day_utc} {line.provider} {_model(line, 60)}: {line.verdict.value}, {line.reason}"
    for part in line.parts:
        yield f"    {_gap(part.nusd):>9}  {part.name}"


def _dated(day_utc: str, final: bool) -> str:
    return day_utc + ("" if final else " *")


def _model(line: Line, chars: int) -> str:
    return clean(line.model, chars) or line.kind.replace("_", " ")


def _share(coverage: float | None) -> str:
    return "–" if coverage is None else f"{coverage:.1%}"


def _gap(nusd: int | None) -> str:
    """A difference with its sign; `–` where one side does not say."""
    return "–" if nusd is None else f"{'-' if nusd < 0 else '+' if nusd else ''}{money(abs(nusd))}"
