"""The answer for "Limits & bill": what the live state and the store tell, for one that writes and one that reads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tokentop.collector import collector as collecting
from tokentop.engine.correction import Factor, correct
from tokentop.engine.day_totals import by_day
from tokentop.engine.reconcile import Line, Verdict
from tokentop.engine.residual import Part
from tokentop.engine.statement import Statement, cumulated
from tokentop.nouns.billing import Balance, Bill, Fetched, Health, ProviderState
from tokentop.nouns.money import Forecast, Quota
from tokentop.nouns.usage import Tokens
from tokentop.runtime import Runtime
from tokentop.settings.load import load
from tokentop.store import bill_writer, db, reader
from tokentop.store.ours import utc_day

from .faults import BASE_MS, Scratch, collector, line, midday, stamp, tick_until, wait_for

USD = 1_000_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SETTINGS = """
[budgets]
day = 1000
[[plans]]
agent = "codex"
name = "Pro"
fee_usd = 200
[providers.openai]
on = true
[providers.xai]
on = true
account = "team"
"""


@contextmanager
def running(scratch: Scratch) -> Iterator[Runtime]:
    environ = scratch.environ()
    runtime = Runtime(scratch.state, environ, load(environ))
    runtime.start(lambda _: None)
    try:
        yield runtime
    finally:
        runtime.stop()


def settled(runtime: Runtime) -> Statement:
    """The first answer that has read everything."""
    found: list[Statement] = []

    def done() -> bool:
        found[:] = [runtime.statement()]
        return found[0].day is not None and not found[0].reading and found[0].today.responses == 3

    wait_for(done)
    return found[0]


def told(scratch: Scratch, now_ms: int) -> None:
    """What providers said: a settled bill of four days ago, a refusal, a balance."""
    day = utc_day(now_ms - 4 * DAY_MS)
    state = ProviderState("xai", "balance", "abc", Health.OK, at_ms=now_ms, ok_ms=now_ms)
    refused = ProviderState("openai", "costs", "", Health.UNAUTHORIZED, "401", now_ms, now_ms - HOUR_MS)
    bill = Bill("anthropic", "anthropic.cost", day, "output", "claude-sonnet-4-5", amount_nusd=2 * USD)
    with closing(db.open_writer(scratch.state)) as connection:
        bill_writer.keep(
            connection, Fetched(state, balances=(Balance("xai", "balance", "prepaid", remaining_nano=USD),))
        )
        bill_writer.keep(connection, Fetched(refused))
        cost = ProviderState("anthropic", "cost", "abc", Health.OK, at_ms=now_ms, ok_ms=now_ms)
        bill_writer.keep(connection, Fetched(cost, frozenset({day}), (bill,)))


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    home = Scratch(tmp_path)
    home.zone = midday()
    home.config.write_text(SETTINGS)
    now_ms = round(time.time() * 1000)
    home.log(line(n, output=100_000, timestamp=stamp(now_ms - n)) for n in range(3))
    assert home.run("sync").returncode == 0
    told(home, now_ms)
    return home


def test_one_that_writes_and_one_that_reads_tell_the_same(scratch: Scratch) -> None:
    with running(scratch) as writer:
        first = settled(writer)
        with running(scratch) as follower:
            second = settled(follower)
    assert (first.mode, second.mode) == ("live", "reader")
    for one in (first, second):
        assert one.day is not None
        assert one.forecast is not None
        assert one.day.spent[-1][1] == one.forecast.today_nusd == one.today.cost_nusd > 4 * USD
        assert [budget.spent_nusd for budget in one.budgets] == [one.today.cost_nusd]
        assert one.plans is not None
        assert [plan.agent for plan in one.plans.plans] == ["codex"]
        assert one.plans.cash_today_nusd == one.today.cost_nusd
        assert "claude" in one.agents
        assert not one.hooked
        standing = {each.provider: each for each in one.providers}
        assert standing["openai"].state == Health.NO_KEY
        assert "no key" in standing["openai"].problem
        assert standing["xai"].balances[0].remaining_nano == USD
        assert not standing["anthropic"].on
        assert one.bills is not None
        [day] = [day for day in one.bills.days if day.provider == "anthropic" and day.final]
        assert (day.list_nusd, day.ours_nusd, day.verdict) == (2 * USD, 0, Verdict.UNCOVERED)
        assert one.problems == ()
    assert first.providers == second.providers


def test_what_did_not_change_is_not_worked_out_again(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tokentop.answers import bookkeeper

    asked: list[int] = []
    examine = bookkeeper.examine
    monkeypatch.setattr(bookkeeper, "examine", lambda *words: asked.append(1) or examine(*words))
    with running(scratch) as runtime:
        settled(runtime)
        before = len(asked)
        assert runtime.statement().bills == runtime.statement().bills
        assert len(asked) == before == 1
        told(scratch, round(time.time() * 1000) + 5)
        runtime.statement()
        assert len(asked) == 2


def test_without_a_store_it_is_told_and_nothing_is_zero(tmp_path: Path) -> None:
    from tokentop.answers.bookkeeper import Bookkeeper, Sums
    from tokentop.pricing.table import PriceTable
    from tokentop.settings.config import Settings
    from tokentop.settings.zone import local_zone

    keeper = Bookkeeper(
        tmp_path / "none", {"HOME": str(tmp_path)}, Settings(), local_zone({"TZ": "UTC"}), PriceTable
    )
    found = keeper.complete(Statement(BASE_MS), Sums())
    assert "no database" in found.problems[0]
    assert (found.plans, found.bills, found.forecast, found.day) == (None, None, None, None)
    assert {one.state for one in found.providers} == {"off"}


# ---------------------------------------------------------------- projections that are stored


def test_a_projection_is_stored_each_quarter_of_an_hour_and_when_it_has_moved_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = Scratch(tmp_path)
    clock = [BASE_MS + 60_000]
    monkeypatch.setattr(collecting, "now_ms", lambda: clock[0])
    log = scratch.log([line(1)])
    subject, pictures = collector(scratch)

    def stored() -> list[tuple[int, str, int]]:
        with closing(db.open_reader(scratch.state)) as connection:
            return connection.execute(
                "SELECT at_ms, day, today_nusd FROM projection ORDER BY at_ms"
            ).fetchall()

    def later(ms: int) -> int:
        """So many projections are stored after that time."""
        clock[0] += ms
        subject.look_again()
        return len(stored())

    try:
        tick_until(subject, pictures, lambda picture: picture.today.responses == 1)
        assert later(0) == 1
        with log.open("ab") as file:
            file.write(line(2, output=2_000_000, timestamp=stamp(clock[0])))  # some 30 dollars
        tick_until(subject, pictures, lambda picture: picture.today.responses == 2)
        assert later(30_000) == 1, "it has moved far, but a minute has not passed"
        assert later(31_000) == 2
        assert stored()[1][0] == clock[0]
        assert stored()[1][2] > 29 * USD
        assert later(14 * 60_000) == 2, "nothing has moved"
        assert later(60_000) == 3
    finally:
        subject.close()


# ---------------------------------------------------------------- pure


def test_the_curve_stands_still_where_nothing_was_spent() -> None:
    points = cumulated([(0, 5), (1000, 7), (5000, 2)], 1000, 0, 5500, 14)
    assert points == ((0, 0), (1000, 5), (2000, 12), (5000, 12), (5500, 14))
    assert cumulated([], 1000, 0, 0, 0) == ((0, 0),)
    assert cumulated([(0, 5)], 1000, 0, 1000, 5) == ((0, 0), (1000, 5))


def compared(day: str, verdict: Verdict, ours: int, listed: int | None, **more: object) -> Line:
    fields: dict[str, object] = {
        "provider": "anthropic", "model": "m", "kind": "tokens", "reason": "because", "ours": Tokens(ours),
        "theirs": None if listed is None else Tokens(listed), "billed_nusd": listed, "coverage": None,
        "parts": () if listed is None else (Part("tier", ours - listed),), "final": True,
    }  # fmt: skip
    return Line(day_utc=day, verdict=verdict, ours_nusd=ours, list_nusd=listed, **{**fields, **more})  # type: ignore[arg-type]


def test_a_day_is_as_good_as_its_worst_line() -> None:
    lines = [
        compared("2026-11-20", Verdict.MATCH, 90, 100),
        compared("2026-11-20", Verdict.PRICE, 50, 40, final=False),
        compared("2026-11-20", Verdict.NONE, 33, None),
        compared("2026-11-21", Verdict.MATCH, 10, 10),
        compared("2026-11-21", Verdict.UNCOVERED, 10, 20, provider="openai"),
    ]
    newest, other, day = by_day(lines)
    assert [(one.day_utc, one.provider) for one in (newest, other)] == [
        ("2026-11-21", "anthropic"),
        ("2026-11-21", "openai"),
    ]
    assert (day.verdict, day.reason, day.final) == (Verdict.PRICE, "because", False)
    assert (day.ours_nusd, day.list_nusd, day.difference_nusd, day.apart_nusd) == (140, 140, 0, 33)
    assert day.coverage == 1.0
    assert [line.verdict for line in day.odd] == [Verdict.PRICE]
    assert sum(part.nusd for part in other.parts) == other.difference_nusd == -10
    [unknown] = by_day([compared("2026-11-20", Verdict.NONE, 33, None)])
    assert (unknown.list_nusd, unknown.difference_nusd, unknown.coverage) == (None, None, None)


def test_what_settled_days_teach_changes_only_what_is_billed() -> None:
    forecast = Forecast(BASE_MS, "2026-11-21", 100 * USD, 200 * USD, 150 * USD, 300 * USD, "profile")
    factor = Factor("anthropic", 1.1, 1.0, 1.2, 7)
    half = correct(forecast, {"anthropic": 50 * USD, "openai": 50 * USD}, [factor])
    assert half is not None
    assert (half.today_nusd, half.projected_nusd) == (105 * USD, 210 * USD)
    assert (half.low_nusd, half.high_nusd) == (150 * USD, 330 * USD)
    assert correct(forecast, {"openai": 50 * USD}, [factor]) is None
    assert correct(forecast, {"anthropic": 50 * USD}, []) is None
    nothing = Forecast(BASE_MS, "2026-11-21", 0, 0, 0, 0, "none")
    assert correct(nothing, {"anthropic": 1}, [factor]) is None


def test_limits_come_with_their_pace(tmp_path: Path) -> None:
    """A limit in the store is in the answer, whatever told it; the hook is seen to be there."""
    scratch = Scratch(tmp_path)
    scratch.log([line(1)])
    assert scratch.run("sync").returncode == 0
    now_ms = round(time.time() * 1000)

    with running(scratch) as runtime:
        wait_for(lambda: runtime.statement().day is not None)
        folder = scratch.state / "limits"
        folder.mkdir(exist_ok=True)
        (folder / "claude-x.json").write_text(
            f'{{"v": 1, "at_ms": {now_ms}, "account": "work", "limits": {{"five_hour": '
            f'{{"used_percentage": 40.0, "resets_at": {now_ms // 1000 + 9000}}}}}}}'
        )
        wait_for(lambda: runtime.statement().quotas)
        found = runtime.statement()
    assert found.hooked
    assert [(q.provider, q.account, q.used_pct) for q in found.quotas] == [("claude", "work", 40.0)]
    assert isinstance(found.quotas[0], Quota)
    with closing(db.open_reader(scratch.state)) as connection:
        assert len(reader.quotas(connection)) == 1
