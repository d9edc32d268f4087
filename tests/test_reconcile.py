"""Reconciliation: the same usage read from logs and from a provider's bill agrees to nothing; differences are named.

Numbers in the docstrings are those of the conformance list in docs/providers.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tokentop.billing import BillLine, Fetched, Health, ProviderState
from tokentop.engine.reconcile import Ours, Row, Verdict, discount, reconcile
from tokentop.model import Tokens
from tokentop.report.reconcile import compare, same_model
from tokentop.store import db
from tokentop.store.bill_writer import keep

from . import fake_provider
from .faults import Scratch
from .provider_build import NOW_MS, Fake, serving

DAYS = [date(2026, 11, 18), date(2026, 11, 19), date(2026, 11, 20)]
PRICES = "".join(
    f'[prices."{model}"]\ninput = {p[0]}\noutput = {p[1]}\ncache_write_5m = {p[2]}\ncache_write_1h = {p[3]}\ncache_read = {p[4]}\n'
    for model, p in fake_provider.PRICES.items()
)


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serving(step=7) as server:
        yield server


def twin(scratch: Scratch, days: list[date], keys: set[str | None] | None = None, **world: Any) -> None:
    """The usage of the fake as Claude Code's own logs, counted at its prices."""
    scratch.config.write_text(PRICES)
    made = fake_provider.World(7, fake_provider.parse_time("2026-11-23T00:00:00Z"), 0, step=7)
    assert fake_provider.write_claude_home(made, scratch.home / ".claude", days, keys) > 100


def fetch(scratch: Scratch, fake: Fake, *sources: str) -> None:
    with closing(db.open_writer(scratch.state)) as connection:
        for source in sources or ("analytics_cost", "analytics_usage"):
            went, pulled = fake.pull("anthropic", source, days=5)
            assert went.state is Health.OK
            state = ProviderState("anthropic", source, "abc", Health.OK, at_ms=NOW_MS + 3 * 86_400_000)
            keep(connection, Fetched(state, pulled.days, tuple(pulled.bills)))


def compared(scratch: Scratch, first: date, until: date, *keys: str) -> list[Row]:
    with closing(db.open_reader(scratch.state)) as connection:
        return compare(connection, first, until, frozenset(keys))


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Tongatapu", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("sources", [("analytics_cost", "analytics_usage"), ("cost", "usage")])
def test_the_twin_agrees_to_nothing(tmp_path: Path, fake: Fake, zone: str, sources: tuple[str, ...]) -> None:
    """59, 66, and "done when" 1: every key, every token class, every UTC day, whatever the zone of the machine."""
    scratch = Scratch(tmp_path)
    twin(scratch, DAYS)
    assert scratch.run("sync", env={"TZ": zone}).returncode == 0
    fetch(scratch, fake, *sources)
    rows = compared(scratch, DAYS[0], DAYS[-1] + timedelta(days=1))
    with_model = [row for row in rows if row.model]
    assert len(with_model) == len(DAYS) * len(fake_provider.PRICES)
    for row in with_model:
        assert (row.ours, row.coverage) == (row.theirs, 1.0)
    if "analytics_cost" in sources:
        assert {(row.verdict, row.difference_nusd, row.residual_nusd, row.missing_nusd) for row in rows} == {
            (Verdict.MATCH, 0, 0, 0)
        }
        share = discount(rows)  # 62
        assert share is not None
        assert round(share, 6) == 0.1
    else:  # web searches are billed without a model there: the days agree as a whole
        for day in {row.day for row in rows}:
            told = [row for row in rows if row.day == day]
            difference = sum(row.ours_nusd for row in told) - sum(row.theirs_nusd or 0 for row in told)
            assert abs(difference) <= 5 * 200


def test_a_machine_with_one_of_the_keys_is_covered_in_part(tmp_path: Path, fake: Fake) -> None:
    """60."""
    scratch = Scratch(tmp_path)
    twin(scratch, DAYS[-1:], {"apikey_01B"})
    assert scratch.run("sync").returncode == 0
    fetch(scratch, fake)
    day = DAYS[-1]
    rows = compared(scratch, day, day + timedelta(days=1))
    assert {row.verdict for row in rows} == {Verdict.UNCOVERED}
    for row in rows:
        assert row.theirs is not None
        assert row.coverage == row.ours.total / row.theirs.total < 0.6
    rows = compared(scratch, day, day + timedelta(days=1), "apikey_01B")
    assert {(row.verdict, row.difference_nusd) for row in rows} == {(Verdict.MATCH, 0)}


def test_the_command_says_it_and_its_status_is_for_scripts(tmp_path: Path, fake: Fake) -> None:
    scratch = Scratch(tmp_path)
    nothing = scratch.run("reconcile")
    assert (nothing.returncode, "no provider" in nothing.stderr) == (3, True)
    assert scratch.run("reconcile", "--since", "x").returncode == 2
    twin(scratch, DAYS)
    fetch(scratch, fake)
    done = scratch.run("reconcile", "--since", "2026-11-18", "--json")
    found = json.loads(done.stdout)
    assert (done.stderr, found["schema"], found["discount_pct"]) == ("", "tokentop.reconcile/1", 10.0)
    final = [row for row in found["rows"] if row["day_utc"] <= "2026-11-20"]
    assert {(row["verdict"], row["difference_usd"], row["final"]) for row in final} == {
        ("match", "0.000000000", True)
    }
    text = scratch.run("reconcile", "--since", "2026-11-18").stdout
    assert "billed 10.0 % below the provider's list price" in text
    prices = PRICES.replace("output = 25", "output = 50")
    scratch.config.write_text(prices)
    (scratch.database).unlink()
    for extra in ("-wal", "-shm"):
        Path(f"{scratch.database}{extra}").unlink(missing_ok=True)
    assert scratch.run("sync").returncode == 0
    fetch(scratch, fake)
    wrong = scratch.run("reconcile", "--since", "2026-11-18", "--json")
    assert wrong.returncode == 1
    assert {row["model"] for row in json.loads(wrong.stdout)["rows"] if row["verdict"] == "price"} == {
        "claude-opus-5-5"
    }


# ---------------------------------------------------------------- the pure part

DAY = "2026-11-18"
TOKENS = Tokens(1000, 50_000, 2000, 300, 4000)
CLASSES = (3_000_000_000, 15_000_000_000, 7_500_000_000, 1_800_000_000, 60_000_000_000)
PRICE = sum(CLASSES)
THEIRS = BillLine(DAY, "anthropic", "m", "k", "", TOKENS, PRICE, PRICE, "USD", True, CLASSES, 5)
OURS = Ours(DAY, "anthropic", "m", TOKENS, PRICE, responses=9)


def one(ours: Ours | None, theirs: BillLine | None, final: bool = True, **options: Any) -> Row:
    [row] = reconcile(
        [ours] if ours else [],
        [replace(theirs, final=final)] if theirs else [],
        [(DAY, "anthropic", final)],
        **options,
    )
    return row


def test_equal_is_a_match_and_a_day_that_was_not_told_is_not_compared() -> None:
    assert one(OURS, THEIRS).verdict is Verdict.MATCH
    assert reconcile([OURS], [THEIRS], []) == []


def test_a_provider_without_a_bill_for_our_use_is_no_discrepancy() -> None:
    """63: a plan's use has no dollar of the provider's."""
    row = one(OURS, None)
    assert (row.verdict, row.difference_nusd, row.theirs_nusd) == (Verdict.NONE, None, None)
    assert "a plan" in row.reasons[0]


@pytest.mark.parametrize(("final", "verdict"), [(True, Verdict.OVER), (False, Verdict.PENDING)])
def test_more_here_than_there(final: bool, verdict: Verdict) -> None:
    """61."""
    more = replace(OURS, tokens=TOKENS + Tokens(input=10_000), cost_nusd=PRICE + 30_000_000_000)
    row = one(more, THEIRS, final)
    assert (row.verdict, row.missing_nusd, row.residual_nusd) == (verdict, -30_000_000_000, 0)


def test_less_here_than_there_is_valued_at_the_providers_prices() -> None:
    less = replace(
        OURS, tokens=Tokens(1000, 50_000, 2000, 300, 1000), cost_nusd=PRICE - 45_000_000_000, unknown_calls=2
    )
    row = one(less, THEIRS)
    assert (row.verdict, row.missing_nusd, row.residual_nusd) == (Verdict.UNCOVERED, 45_000_000_000, 0)
    assert "2 calls here ended without their usage" in row.reasons


def test_cache_writes_of_another_lifetime_are_named() -> None:
    """64."""
    short = replace(OURS, tokens=Tokens(1000, 50_000, 2300, 0, 4000), cost_nusd=PRICE - 2_000_000_000)
    row = one(short, THEIRS)
    assert row.verdict is Verdict.PRICE
    assert "cache writes" in row.reasons[0]


@pytest.mark.parametrize(
    ("nusd", "words"),
    [(PRICE * 2, "discount"), (PRICE // 2, "tier above"), (PRICE + PRICE // 50, "discount")],
)
def test_other_money_for_the_same_tokens(nusd: int, words: str) -> None:
    row = one(replace(OURS, cost_nusd=nusd), THEIRS)
    assert (row.verdict, words in row.reasons[0], row.missing_nusd) == (Verdict.PRICE, True, 0)
    assert one(replace(OURS, cost_nusd=nusd), THEIRS, final=False).verdict is Verdict.PENDING


def test_a_model_without_a_price_is_said() -> None:
    row = one(replace(OURS, cost_nusd=0, unpriced_tokens=TOKENS.total), THEIRS)
    assert (row.verdict, "have no price" in row.reasons[0]) == (Verdict.PRICE, True)


def test_within_the_tolerance_is_a_match() -> None:
    assert one(replace(OURS, cost_nusd=PRICE + PRICE // 101), THEIRS).verdict is Verdict.MATCH
    little = replace(THEIRS, amount_nusd=10_000_000, list_nusd=None)
    assert one(replace(OURS, cost_nusd=40_000_000), little).verdict is Verdict.MATCH


def test_models_that_mean_the_same_are_one_row_and_other_currencies_none() -> None:
    dated = replace(OURS, model="m-20260101")
    [row] = reconcile([OURS, dated], [THEIRS, THEIRS], [(DAY, "anthropic", True)], same=same_model)
    assert (row.verdict, row.ours_nusd) == (Verdict.MATCH, 2 * PRICE)
    assert one(OURS, replace(THEIRS, currency="EUR")).verdict is Verdict.NONE
    assert [same_model(n) for n in ("Claude-Opus-5-5[1m]", "x/gpt-5.6-2026-08-01", "gpt-5.6")] == [
        "claude-opus-5-5", "gpt-5.6", "gpt-5.6",
    ]  # fmt: skip


def test_only_the_keys_of_this_machine() -> None:
    other = replace(THEIRS, key="k2")
    [row] = reconcile([OURS], [THEIRS, other], [(DAY, "anthropic", True)], keys=frozenset({"k"}))
    assert row.verdict is Verdict.MATCH
    [row] = reconcile([OURS], [THEIRS, other], [(DAY, "anthropic", True)])
    assert (row.verdict, row.coverage) == (Verdict.UNCOVERED, 0.5)
