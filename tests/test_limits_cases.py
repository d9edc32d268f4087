"""Limits, as far as the other files of tests do not hold their cases: what a source does not tell is unknown.

Numbers in the docstrings are those of the conformance list in docs/providers.md.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tokentop.nouns.billing import Fetched, Health, ProviderState
from tokentop.nouns.money import Quota
from tokentop.polling.pull import pull
from tokentop.polling.schedule import after, due
from tokentop.providers import anthropic, provider
from tokentop.providers.base import Request, Source
from tokentop.providers.decoding import BadReply, when_ms
from tokentop.providers.http import Client
from tokentop.store import bill_writer, db

from .faults import Scratch, stamp
from .provider_build import NOW_MS, ask, serving
from .test_providers_cli import make_older
from .test_providers_parse import parsed

HOUR_S = 3600


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path)


def limits(scratch: Scratch) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(scratch.run("--json").stdout)["limits"]
    return found


# ---------------------------------------------------------------- the status line


def run_hook(scratch: Scratch, given: dict[str, Any]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tokentop", "hook", "run", "statusline"], env=scratch.environ(), check=False,
        input=json.dumps(given).encode(), capture_output=True, timeout=60, cwd=scratch.home,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")


def window(used: float | None, seconds: int = 2 * HOUR_S) -> dict[str, Any]:
    return {"used_percentage": used, "resets_at": int(time.time()) + seconds}


def test_a_status_line_without_limits_says_nothing(scratch: Scratch) -> None:
    """25: unknown, and no bar of 0 %, on every way out."""
    run_hook(scratch, {"session_id": "s", "version": "2.1.330", "cost": {"total_cost_usd": 0.1}})
    assert limits(scratch) == []
    assert "%" not in "".join(line for line in scratch.run("plans").stdout.splitlines() if "claude" in line)
    assert not any("0%" in line for line in scratch.run("--once").stdout.splitlines() if "5h" in line)


@pytest.mark.parametrize(
    ("rate_limits", "known"),
    [
        ({"seven_day": window(41.2)}, {10_080: 41.2}),
        ({"five_hour": None, "seven_day": window(41.2)}, {10_080: 41.2}),
        ({"five_hour": window(None), "seven_day": window(3)}, {10_080: 3.0}),
    ],
    ids=["26 one alone", "27 null", "27 null inside"],
)
def test_one_window_is_known_and_the_other_is_not(
    scratch: Scratch, rate_limits: dict[str, Any], known: dict[int, float]
) -> None:
    """26, 27."""
    run_hook(scratch, {"session_id": "s", "rate_limits": rate_limits})
    assert {one["window_minutes"]: one["used_pct"] for one in limits(scratch)} == known


def test_a_window_that_is_over_has_no_figure(scratch: Scratch) -> None:
    """29: reset, unknown since; never the old value, never 0 %."""
    run_hook(
        scratch, {"session_id": "s", "rate_limits": {"five_hour": window(77.5, 2), "seven_day": window(12)}}
    )
    assert {one["used_pct"] for one in limits(scratch)} <= {77.5, 12.0, None}
    time.sleep(max(0.0, 2.1 - time.time() % 1))
    found = {one["window_minutes"]: one for one in limits(scratch)}
    assert (found[300]["used_pct"], found[10_080]["used_pct"]) == (None, 12.0)
    assert found[300]["resets_at"] is not None
    text = scratch.run("plans").stdout + scratch.run("--once").stdout
    assert not re.search(r"\b7[78](\.5)? ?%", text)  # pids of what else runs here may hold a 77
    assert "unknown since" in text


# ---------------------------------------------------------------- rollouts of Codex


def rollout(scratch: Scratch, *limits: dict[str, Any]) -> int:
    """A log whose newest lines tell these limits, a second apart; the time of the last one in ms."""
    now_ms = int(time.time()) * 1000 - 60_000
    thread = "019aa8b1-0000-7000-8000-000000000001"
    lines: list[dict[str, Any]] = [
        {"type": "session_meta", "payload": {"id": thread, "cwd": "/w/api", "cli_version": "0.169.0"}}
    ]
    lines += [
        {"type": "event_msg", "payload": {"type": "token_count", "info": None, "rate_limits": one}}
        for one in limits
    ]
    folder = scratch.home / ".codex" / "sessions" / "2026" / "11" / "21"
    folder.mkdir(parents=True)
    stamped = [{"timestamp": stamp(now_ms + at * 1000)} | line for at, line in enumerate(lines)]
    path = folder / f"rollout-2026-11-21T20-30-00-{thread}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in stamped))
    return now_ms + len(limits) * 1000


def told(
    limit_id: str, primary: dict[str, Any] | None, secondary: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "limit_id": limit_id,
        "primary": primary,
        "secondary": secondary,
        "plan_type": "free",
        "credits": None,
    }


def slot(used: float, minutes: int, **reset: int) -> dict[str, Any]:
    return {"used_percent": used, "window_minutes": minutes} | (
        reset or {"resets_at": int(time.time()) + HOUR_S}
    )


def test_a_free_plan_has_one_window_of_a_month(scratch: Scratch) -> None:
    """32: a window is told by its length, not by its place."""
    rollout(scratch, told("codex", slot(61.0, 43_200)))
    assert [(one["window_minutes"], one["used_pct"]) for one in limits(scratch)] == [(43_200, 61.0)]


def test_limits_of_models_come_between_those_of_the_account(scratch: Scratch) -> None:
    """33: the newest of each; the account's own is `codex`."""
    rollout(
        scratch,
        told("codex", slot(10.0, 300)),
        told("codex_spark", slot(80.0, 300)),
        told("codex", slot(11.0, 300)),
    )
    assert {one["limit"]: one["used_pct"] for one in limits(scratch)} == {"codex": 11.0, "codex_spark": 80.0}


def test_an_old_line_counts_from_its_own_time(scratch: Scratch) -> None:
    """34: `resets_in_seconds`."""
    at_ms = rollout(scratch, told("codex", slot(10.0, 300, resets_in_seconds=7200)))
    assert [one["resets_at"] for one in limits(scratch)] == [stamp(at_ms + 7_200_000).replace(".000Z", "Z")]


# ---------------------------------------------------------------- Copilot


def copilot(**snapshots: Any) -> list[Quota]:
    document = {
        "copilot_plan": "individual_pro",
        "quota_reset_date": "2026-12-01",
        "quota_snapshots": snapshots,
    }
    return parsed("copilot_user", "limits", document).quotas


def test_copilot_seats_and_overdrawn_months() -> None:
    """44: nothing entitled and nothing left is a placeholder; -3 % left is 103 % used."""
    nothing = {"entitlement": 0, "remaining": 0, "percent_remaining": 100.0, "unlimited": False}
    assert copilot(premium_interactions=nothing, chat=nothing | {"percent_remaining": 0.0}) == []
    assert (
        copilot(
            chat={"entitlement": 0, "remaining": 0, "percent_remaining": 100.0, "unlimited": True},
            completions={},
        )
        == []
    )
    [over] = copilot(
        premium_interactions={
            "entitlement": 300,
            "remaining": -9,
            "percent_remaining": -3,
            "unlimited": False,
        }
    )
    assert (over.provider, over.limit_id, over.window_minutes, over.used_pct) == (
        "copilot",
        "copilot",
        43_200,
        103.0,
    )
    [some] = copilot(
        premium_interactions={"entitlement": 1500, "remaining": 1098, "percent_remaining": 73.2}, chat=None
    )
    assert (some.used_pct, some.plan) == (26.8, "individual_pro")
    with pytest.raises(BadReply):
        parsed("copilot_user", "limits", {"message": "moved"})


def test_copilot_is_asked_as_its_extension_asks() -> None:
    """44: against the fake, with the token of `apps.json`, and never without a yes."""
    one = provider("copilot_user")
    assert one.private_risk
    assert one.key_file is not None
    assert (
        one.key_file(b'{"github.com:Iv1.x": {"user": "dev", "oauth_token": "gho_fake"}}').token == "gho_fake"
    )
    for wrong in (b"{}", b"[]", b'{"github.com": {"oauth_token": 7}}', b'{"github.com": null}'):
        assert (one.key_file(wrong).token, bool(one.key_file(wrong).problem)) == ("", True)
    with serving() as fake:
        went, pulled = fake.pull("copilot_user", "limits", key="gho_fake")
        assert (went.state, went.dropped) == (Health.OK, 0)
        [premium] = pulled.quotas
        assert 0 < premium.used_pct <= 100
        assert fake.pull("copilot_user", "limits", key="gho_other")[0].state is Health.UNAUTHORIZED


# ---------------------------------------------------------------- reports


def test_without_a_bucket_width_rows_end_at_the_full_hour() -> None:
    """11: and the answer says how far its data goes."""

    def requests(wanted: Any) -> tuple[Request, ...]:
        full = anthropic.analytics_request(wanted, "cost", ("cost_type", "token_type"))
        return (
            Request(full.path, tuple(p for p in full.query if p[0] != "time_bucket_width"), full.headers),
        )

    source = Source("analytics_cost", "", requests, provider("anthropic").source("analytics_cost").parse)
    raw = []

    def keeping(body: bytes, wanted: Any, request: Request) -> Any:
        raw.append(json.loads(body))
        return source.parse(body, wanted, request)

    async def run(fake: Any) -> Any:
        client = Client()
        try:
            kept = Source("analytics_cost", "", requests, keeping)
            return await pull(client, fake.target("anthropic"), kept, ask(), chance=lambda: 0.0)
        finally:
            await client.close()

    with serving() as fake:
        went, pulled = asyncio.run(run(fake))
    assert went.state is Health.OK
    assert {row["ending_at"][13:] for page in raw for row in page["data"]} == {":00:00Z"}
    assert {bill.day_utc for bill in pulled.bills} == {"2026-11-21"}
    refreshed = raw[0]["data_refreshed_at"]
    assert went.as_of_ms == when_ms(refreshed)


def test_how_far_the_data_goes_is_said(scratch: Scratch) -> None:
    """11: "as of", beside the age of the answer, which is another thing."""
    with serving(now=None) as fake:
        scratch.config.write_text(f'[providers.anthropic]\non = true\nbase_url = "{fake.base}"\n')
        env: dict[str, str | None] = {"ANTHROPIC_ADMIN_KEY": "sk-ant-admin01-fake"}
        done = scratch.run("providers", "fetch", "anthropic", env=env, timeout=120)
        while "in time" in done.stderr:  # of its forty requests; a busy machine may let one wait for 10 s
            make_older(scratch, 100)
            done = scratch.run("providers", "fetch", "anthropic", env=env, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
        [row] = json.loads(scratch.run("providers", "anthropic", "--json", env=env).stdout)["rows"]
        text = scratch.run("providers", "anthropic", env=env).stdout
    [cost] = [one for one in row["reports"] if one["report"] == "analytics_cost"]
    assert when_ms(cost["as_of"]) < when_ms(cost["asked_at"])
    assert f"(as of {cost['as_of'][5:16].replace('T', ' ')} UTC)" in text


def test_a_session_of_managed_agents_is_no_session_of_claude_code(tmp_path: Path) -> None:
    """15: its id is kept nowhere, so that nothing can be joined with it."""
    row = {
        "starting_at": "2026-11-21T00:00:00Z", "ending_at": "2026-11-21T20:00:00Z",
        "group": {"product": "managed_agents_api", "model": "claude-opus-5-5", "session_id": "sesn_01CANARY",
                  "cost_type": "tokens", "token_type": "output_tokens", "api_key_id": None},
        "cost": {"amount": "100", "list_amount": "100", "currency": "USD", "requests": None},
    }  # fmt: skip
    page = parsed("anthropic", "analytics_cost", {"data": [row], "has_more": False, "next_page": None})
    assert [bill.amount_nusd for bill in page.bills] == [1_000_000_000]
    assert "sesn_" not in repr(page.bills)
    state = replace(
        ProviderState("anthropic", "analytics_cost", "abc"), state=Health.OK, at_ms=NOW_MS, ok_ms=NOW_MS
    )
    with closing(db.open_writer(tmp_path)) as connection:
        days = frozenset({"2026-11-21"})
        bill_writer.keep(connection, Fetched(state, bills=tuple(page.bills), days=days))
        assert connection.execute("SELECT count(*) FROM bill").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM session").fetchone() == (0,)
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"sesn_" not in files
    assert "sesn" not in repr(anthropic.analytics_request(ask(), "cost", ("cost_type",)))


def test_a_limit_of_calls_is_waited_out(tmp_path: Path) -> None:
    """54: limited, no request until the time that was named, then ok."""
    openrouter = provider("openrouter")
    source = openrouter.source("credits")
    state, now_ms = ProviderState("openrouter", "credits", "abc"), NOW_MS
    with serving(now=None) as fake:
        fake.pull("openrouter", "credits")  # the first one imports the client
        fake.mode("limit:2/30")
        seen = []
        for _ in range(3):
            went, _pulled = fake.pull("openrouter", "credits")
            seen.append(went.state)
        assert seen == [Health.OK, Health.OK, Health.LIMITED]
        asked = due(state, source, now_ms)
        assert asked is not None
        state = after(state, went, asked, openrouter, source, now_ms, lambda: 0)
        assert (state.state, state.blocked_until_ms) == (Health.LIMITED, now_ms + 60_000)
        assert due(state, source, state.blocked_until_ms - 1) is None
        assert due(state, source, state.blocked_until_ms - 1, forced=True) is None
        assert due(state, source, state.blocked_until_ms) is not None
        fake.mode("ok")  # the time that was named has passed
        went, pulled = fake.pull("openrouter", "credits")
        assert went.state is Health.OK
        state = after(state, went, asked, openrouter, source, state.blocked_until_ms, lambda: 0)
        assert (state.state, state.blocked_until_ms, state.failures) == (Health.OK, 0, 0)
        assert pulled.balances
