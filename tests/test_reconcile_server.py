"""Our figures from real transcripts against a provider's from a real socket, through the store.

Numbers in the docstrings are those of the conformance list in docs/providers.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tokentop.engine.by_key import by_key
from tokentop.engine.reconcile import Line, Verdict
from tokentop.ledger import prices
from tokentop.nouns.billing import NO_KEY, BillLine, Fetched, Health, ProviderState
from tokentop.nouns.usage import Tokens
from tokentop.report.reconcile import document
from tokentop.report.reconcile_text import key_text, model_text, text
from tokentop.settings.load import load
from tokentop.store import db
from tokentop.store.bill_writer import keep
from tokentop.store.compare import Result, examine, keys_of

from . import fake_provider
from .faults import Scratch
from .provider_build import NOW_MS, Fake, serving

DAYS = [date(2026, 11, 18), date(2026, 11, 19), date(2026, 11, 20)]
DAY = "2026-11-20"
PRICES = "".join(
    f'[prices."{model}"]\ninput = {p[0]}\noutput = {p[1]}\ncache_write_5m = {p[2]}\ncache_write_1h = {p[3]}\ncache_read = {p[4]}\n'
    for model, p in fake_provider.PRICES.items()
)
LATER_MS = NOW_MS + 3 * 86_400_000


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serving(step=7) as server:
        yield server


def twin(
    scratch: Scratch, days: list[date], keys: set[str | None] | None = None, now: str = "2026-11-23T00:00:00Z"
) -> None:
    """The usage of the fake as Claude Code's own logs, counted at its prices."""
    scratch.config.write_text(PRICES)
    made = fake_provider.World(7, fake_provider.parse_time(now), 0, step=7)
    assert fake_provider.write_claude_home(made, scratch.home / ".claude", days, keys) > 100


def fetch(scratch: Scratch, fake: Fake, *sources: str, at_ms: int = LATER_MS, days: int = 5) -> None:
    with closing(db.open_writer(scratch.state)) as connection:
        for source in sources or ("analytics_cost", "analytics_usage"):
            went, pulled = fake.pull("anthropic", source, days=days)
            assert went.state is Health.OK
            state = ProviderState("anthropic", source, "abc", Health.OK, at_ms=at_ms)
            keep(connection, Fetched(state, pulled.days, tuple(pulled.bills)))


def compared(
    scratch: Scratch, *keys: str, since: str = DAY, plan: bool = False, at_ms: int = NOW_MS
) -> Result:
    table = prices(load({"TOKENTOP_CONFIG": str(scratch.config), "HOME": str(scratch.home)}))
    with closing(db.open_reader(scratch.state)) as connection:
        return examine(connection, table, lambda _agent, _provider, _at_ms: plan, at_ms, since, keys)


def on_day(result: Result, day: str = DAY) -> list[Any]:
    return [line for line in result.report.lines if line.day_utc == day]


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Tongatapu", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("sources", [("analytics_cost", "analytics_usage"), ("cost", "usage")])
def test_the_twin_agrees_to_nothing(tmp_path: Path, fake: Fake, zone: str, sources: tuple[str, ...]) -> None:
    """59 and 66: every key, every token class, every UTC day, several pages, whatever the zone of the machine."""
    scratch = Scratch(tmp_path)
    twin(scratch, DAYS)
    assert scratch.run("sync", env={"TZ": zone}).returncode == 0
    fetch(scratch, fake, *sources)
    result = compared(scratch, since=DAYS[0].isoformat())
    for day in DAYS:
        lines = on_day(result, day.isoformat())
        assert [line.kind for line in lines] == ["tokens"] * len(fake_provider.PRICES) + ["web_search"]
        for line in lines:
            assert (line.verdict, line.difference_nusd, line.parts) == (Verdict.MATCH, 0, ()), text(result)
            assert line.kind == "web_search" or (line.theirs, line.coverage) == (line.ours, 1.0)
    told = "analytics_cost" in sources
    assert result.report.discounts == ({"anthropic": pytest.approx(0.9, abs=1e-6)} if told else {})
    assert text(result).count("discount") == told, "62: once"


def test_a_machine_with_one_of_the_keys_is_covered_in_part(tmp_path: Path, fake: Fake) -> None:
    """60."""
    scratch = Scratch(tmp_path)
    twin(scratch, DAYS[-1:], {"apikey_01B"})
    assert scratch.run("sync").returncode == 0
    fetch(scratch, fake)
    lines = [line for line in on_day(compared(scratch)) if line.kind == "tokens"]
    assert {line.verdict for line in lines} == {Verdict.UNCOVERED}
    for line in lines:
        assert line.theirs is not None
        assert line.coverage == line.ours.total / line.theirs.total < 0.6
        assert sum(part.nusd for part in line.parts) == line.difference_nusd
    shown, each = text(compared(scratch)).splitlines(), model_text(compared(scratch)).splitlines()
    assert sum(line.startswith(f"{DAY} ") for line in shown) == 2, "the day, and what differs on it"
    models = next(line for line in shown if line.startswith("    claude-"))
    assert models.endswith(f" and {len(lines) + 1 - 3} more"), "of the models and the searches"
    assert sum(line.startswith(f"{DAY} ") for line in each) >= 2 * len(lines)
    matched = on_day(compared(scratch, "apikey_01B"))
    assert {(line.verdict, line.difference_nusd) for line in matched} == {(Verdict.MATCH, 0)}


def test_what_comes_late_is_pending_and_matches_later(tmp_path: Path) -> None:
    """61."""
    today = date(2026, 11, 21)
    scratch = Scratch(tmp_path)
    twin(scratch, [today], now="2026-11-21T20:30:00Z")
    assert scratch.run("sync").returncode == 0
    with serving(step=7, late_pct=30, late_min=900) as late:
        fetch(scratch, late, at_ms=NOW_MS, days=1)
    verdicts = {
        line.verdict for line in on_day(compared(scratch, since=today.isoformat()), today.isoformat())
    }
    assert Verdict.PENDING in verdicts
    assert verdicts <= {Verdict.PENDING, Verdict.MATCH}
    with serving(step=7, lag=0) as whole:
        fetch(scratch, whole, at_ms=NOW_MS + 7_200_000, days=1)
    lines = on_day(compared(scratch, since=today.isoformat()), today.isoformat())
    assert {line.verdict for line in lines} == {Verdict.MATCH}


def test_what_a_plan_covers_is_never_a_discrepancy(tmp_path: Path, fake: Fake) -> None:
    """63."""
    scratch = Scratch(tmp_path)
    twin(scratch, DAYS)
    assert scratch.run("sync").returncode == 0
    fetch(scratch, fake)
    result = compared(scratch, plan=True)
    assert result.covered
    assert {line.verdict for line in on_day(result)} == {Verdict.UNCOVERED}, "all of it was used elsewhere"
    assert not any(line.off for line in result.report.lines)
    assert "covered by plans: no call is billed" in text(result)


def test_settled_days_teach_a_factor_for_today(tmp_path: Path, fake: Fake) -> None:
    scratch = Scratch(tmp_path)
    days = [date(2026, 11, day) for day in range(16, 22)]
    twin(scratch, days, {"apikey_01B"})
    assert scratch.run("sync").returncode == 0
    fetch(scratch, fake, at_ms=NOW_MS, days=6)
    result = compared(scratch, since="2026-11-16")
    (factor,) = result.factors
    assert factor.days == 3, "the days that ended 48 hours before"
    assert factor.ratio > 1.5, "other machines spend too"
    ours, expected, low, high = result.today["anthropic"]
    assert low <= expected <= high
    assert expected == round(ours * factor.ratio)
    assert "settled days" in text(result)


def test_the_command_says_it_and_its_status_is_for_scripts(tmp_path: Path, fake: Fake) -> None:
    scratch = Scratch(tmp_path)
    nothing = scratch.run("reconcile")
    assert (nothing.returncode, "no provider" in nothing.stderr) == (3, True)
    assert scratch.run("reconcile", "--since", "x").returncode == 2
    twin(scratch, DAYS)
    fetch(scratch, fake)
    done = scratch.run("reconcile", "--since", "2026-11-18", "--json")
    found = json.loads(done.stdout)
    assert (done.stderr, found["schema"]) == ("", "tokentop.reconcile/1")
    assert found["discounts"] == {"anthropic": 0.1}
    final = [row for row in found["rows"] if row["day"] <= DAY]
    assert {(row["verdict"], row["difference_usd"], row["final"]) for row in final} == {
        ("match", "0.000000000", True)
    }
    assert "a discount of 10.0%" in scratch.run("reconcile", "--since", "2026-11-18").stdout
    scratch.config.write_text(PRICES.replace("output = 25", "output = 50"))
    for extra in ("", "-wal", "-shm"):
        Path(f"{scratch.database}{extra}").unlink(missing_ok=True)
    assert scratch.run("sync").returncode == 0
    fetch(scratch, fake)
    wrong = scratch.run("reconcile", "--since", "2026-11-18", "--json")
    assert wrong.returncode == 1
    off = [row for row in json.loads(wrong.stdout)["rows"] if row["verdict"] == "price"]
    assert {row["model"] for row in off} == {"claude-opus-5-5"}
    assert {row["reason"] for row in off} == {"price of output"}


def test_bills_by_key_are_whole_and_ours_is_told_where_one_key_alone_was_used(
    tmp_path: Path, fake: Fake
) -> None:
    scratch = Scratch(tmp_path)
    twin(scratch, DAYS[-1:], {"apikey_01B"})
    assert scratch.run("sync").returncode == 0
    fetch(scratch, fake)
    result = compared(scratch)
    with closing(db.open_reader(scratch.state)) as connection:
        every = [one for one in keys_of(connection, result) if one.day_utc == DAY]
        mine = [one for one in keys_of(connection, result, ["apikey_01B"]) if one.day_utc == DAY]
    assert sum(one.list_nusd or 0 for one in every) == sum(one.list_nusd or 0 for one in on_day(result))
    for line in (one for one in on_day(result) if one.kind == "tokens"):
        alike = [one for one in every if one.model == line.model]
        assert len({one.key for one in alike}) == len(alike) > 1
        told = [one.theirs for one in alike if one.theirs is not None]
        assert sum(one.total for one in told) == line.theirs.total
        assert {one.ours for one in alike} == {None}, "several keys: nobody knows whose ours is"
        [own] = [one for one in mine if (one.model, one.key) == (line.model, "apikey_01B")]
        assert (own.ours, own.theirs, own.coverage) == (line.ours, line.ours, 1.0)
        assert {one.ours for one in mine if one.key != "apikey_01B"} == {None}
    shown = key_text(mine)
    assert "apikey_01B" in shown
    assert "100.0%" in shown
    rows = document(result, NOW_MS, mine)["keys"]
    assert {row["key"] for row in rows if row["tokens"] is not None} == {"apikey_01B"}


def test_the_only_key_of_a_day_has_all_of_ours() -> None:
    used = Tokens(100, output=7)
    line = Line("anthropic", DAY, "m", "tokens", Verdict.MATCH, "", used, used, 5, 5, 5, 1.0, (), True)
    told = [
        BillLine(DAY, "anthropic", "m-1", key, "", used, 5, None, "USD", True) for key in ("k", NO_KEY)
    ] + [BillLine(DAY, "anthropic", "m-1", "", "", None, 9, None, "USD", True),
         BillLine(DAY, "anthropic", "m-1", "k", "other project", used, 5, 6, "EUR", True)]  # fmt: skip
    found = by_key(told, [line], lambda _provider, _model: "m", {("anthropic", "key", "k"): "laptop"})
    assert [(one.key, one.name, one.ours, one.ours_nusd) for one in found] == [
        ("", "", None, None), (NO_KEY, "", None, None), ("k", "laptop", used, 5)
    ]  # fmt: skip
    assert (found[0].theirs, found[0].coverage) == (None, None)


def test_the_command_tells_keys_when_it_is_asked(tmp_path: Path, fake: Fake) -> None:
    scratch = Scratch(tmp_path)
    twin(scratch, DAYS[-1:])
    fetch(scratch, fake)
    plain = scratch.run("reconcile", "--since", DAY)
    split = scratch.run("reconcile", "--since", DAY, "--by-key")
    assert "logs do not name keys" not in plain.stdout
    assert split.stdout.startswith(plain.stdout.rstrip("\n"))
    assert "apikey_01A" in split.stdout
    assert json.loads(scratch.run("reconcile", "--since", DAY, "--json").stdout)["keys"]
