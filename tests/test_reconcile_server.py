"""Our figures from real transcripts against a provider's from a real socket, through the store (providers.md 14)."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from tests import fake_provider
from tests.provider_build import NOW, NOW_MS, Fake, serving
from tokentop.billing import Health
from tokentop.config import OwnPrice, ProviderSettings, Settings
from tokentop.engine.reconcile import Verdict
from tokentop.ledger import Ledger, prices
from tokentop.polling.loop import Poller
from tokentop.providers.http import Client
from tokentop.report.reconcile import Result, document, examine, text
from tokentop.store import bill_writer, bills, db

NANO = 1_000_000_000
DAY = "2026-11-20"
DAY_S = 86_400


def settings(fake: Fake) -> Settings:
    """The fake's own prices, and its address."""
    own = {}
    for model, rates in fake_provider.PRICES.items():
        fresh, output, write_5m, write_1h, read = map(float, rates)
        own[model] = OwnPrice(fresh, output, read, write_5m, write_1h)
    return Settings(prices=own, providers={"anthropic": ProviderSettings(on=True, base_url=fake.base)})


_days: dict[tuple[int, str], list[Any]] = {}  # what the fake has computed: the same for all with one seed


@contextmanager
def fake_server(**options: Any) -> Iterator[Fake]:
    with serving(**options) as fake:
        world = world_of(fake)
        world._days = _days
        list(
            world.rows(world.epoch() - 32 * DAY_S, world.epoch(), "a")
        )  # it must not be slower than a deadline
        yield fake


def world_of(fake: Fake) -> fake_provider.World:
    found: fake_provider.World = fake.server.RequestHandlerClass.world  # type: ignore[attr-defined]
    return found


class Machine:
    """A store that was filled from transcripts, and a poller that asks the fake."""

    def __init__(self, folder: Path, fake: Fake, key: str = "sk-ant-admin01-fake") -> None:
        self.folder, self.fake, self.settings = folder, fake, settings(fake)
        self.environ = {"HOME": str(folder), "CLAUDE_CONFIG_DIR": str(folder / "claude"), "TZ": "Pacific/Tongatapu",
                        "TOKENTOP_ANTHROPIC_KEY": key}  # fmt: skip
        self.state = folder / "state"

    def write(self, days: list[str], keys: set[str | None] | None = None) -> None:
        fake_provider.write_claude_home(
            world_of(self.fake), self.folder / "claude", [date.fromisoformat(day) for day in days], keys
        )

    @contextmanager
    def store(self, at_ms: int) -> Iterator[sqlite3.Connection]:
        db.prepare_folder(self.state)
        ledger = Ledger(self.state, self.environ, self.settings, now_ms=at_ms, live=False)
        try:
            ledger.follower.walk(0.0, at_ms * 1_000_000)
            while ledger.step(0.0, 1 << 62) is not None:
                pass
            ledger.settle(1 << 62)
            yield ledger.db
        finally:
            ledger.close()

    def fetch(self, connection: sqlite3.Connection, at_ms: int) -> None:
        async def no_wait(_seconds: float) -> None:
            """The fake answers at once."""

        async def ask(at_ms: int) -> None:
            client = Client(deadline_s=300.0)
            try:
                poller = Poller(
                    self.settings.providers,
                    self.environ,
                    lambda fetched: bill_writer.keep(connection, fetched),
                    clock=lambda: at_ms,
                    sleep=no_wait,
                    asker=client,
                )
                poller.remember(bills.states(connection))
                await poller.once()
            finally:
                await client.close()

        for minutes in range(0, 60, 10):  # a busy machine's fake may be slower than a read may take
            asyncio.run(ask(at_ms + minutes * 60_000))
            if not any(one.state is Health.TIMEOUT for one in bills.states(connection)):
                return

    def examine(
        self, since_day: str = DAY, at_ms: int = NOW_MS, keys: tuple[str, ...] = (), plan: bool = False
    ) -> Result:
        with self.store(at_ms) as connection:
            if not bills.states(connection):
                self.fetch(connection, at_ms)
            table = prices(self.settings)
            return examine(connection, table, lambda _agent, _provider, _at_ms: plan, at_ms, since_day, keys)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fake, Path]]:
    """The fake, and a state directory with all that it has reported."""
    with fake_server() as fake:
        machine = Machine(tmp_path_factory.mktemp("asked"), fake)
        with machine.store(NOW_MS) as connection:
            machine.fetch(connection, NOW_MS)
        yield fake, machine.state


@pytest.fixture
def machine(asked: tuple[Fake, Path], tmp_path: Path) -> Machine:
    fake, state = asked
    shutil.copytree(state, tmp_path / "state")
    return Machine(tmp_path, fake)


def on_day(result: Result, day: str) -> Any:
    return [line for line in result.report.lines if line.day_utc == day]


def test_the_twin_of_days_reconciles_to_exactly_nothing(machine: Machine) -> None:
    """Cases 59 and 66: several pages and days, a local zone of UTC+13; list prices match to the nano-dollar."""
    days = ["2026-11-18", "2026-11-19", DAY]
    machine.write(days)
    result = machine.examine(since_day=days[0])
    for day in days:
        lines = on_day(result, day)
        assert len(lines) >= 3
        for line in lines:
            assert line.verdict is Verdict.MATCH, (line, text(result))
            assert line.theirs in (None, line.ours)
            assert line.list_nusd is not None
            # Reports round to 10^-6 cent = 10 nano-dollars a row; each response is rounded to one.
            assert abs(line.ours_nusd - line.list_nusd) <= 1500, line
    assert document(result, NOW_MS)["rows"]


def test_the_discount_of_the_organisation_is_told_once(machine: Machine) -> None:
    """Case 62: the analytics report tells list and billed amounts."""
    machine.write([DAY])
    result = machine.examine()
    assert result.report.discounts == {"anthropic": pytest.approx(0.9, abs=1e-4)}
    assert text(result).count("discount") == 1
    assert {line.verdict for line in on_day(result, DAY)} == {Verdict.MATCH}


def test_one_machine_of_several_is_uncovered_and_with_its_key_a_match(machine: Machine) -> None:
    """Case 60."""
    machine.write([DAY], {"apikey_01A"})
    result = machine.examine()
    lines = [line for line in on_day(result, DAY) if line.kind == "tokens"]
    assert {line.verdict for line in lines} == {Verdict.UNCOVERED}
    for line in lines:
        assert line.theirs is not None
        assert line.coverage == pytest.approx(line.ours.total / line.theirs.total)
    matched = [line for line in on_day(machine.examine(keys=("apikey_01A",)), DAY) if line.kind == "tokens"]
    assert {line.verdict for line in matched} == {Verdict.MATCH}


def test_what_the_provider_has_not_seen_yet_is_pending_and_matches_later(tmp_path: Path) -> None:
    """Case 61."""
    with fake_server(late_pct=5, late_min=120) as fake:
        machine = Machine(tmp_path, fake)
        with fake_server() as whole:  # the client knows its calls at once
            Machine(tmp_path, whole).write(["2026-11-21"])
        result = machine.examine(since_day="2026-11-21")
        verdicts = {line.verdict for line in on_day(result, "2026-11-21") if line.kind == "tokens"}
        assert verdicts <= {Verdict.PENDING, Verdict.MATCH}
        assert Verdict.PENDING in verdicts
        assert not any(line.off for line in result.report.lines)


def test_what_a_plan_covers_is_never_a_discrepancy(machine: Machine) -> None:
    """Case 63."""
    machine.write([DAY])
    result = machine.examine(plan=True)
    assert result.covered
    assert all(line.verdict is Verdict.UNCOVERED for line in on_day(result, DAY)), (
        "all of it was used elsewhere"
    )
    assert not any(line.off for line in result.report.lines)
    assert "covered by a plan" in text(result)


def test_without_any_report_nothing_is_compared(tmp_path: Path) -> None:
    with fake_server() as fake:
        fake.mode("401")
        machine = Machine(tmp_path, fake)
        machine.write([DAY])
        result = machine.examine()
        assert result.report.lines == ()
        assert not result.reported


def test_settled_days_teach_a_factor_for_today(machine: Machine) -> None:
    days = [f"2026-11-{day}" for day in range(14, 22)]
    machine.write(days, {"apikey_01A"})
    result = machine.examine(since_day=days[0])
    (factor,) = result.factors
    assert factor.days >= 3
    assert factor.ratio > 1, "other machines spend too"
    ours, expected, low, high = result.today["anthropic"]
    assert low <= expected <= high
    assert expected == round(ours * factor.ratio)
    assert "settled days" in text(result)


def test_now_is_what_the_fake_says() -> None:
    assert int(NOW.timestamp() * 1000) == NOW_MS
    assert datetime.fromtimestamp(NOW_MS / 1000, UTC).date().isoformat() == "2026-11-21"
