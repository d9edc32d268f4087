"""Plans: what they cover, their leverage, their windows; the rest is cash or credits."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path

import pytest

from tokentop.engine.live import LiveState
from tokentop.engine.plans import SETTINGS, estimated, set_windows, split
from tokentop.nouns.money import Quota
from tokentop.pricing.table import PriceTable
from tokentop.providers.claude_oauth import plan_name
from tokentop.report.plans import as_text, document
from tokentop.settings.config import SettingsError
from tokentop.settings.load import parse
from tokentop.settings.spending import Plan, minutes_of
from tokentop.store import db, reader
from tokentop.store.writer import Writer

from .faults import Scratch, line, midday, stamp

NOW = 1_795_294_800_000
USD = 1_000_000_000
H = 3_600_000


def limit(
    provider: str, minutes: int, used: float, *, source: str = "log", plan: str = "", full: int = 0
) -> Quota:
    return Quota(provider, "", minutes, provider, used, NOW + 2 * H, source, NOW, plan, full)


MONTH = {"claude": 400 * USD, "codex": 60 * USD, "gemini": 30 * USD}
TODAY = {"claude": 20 * USD, "gemini": 3 * USD}


def test_what_is_covered_what_is_cash_and_what_a_plan_is_worth() -> None:
    found = split(
        [Plan("claude", "Max 5x", fee_usd=100)],
        [limit("codex", 300, 40, plan="pro")],
        MONTH,
        TODAY,
        {"amp": 1500},
    )
    claude, codex = found.plans
    assert (claude.names, claude.source, claude.fee_nusd, claude.leverage) == (
        ("Max 5x",),
        "settings",
        100 * USD,
        4.0,
    )
    assert (codex.names, codex.source, codex.fee_nusd, codex.leverage) == (("pro",), "log", None, None)
    assert (found.covered_nusd, found.cash_nusd, found.cash_today_nusd) == (460 * USD, 30 * USD, 3 * USD)
    assert (found.fee_nusd, found.leverage) == (None, None)  # the fee of one is not told
    assert found.credits_milli == {"amp": 1500}


def test_several_plans_of_an_agent_stand_together() -> None:
    plans = [Plan("claude", "Max", "", 100), Plan("claude", "Pro", "work", 20), Plan("codex", fee_usd=20)]
    found = split(plans, [], MONTH, TODAY, {})
    assert [(p.agent, p.names, p.fee_nusd) for p in found.plans] == [
        ("claude", ("Max", "Pro (work)"), 120 * USD), ("codex", ("codex",), 20 * USD)
    ]  # fmt: skip
    assert found.leverage == pytest.approx(460 / 140)


def test_a_gateway_spend_limit_is_money_and_no_plan() -> None:
    quota = Quota("claude", "", 43_200, "spend_limit", 40.0, NOW + H, "hook", NOW)
    assert split([], [quota], MONTH, TODAY, {}).plans == ()


def test_without_plans_all_is_cash() -> None:
    found = split([], [], MONTH, TODAY, {})
    assert (found.covered_nusd, found.cash_nusd, found.leverage) == (0, 490 * USD, None)
    assert "no plan is known" in as_text(found, NOW)
    assert "7 tokens have no price and are not in it" in as_text(found, NOW, 7)


def test_windows_tell_their_pace_and_never_an_old_value_after_their_reset() -> None:
    old = Quota("codex", "", 300, "codex", 90.0, NOW - 1, "log", NOW - H)
    found = split([], [limit("claude", 300, 78.0, source="hook", full=NOW + H), old], MONTH, TODAY, {})
    claude, codex = document(found, NOW)["plans"]
    assert claude["windows"][0]["ahead_pct"] == pytest.approx(18)
    assert claude["windows"][0]["full_at"] is not None
    assert codex["windows"][0]["used_pct"] is None
    text = as_text(found, NOW)
    assert "78% used, 18% ahead of even use, full" in text
    assert "unknown since" in text
    assert "90" not in text.partition("codex 5h")[2].partition("\n")[0]


def test_settings() -> None:
    found = parse(
        '[[plans]]\nagent = "claude"\nfee_usd = 100\n[[plans]]\nagent = "codex"\nname = "Plus"\n'
    ).plans
    assert found == (Plan("claude", fee_usd=100), Plan("codex", "Plus"))
    with pytest.raises(SettingsError, match=r"line 2: unknown setting 'plans\.agnet'; did you mean 'agent'"):
        parse('[[plans]]\nagnet = "claude"')
    with pytest.raises(SettingsError, match="not a number"):
        parse('[[plans]]\nagent = "claude"\nfee_usd = nan')
    with pytest.raises(SettingsError, match="fee_usd"):
        parse('[[plans]]\nagent = "claude"\nfee_usd = -1')


@pytest.mark.parametrize(("kind", "tier", "name"), [
    ("max", "default_claude_max_20x", "Max 20x"), ("pro", "default_claude_ai", "Pro"), ("max", None, "Max"),
    (None, "default_claude_max_5x", ""), ("", "", ""), (7, [], ""), ("a\x1b[2Jb", None, "A␛[2Jb"),
])  # fmt: skip
def test_a_plan_is_named_as_the_login_names_it(kind: object, tier: object, name: str) -> None:
    assert plan_name(kind, tier) == name


def test_a_source_that_names_no_plan_leaves_the_name(tmp_path: Path) -> None:
    live = LiveState()
    named, newer = limit("claude", 300, 10, plan="Max 5x"), limit("claude", 300, 20, source="hook")
    for quota in (named, newer):
        live.apply_quota(quota)
    [found] = live.limits.at(NOW)
    assert (found.used_pct, found.plan) == (20, "Max 5x")
    with closing(db.open_writer(tmp_path)) as connection:
        writer = Writer(connection, PriceTable())
        writer.commit([named])
        writer.commit([newer])
        [stored] = reader.quotas(connection)
    assert (stored.used_pct, stored.plan, stored.source) == (20, "Max 5x", "hook")


def test_windows_that_nothing_tells_are_estimated_from_the_list_value_of_that_time() -> None:
    plans = [
        Plan("claude", windows={"5h": 35.0, "7d": 300.0}),
        Plan("claude", windows={"5h": 65.0}),
        Plan("codex"),
    ]
    wanted = set_windows(plans, [limit("claude", 10_080, 40)])
    assert wanted == {("claude", 300): 100 * USD}, "the week is told; both plans hold the five hours"
    [found] = estimated(wanted, {("claude", 300): 130 * USD, ("codex", 300): USD}, NOW)
    assert (found.provider, found.window_minutes, found.used_pct) == ("claude", 300, 130.0)
    assert (found.source, found.resets_at_ms) == (SETTINGS, 0)
    text = as_text(split(plans, [found], MONTH, TODAY, {}), NOW)
    assert "claude 5h: about 130% used" in text
    assert "reset" not in text
    assert [minutes_of(length) for length in ("90m", "5h", "7d")] == [90, 300, 10_080]


@pytest.mark.parametrize(("windows", "said"), [
    ("{ 5x = 3 }", r"line 3: plans\.windows\.5x: a length such as 90m, 5h or 7d is wanted"),
    ("{ 5h = 0 }", r"line 3: plans\.windows"), ("{ 5h = nan }", "not a number"), ("3", r"plans\.windows"),
])  # fmt: skip
def test_windows_of_the_settings_are_looked_at(windows: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        parse(f'[[plans]]\nagent = "claude"\nwindows = {windows}\n')


def test_the_command_on_a_real_store(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    scratch.zone = midday()
    scratch.log(line(n, output=100_000, timestamp=stamp(round(time.time() * 1000))) for n in range(4))
    scratch.config.write_text(
        '[[plans]]\nagent = "claude"\nname = "Pro"\nfee_usd = 2\nwindows = { 1d = 12 }\n'
    )
    found = json.loads(scratch.run("plans", "--json").stdout)
    assert found["schema"] == "tokentop.plans/1"
    (plan,) = [plan for plan in found["plans"] if plan["agent"] == "claude"]
    assert float(plan["list_value_usd"]) >= 6
    assert plan["leverage"] >= 3
    [window] = plan["windows"]
    assert (window["window_minutes"], window["source"]) == (1440, "settings")
    assert 49 < window["used_pct"] < 55
    done = scratch.run("plans")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Pro" in done.stdout
