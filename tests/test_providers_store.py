"""What providers said, in the store: whole days replaced, revisions noted, zero told from unknown, readers by day.

Numbers in the docstrings are those of the conformance list in docs/providers.md.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from tokentop.nouns.billing import DAY_MS, Balance, Bill, Fetched, Health, Name, ProviderState
from tokentop.nouns.money import Quota
from tokentop.nouns.usage import Tokens
from tokentop.store import bills, db, reader
from tokentop.store.bill_writer import keep
from tokentop.store.recover import replace_damaged

from .provider_build import NOW_MS, serving

STATE = ProviderState("anthropic", "analytics_cost", "abc", Health.OK, at_ms=NOW_MS, ok_ms=NOW_MS)
OLD_DAY = "2026-11-18"


def cost(
    day: str, nusd: int, *, model: str = "claude-opus-5-5", kind: str = "output", **more: object
) -> Bill:
    return Bill(
        "anthropic",
        "anthropic.analytics_cost",
        day,
        kind,
        model=model,
        key="apikey_1",
        amount_nusd=nusd,
        **more,
    )  # type: ignore[arg-type]


def fetched(days: set[str], *rows: Bill, state: ProviderState = STATE) -> Fetched:
    return Fetched(state, frozenset(days), rows)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(db.open_writer(tmp_path)) as connection:
        yield connection


def amounts(store: sqlite3.Connection) -> dict[tuple[str, str], int | None]:
    return {
        (one.day_utc, one.kind): one.amount_nusd for one in bills.bills(store, "2026-01-01", "2027-01-01")
    }


def test_a_later_fetch_replaces_the_days_it_knows_and_no_other(store: sqlite3.Connection) -> None:
    keep(
        store,
        fetched(
            {"2026-11-20", "2026-11-21"},
            cost("2026-11-20", 5),
            cost("2026-11-21", 7),
            cost("2026-11-21", 1, kind="input"),
        ),
    )
    keep(store, fetched({"2026-11-21"}, cost("2026-11-21", 9)))
    assert amounts(store) == {("2026-11-20", "output"): 5, ("2026-11-21", "output"): 9}


def test_a_known_day_without_use_is_told_from_an_unknown_one(store: sqlite3.Connection) -> None:
    """4."""
    keep(store, fetched({"2026-11-20"}))
    assert [one.day for one in bills.known_days(store, "2026-11-19", "2026-11-22")] == ["2026-11-20"]


def test_a_failure_leaves_what_was_there(store: sqlite3.Connection) -> None:
    """43, 49, 55."""
    keep(store, fetched({"2026-11-20"}, cost("2026-11-20", 5)))
    keep(store, Fetched(replace(STATE, state=Health.SERVER, reason="500", at_ms=NOW_MS + 1)))
    assert amounts(store) == {("2026-11-20", "output"): 5}
    [state] = bills.states(store)
    assert (state.state, state.ok_ms) == (Health.SERVER, NOW_MS)


def test_a_changed_amount_of_a_day_that_was_over_is_noted_once(store: sqlite3.Connection) -> None:
    """65."""
    keep(store, fetched({OLD_DAY, "2026-11-21"}, cost(OLD_DAY, 100), cost("2026-11-21", 5)))
    keep(store, fetched({OLD_DAY, "2026-11-21"}, cost(OLD_DAY, 90), cost("2026-11-21", 6)))
    keep(store, fetched({OLD_DAY}, cost(OLD_DAY, 90)))
    [one] = bills.revisions(store, "2026-11-01", "2026-12-01")
    assert (one.day, one.line[:2], one.old_nusd, one.new_nusd) == (
        OLD_DAY,
        ("output", "claude-opus-5-5"),
        100,
        90,
    )
    keep(store, fetched({OLD_DAY}))
    assert bills.revisions(store, "2026-11-01", "2026-12-01")[0].new_nusd is None
    assert (OLD_DAY, "output") not in amounts(store)


def test_days_are_final_two_days_after_their_end(store: sqlite3.Connection) -> None:
    keep(store, fetched({OLD_DAY, "2026-11-20"}, cost(OLD_DAY, 1), cost("2026-11-20", 1)))
    assert {one.day: one.final for one in bills.known_days(store, OLD_DAY, "2026-11-22")} == {
        OLD_DAY: True, "2026-11-20": False,
    }  # fmt: skip


def test_lines_take_each_figure_from_one_report(store: sqlite3.Connection) -> None:
    """The analytics pair comes before the classic one; a report that splits by nothing is not added to one that does."""
    tokens = Tokens(1, 2, 3, 4, 5)
    keep(
        store,
        fetched({OLD_DAY}, cost(OLD_DAY, 10, list_nusd=11), cost(OLD_DAY, 5, kind="input", list_nusd=6)),
    )
    usage = Bill(
        "anthropic",
        "anthropic.analytics_usage",
        OLD_DAY,
        "usage",
        model="claude-opus-5-5",
        key="apikey_1",
        tokens=tokens,
    )
    keep(store, fetched({OLD_DAY}, usage, state=replace(STATE, source="analytics_usage")))
    classic = replace(cost(OLD_DAY, 999), source="anthropic.cost")
    keep(
        store,
        fetched(
            {OLD_DAY, "2026-11-19"},
            classic,
            replace(classic, day_utc="2026-11-19"),
            state=replace(STATE, source="cost"),
        ),
    )
    first, second = bills.lines(store, OLD_DAY, "2026-11-22", provider="anthropic")
    assert (first.tokens, first.amount_nusd, first.list_nusd, first.final) == (tokens, 15, 17, True)
    assert (second.day, second.tokens, second.amount_nusd, second.list_nusd) == (
        "2026-11-19",
        None,
        999,
        None,
    )


def test_a_report_that_stopped_during_a_day_gives_way_to_the_other(store: sqlite3.Connection) -> None:
    today = "2026-11-21"
    keep(store, fetched({today, OLD_DAY}, cost(today, 10), cost(OLD_DAY, 4)))
    later = replace(STATE, source="cost", at_ms=NOW_MS + 7 * 3_600_000)
    classic = [replace(cost(day, 30), source="anthropic.cost") for day in (today, OLD_DAY)]
    keep(store, fetched({today, OLD_DAY}, *classic, state=later))
    assert [(one.day, one.amount_nusd) for one in bills.lines(store, OLD_DAY, "2026-11-22")] == [
        (OLD_DAY, 4),
        (today, 30),
    ]


def test_the_same_report_read_with_a_new_key_is_not_counted_twice(store: sqlite3.Connection) -> None:
    keep(store, fetched({OLD_DAY}, cost(OLD_DAY, 10)))
    keep(store, fetched({OLD_DAY}, cost(OLD_DAY, 12), state=replace(STATE, account="def", at_ms=NOW_MS + 1)))
    assert [one.amount_nusd for one in bills.lines(store, OLD_DAY, "2026-11-19")] == [12]


def member(used: int, at_ms: int = NOW_MS) -> Fetched:
    balance = Balance(
        "anthropic", "anthropic.members", "u1", used_nano=used, limit_nano=9, period="month", at_ms=at_ms
    )
    return Fetched(replace(STATE, source="members"), balances=(balance,))


def test_a_spend_of_zero_after_more_in_the_same_month_is_not_believed(store: sqlite3.Connection) -> None:
    """14."""
    keep(store, member(120))
    keep(store, member(0, NOW_MS + DAY_MS))
    [one] = bills.balances(store)
    assert (one.used_nano, one.stale, one.at_ms) == (120, True, NOW_MS)
    keep(store, member(0, NOW_MS + 31 * DAY_MS))
    [one] = bills.balances(store)
    assert (one.used_nano, one.stale) == (0, False)


def test_names_quotas_and_states_are_kept(store: sqlite3.Connection) -> None:
    quota = Quota("claude", "", 300, "claude", 29.0, NOW_MS + 5, "endpoint", NOW_MS)
    keep(store, Fetched(STATE, names=(Name("anthropic", "key", "apikey_1", "ci"),), quotas=(quota,)))
    keep(store, Fetched(replace(STATE, source="x"), quotas=(replace(quota, at_ms=NOW_MS - 1, used_pct=1.0),)))
    assert bills.names(store) == {("anthropic", "key", "apikey_1"): "ci"}
    assert reader.quotas(store) == [quota]
    assert {one.source for one in bills.states(store)} == {"analytics_cost", "x"}


def test_a_state_that_cannot_be_read_is_passed_over(store: sqlite3.Connection) -> None:
    keep(store, fetched(set()))
    store.execute('UPDATE provider_state SET document=\'{"state": "from the future"}\'')
    assert bills.states(store) == []


def test_an_old_database_gets_the_tables(tmp_path: Path) -> None:
    with closing(db.open_writer(tmp_path)) as connection:
        keep(connection, fetched({OLD_DAY}, cost(OLD_DAY, 1)))
    with closing(db.open_reader(tmp_path)) as connection:
        assert amounts(connection) == {(OLD_DAY, "output"): 1}


def test_bills_survive_a_damaged_file(tmp_path: Path) -> None:
    with closing(db.open_writer(tmp_path)) as connection:
        keep(connection, fetched({OLD_DAY}, cost(OLD_DAY, 1)))
    replace_damaged(tmp_path, NOW_MS)
    with closing(db.open_reader(tmp_path)) as connection:
        assert amounts(connection) == {(OLD_DAY, "output"): 1}
        assert [one.state for one in bills.states(connection)] == [Health.OK]


def test_the_fakes_bill_is_in_the_store_to_the_nano_dollar(store: sqlite3.Connection) -> None:
    """59, the provider's side: what the reports of five days say in all is what the ledger behind them holds."""
    from decimal import Decimal

    with serving() as fake:
        for provider, reports in (
            ("anthropic", ("analytics_cost", "analytics_usage", "cost", "usage")),
            ("openai", ("costs", "usage")),
        ):
            for report in reports:
                _, pulled = fake.pull(provider, report, days=4)
                state = ProviderState(provider, report, "abc", Health.OK, at_ms=NOW_MS)
                keep(store, Fetched(state, pulled.days, tuple(pulled.bills)))
        for day in ("2026-11-18", "2026-11-19", "2026-11-20"):
            ledger = fake.control(f"ledger?day={day}")
            for provider in ("anthropic", "openai"):
                lines = bills.lines(store, day, day + "x", provider=provider)
                total = sum(Decimal(one["usd"]) for one in ledger[provider].values())
                told = sum(
                    (one.list_nusd if provider == "anthropic" else one.amount_nusd) or 0 for one in lines
                )
                assert (
                    abs(Decimal(told) - total * 10**9) <= 5 * 200
                )  # each amount is printed to 10 nano-dollars
                assert all(one.tokens for one in lines if one.model)
            classic = sum(
                one.amount_nusd or 0 for one in bills.bills(store, day, day + "x", source="anthropic.cost")
            )
            listed = sum(
                one.list_nusd or 0
                for one in bills.bills(store, day, day + "x", source="anthropic.analytics_cost")
            )
            assert abs(classic - listed) <= 5 * 200
