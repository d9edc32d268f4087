"""When a report is asked: rhythm, back-off, blocks that survive restarts and clocks that jump. Pure, and the poller
with a scripted client in its loop.

Numbers in the docstrings are those of the conformance list in docs/providers.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tokentop.nouns.billing import DAY_MS, Fetched, Health, ProviderState
from tokentop.polling.keys import find_key
from tokentop.polling.loop import Poller
from tokentop.polling.schedule import Due, Went, after, due, next_ms
from tokentop.providers import provider
from tokentop.providers.http import Answer, Target
from tokentop.settings.config import ProviderSettings

from .provider_build import NOW_MS, TODAY

ANTHROPIC = provider("anthropic")
COST = ANTHROPIC.source("cost")
OAUTH = provider("claude_oauth")
LIMITS = OAUTH.source("limits")
NEW = ProviderState("anthropic", "cost", "abc")
TODAY_ONLY = Due(TODAY, TODAY + 1, ("today",))


def failed(
    state: ProviderState, went: Went, at_ms: int = NOW_MS, private: bool = False, chance: float = 0
) -> ProviderState:
    one, source = (OAUTH, LIMITS) if private else (ANTHROPIC, COST)
    return after(state, went, TODAY_ONLY, one, source, at_ms, lambda: chance)


def limited(seconds: float | None) -> Went:
    return Went(Health.LIMITED, "429", seconds)


def test_the_first_look_asks_for_the_whole_history_and_then_each_span_has_its_rhythm() -> None:
    first = due(NEW, COST, NOW_MS)
    assert first == Due(TODAY - 30, TODAY + 1, ("today", "closed", "history"))
    state = failed_not = after(NEW, Went(Health.OK), first, ANTHROPIC, COST, NOW_MS, lambda: 0)
    assert due(state, COST, NOW_MS + 599_000) is None
    assert next_ms(state, COST, NOW_MS) == NOW_MS + 600_000
    assert due(state, COST, NOW_MS + 600_000) == TODAY_ONLY
    later = replace(
        failed_not, spans=(("today", NOW_MS + 3_590_000), ("closed", NOW_MS), ("history", NOW_MS))
    )
    assert due(later, COST, NOW_MS + 3_600_000) == Due(TODAY - 4, TODAY, ("closed",))
    assert due(state, COST, NOW_MS + DAY_MS) == Due(TODAY - 29, TODAY + 2, ("today", "closed", "history"))


def test_nobody_looking_means_rarely() -> None:
    state = replace(NEW, state=Health.OK, spans=tuple((span.name, NOW_MS) for span in COST.spans))
    assert due(state, COST, NOW_MS + 700_000, hidden=True) is None
    assert due(state, COST, NOW_MS + 3_600_000, hidden=True) is not None


@pytest.mark.parametrize(
    ("seconds", "blocked_s"), [(None, 300), (0, 300), (30, 300), (3037, 3037), (200_000, 86_400)]
)
def test_a_private_block_is_300_s_at_least(seconds: float | None, blocked_s: int) -> None:
    """36."""
    state = failed(NEW, limited(seconds), private=True)
    assert state.blocked_until_ms == NOW_MS + blocked_s * 1000
    assert due(state, LIMITS, state.blocked_until_ms - 1) is None
    assert due(state, LIMITS, state.blocked_until_ms - 1, forced=True) is None
    assert due(state, LIMITS, state.blocked_until_ms) is not None


def test_each_further_429_doubles_and_a_success_resets() -> None:
    """38."""
    state, waits = NEW, []
    for _ in range(6):
        state = failed(state, limited(None), private=True)
        waits.append((state.blocked_until_ms - NOW_MS) // 1000)
    assert waits == [300, 600, 1200, 2400, 3600, 3600]
    state = after(state, Went(Health.OK), TODAY_ONLY, OAUTH, LIMITS, NOW_MS, lambda: 0)
    assert (state.failures, state.blocked_until_ms) == (0, 0)
    assert failed(state, limited(None), private=True).blocked_until_ms == NOW_MS + 300_000


def test_an_official_block_is_60_s_at_least() -> None:
    assert failed(NEW, limited(None)).blocked_until_ms == NOW_MS + 60_000
    assert failed(NEW, Went(Health.SERVER, "503", 3600)).blocked_until_ms == NOW_MS + 3_600_000


@pytest.mark.parametrize("state", [Health.UNAUTHORIZED, Health.FORBIDDEN, Health.GONE])
def test_a_refusal_holds_until_the_key_changes_or_a_person_asks(state: Health) -> None:
    """58: another key is another state."""
    refused = failed(NEW, Went(state, "403"))
    assert due(refused, COST, NOW_MS + 400 * DAY_MS) is None
    assert next_ms(refused, COST, NOW_MS) == 0
    assert due(refused, COST, NOW_MS + 59_000, forced=True) is None
    assert due(refused, COST, NOW_MS + 60_000, forced=True) is not None
    private = failed(NEW, Went(state, "403"), private=True)
    assert due(private, LIMITS, NOW_MS + 3_599_000) is None
    assert due(private, LIMITS, NOW_MS + 3_600_000) is not None


def test_a_daily_report_that_fails_is_asked_again_within_the_hour() -> None:
    names = ANTHROPIC.source("names")
    state = after(NEW, Went(Health.SERVER, "500"), TODAY_ONLY, ANTHROPIC, names, NOW_MS, lambda: 0)
    assert state.next_ms == NOW_MS + 3_600_000
    assert due(state, names, state.next_ms) is not None


def test_failures_are_asked_ever_more_rarely_up_to_an_hour() -> None:
    state, pauses = NEW, []
    for _ in range(8):
        state = failed(state, Went(Health.SERVER, "500"))
        pauses.append((state.next_ms - NOW_MS) // 1000)
        assert due(state, COST, state.next_ms - 1) is None
        assert due(state, COST, state.next_ms) is not None
    assert pauses == [300, 600, 1200, 2400, 3600, 3600, 3600, 3600]
    assert failed(NEW, Went(Health.SERVER, "500"), chance=1.0).next_ms == NOW_MS + 375_000


@pytest.mark.parametrize("bad", [one for one in Health if one not in (Health.OK, Health.WAITING, Health.OFF)])
def test_every_failure_keeps_the_last_good_value_with_its_age_and_never_asks_at_once(bad: Health) -> None:
    """43."""
    good = after(NEW, Went(Health.OK, as_of_ms=7), TODAY_ONLY, ANTHROPIC, COST, NOW_MS, lambda: 0)
    state = failed(good, Went(bad, "why"), NOW_MS + 600_000)
    assert (state.ok_ms, state.as_of_ms, state.at_ms, state.state, state.reason) == (
        NOW_MS, 7, NOW_MS + 600_000, bad, "why",
    )  # fmt: skip
    assert due(state, COST, NOW_MS + 600_000 + 59_000) is None


def test_a_clock_that_went_back_does_not_silence_a_report_for_long() -> None:
    state = failed(NEW, limited(None), NOW_MS + 400 * DAY_MS)
    assert due(state, COST, NOW_MS) is None
    assert due(replace(state, blocked_until_ms=0), COST, NOW_MS) is not None
    good = replace(
        NEW, state=Health.OK, spans=(("today", NOW_MS + 400 * DAY_MS),), next_ms=NOW_MS + 400 * DAY_MS
    )
    assert due(good, COST, NOW_MS) is not None


def test_days_are_those_of_the_providers_clock() -> None:
    """A machine that is a day ahead asks for the provider's today."""
    state = failed(NEW, Went(Health.OK, date_ms=NOW_MS - DAY_MS))
    assert state.skew_ms == -DAY_MS
    asked = due(state, COST, NOW_MS + DAY_MS)
    assert asked is not None
    assert asked.until_day == TODAY + 1
    assert failed(state, Went(Health.OK, date_ms=NOW_MS + 1000)).skew_ms == 0


def test_a_state_survives_a_restart() -> None:
    """37."""
    state = failed(NEW, Went(Health.LIMITED, "429 <b>", 3037, date_ms=NOW_MS + 120_000))
    again = msgspec.json.decode(msgspec.json.encode(state), type=ProviderState)
    assert again == state
    assert due(again, COST, NOW_MS + 3_000_000) is None


# ---------------------------------------------------------------- the poller


class Script:
    """Answers in the place of the client, and notes when it was asked."""

    def __init__(self, answer: Callable[[str], Answer]) -> None:
        self.answer, self.asked = answer, list[tuple[str, str]]()

    async def get(self, target: Target, request: Any) -> Answer:
        assert target.secret is not None
        self.asked.append((request.path, target.secret.reveal()))
        return self.answer(request.path)


class Time:
    """A clock that only sleeping moves; ends the poller after a while."""

    def __init__(self, until_s: float) -> None:
        self.now_ms, self.until_ms = NOW_MS, NOW_MS + int(until_s * 1000)
        self.jump_ms = 0

    def clock(self) -> int:
        return self.now_ms

    async def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now_ms += int(seconds * 1000) + self.jump_ms
        self.jump_ms = 0
        await asyncio.sleep(0)
        if self.now_ms > self.until_ms:
            raise asyncio.CancelledError


def ok(_path: str) -> Answer:
    return Answer(200, b'{"balance": "95.50", "total_used": "4.50"}', True)


def run_poller(
    tmp_path: Path, script: Script, seconds: float, *, provider_id: str = "vercel", key: str = "sk-first",
    states: tuple[ProviderState, ...] = (), time: Time | None = None, **options: Any,
) -> list[Fetched]:  # fmt: skip
    told: list[Fetched] = []
    time = time or Time(seconds)
    environ = {"HOME": str(tmp_path), f"TOKENTOP_{provider_id.upper()}_KEY": key}
    settings = {provider_id: ProviderSettings(on=True, i_accept_the_risk=True)}
    poller = Poller(
        settings, environ, told.append, asker=script, clock=time.clock, sleep=time.sleep, chance=lambda: 0.5, **options
    )  # fmt: skip
    poller.remember(states)

    asyncio.run(poller.run())  # ends with its clock
    return told


def test_a_balance_is_asked_every_five_minutes(tmp_path: Path) -> None:
    script = Script(ok)
    told = run_poller(tmp_path, script, 3600)
    assert 11 <= len(script.asked) <= 13
    assert [one.state.state for one in told] == [Health.OK] * len(told)
    assert told[0].balances is not None
    assert told[0].balances[0].remaining_nano == 95_500_000_000


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 529])
def test_no_answer_makes_a_tight_loop(tmp_path: Path, status: int) -> None:
    script = Script(lambda _: Answer(status, b'{"error": {"type": "x_error"}}', True))
    told = run_poller(tmp_path, script, 24 * 3600)
    assert 1 <= len(script.asked) <= 3 * 40
    assert told[-1].state.ok_ms == 0
    assert told[-1].balances is None  # unknown, not 0


def test_a_stored_block_is_kept_by_the_next_start(tmp_path: Path) -> None:
    """37."""
    script = Script(lambda _: Answer(429, b"{}", True, 3037))
    [told, *_] = run_poller(tmp_path, script, 60)
    again = Script(ok)
    run_poller(tmp_path, again, 2900, states=(told.state,))
    assert again.asked == []
    run_poller(tmp_path, again, 3200, states=(told.state,))
    assert len(again.asked) >= 1


def test_another_key_is_asked_with_at_once(tmp_path: Path) -> None:
    """58."""
    script = Script(lambda _: Answer(401, b'{"error": {}}', True))
    [refused, *_] = run_poller(tmp_path, script, 3600)
    assert len(script.asked) == 1
    again = Script(ok)
    run_poller(tmp_path, again, 60, key="sk-second", states=(refused.state,))
    assert [key for _, key in again.asked] == ["sk-second"]


def test_a_clock_that_jumps_ahead_asks_once_and_not_before_a_block_ends(tmp_path: Path) -> None:
    """57."""
    time = Time(9 * 3600)
    script = Script(ok)

    def jumping(path: str) -> Answer:
        if len(script.asked) == 2:
            time.jump_ms = 8 * 3_600_000
        return ok(path)

    script.answer = jumping
    run_poller(tmp_path, script, 0, time=time)
    before_jump, after_jump = 2, 12  # the rest of the hour at five minutes each
    assert len(script.asked) <= before_jump + after_jump + 1

    blocked, time = Script(lambda _: Answer(429, b"{}", True, 3600)), Time(10 * 3600)
    blocked.answer, first = (lambda _: jump_and_block(time)), blocked.answer

    def jump_and_block(time: Time) -> Answer:
        time.jump_ms = 8 * 3_600_000
        return first("")

    run_poller(tmp_path, blocked, 0, time=time)
    assert len(blocked.asked) == 1


def test_a_fresh_limit_from_a_log_makes_the_private_endpoint_needless(tmp_path: Path) -> None:
    """39."""
    folder = tmp_path / ".claude"
    folder.mkdir()
    (folder / ".credentials.json").write_text('{"claudeAiOauth": {"accessToken": "sk-ant-oat01-x"}}')
    body = b'{"limits": [{"group": "session", "percent": 29, "resets_at": null}]}'
    script = Script(lambda _: Answer(200, body, True))
    run_poller(tmp_path, script, 1800, provider_id="claude_oauth", newest_ms=lambda _: NOW_MS + 10**9)
    assert len(script.asked) >= 2  # a time ahead of the clock says nothing
    time = Time(1800)
    quiet = Script(script.answer)
    told = run_poller(
        tmp_path,
        quiet,
        0,
        provider_id="claude_oauth",
        time=time,
        newest_ms=lambda agent: time.now_ms - 60_000,
    )
    assert quiet.asked == []
    assert {one.state.state for one in told} == {Health.OFF}


def test_the_private_endpoint_is_asked_every_ten_minutes_at_most(tmp_path: Path) -> None:
    folder = tmp_path / ".claude"
    folder.mkdir()
    (folder / ".credentials.json").write_text(
        '{"claudeAiOauth": {"accessToken": "sk-ant-oat01-x", "refreshToken": "r", "subscriptionType": "max",'
        ' "rateLimitTier": "default_claude_max_20x"}}'
    )
    before = (folder / ".credentials.json").read_bytes(), (folder / ".credentials.json").stat().st_mtime_ns
    body = b'{"limits": [{"group": "session", "percent": 29, "resets_at": null}]}'
    script = Script(lambda _: Answer(200, body, True))
    told = run_poller(tmp_path, script, 3600, provider_id="claude_oauth")
    assert 5 <= len(script.asked) <= 7
    assert {path for path, _ in script.asked} == {"/api/oauth/usage"}
    assert (told[0].quotas[0].used_pct, told[0].quotas[0].plan) == (29.0, "Max 20x")
    after_all = (folder / ".credentials.json").read_bytes(), (folder / ".credentials.json").stat().st_mtime_ns
    assert after_all == before


def test_a_private_endpoint_needs_both_words(tmp_path: Path) -> None:
    from tokentop.polling.keys import chosen

    assert chosen({"claude_oauth": ProviderSettings(on=True)}) == []
    assert chosen({"claude_oauth": ProviderSettings(i_accept_the_risk=True)}) == []
    [held] = chosen(
        {"claude_oauth": ProviderSettings(on=True, i_accept_the_risk=True, base_url="https://evil.example")}
    )
    find_key(held, {"HOME": str(tmp_path)})
    assert held.target is None
    assert "own host only" in held.found.problem


def test_a_fallback_is_asked_only_when_its_better_refuses(tmp_path: Path) -> None:
    """12."""
    good = b'{"data": [], "has_more": false}'

    def analytics_refuses(path: str) -> Answer:
        if "/analytics/" in path:
            return Answer(403, b'{"error": {"type": "permission_error"}}', True)
        return Answer(200, good, True)

    script = Script(analytics_refuses)
    told = run_poller(tmp_path, script, 60, provider_id="anthropic")
    assert any(path.endswith("/cost_report") for path, _ in script.asked)
    assert {one.state.source: one.state.state for one in told}["analytics_cost"] is Health.FORBIDDEN
    both = Script(lambda _: Answer(200, good, True))
    run_poller(tmp_path, both, 60, provider_id="anthropic")
    assert not any(path.endswith("/cost_report") for path, _ in both.asked)


def test_a_management_key_is_not_sent_to_a_base_url_of_the_user(tmp_path: Path) -> None:
    script = Script(
        lambda _: Answer(200, b'{"data": {"usage": 1, "total_credits": 2, "total_usage": 1}}', True)
    )
    told: list[Fetched] = []
    settings = {"openrouter": ProviderSettings(on=True, base_url="https://router.example")}
    poller = Poller(
        settings, {"HOME": str(tmp_path), "OPENROUTER_API_KEY": "sk-or-v1-x"}, told.append, asker=script
    )
    asyncio.run(poller.once())
    assert {path for path, _ in script.asked} == {"/api/v1/credits", "/api/v1/key"}
    assert [one.state.state for one in told if one.state.source == "activity"] == [Health.OFF]


def test_without_a_key_nothing_is_asked_and_that_is_said(tmp_path: Path) -> None:
    script = Script(ok)
    told: list[Fetched] = []
    poller = Poller({"vercel": ProviderSettings(on=True)}, {"HOME": str(tmp_path)}, told.append, asker=script)
    asyncio.run(poller.once())
    assert script.asked == []
    assert [one.state.state for one in told] == [Health.NO_KEY]
    assert "AI_GATEWAY_API_KEY" in told[0].state.reason


def test_one_provider_that_breaks_leaves_the_others(tmp_path: Path) -> None:
    def answer(path: str) -> Answer:
        if path == "/user/balance":
            raise RuntimeError("a bug")
        return ok(path)

    script, told, time = Script(answer), list[Fetched](), Time(1200)
    environ = {"HOME": str(tmp_path), "DEEPSEEK_API_KEY": "a", "AI_GATEWAY_API_KEY": "b"}
    settings = {"deepseek": ProviderSettings(on=True), "vercel": ProviderSettings(on=True)}
    poller = Poller(
        settings, environ, told.append, asker=script, clock=time.clock, sleep=time.sleep, chance=lambda: 0
    )

    asyncio.run(poller.run())  # ends with its clock
    assert {one.state.provider for one in told} == {"vercel"}
    assert len([path for path, _ in script.asked if path == "/user/balance"]) < 30
