"""`tokentop rules`, `rules --dry-run` and `actions` on a real store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.agents.build_claude import Transcript, usage
from tests.fake_agents.world import now_ms
from tokentop.cli import main
from tokentop.collector.actions import store_receipt
from tokentop.nouns.actions import Action, Receipt


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in (
        ("HOME", "home"),
        ("TOKENTOP_STATE_DIR", "state"),
        ("TOKENTOP_CONFIG", "config.toml"),
    ):
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setenv("TZ", "UTC")
    (tmp_path / "config.toml").write_text(
        '[rules.session_cost]\non = true\nusd = 5\nladder = ["notify", "terminate"]\ncooldown_minutes = 2\n'
    )
    log = Transcript("5f3a0000-0000-4000-8000-000000000001", at_ms=now_ms() - 3 * 86_400_000)
    for minute in range(20):
        log.reply(f"msg_{minute}", usage(fresh=0, output=50_000, read=0, w5=0), request=f"r{minute}",
                  at_ms=log.started_ms + minute * 60_000)  # fmt: skip
    path = tmp_path / "home" / log.path
    path.parent.mkdir(parents=True)
    path.write_bytes(log.bytes())
    return tmp_path


def receipt(at_ms: int, reason: str, result: str = "ended") -> Receipt:
    return Receipt(
        at_ms, Action.TERMINATE, reason, "claude", "s-1", 77, 1, "claude", "/w", result, "\x1b[2Jhi", (), (77, 78), (),
        5, 1_000_000_000, None, "claude --resume s-1",
    )  # fmt: skip


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main([*words]) == 0
    return capsys.readouterr().out


def test_the_dry_run_says_what_would_have_been_done_and_what_cannot_be_told(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(printed(capsys, "rules", "--dry-run", "--json"))
    assert found["schema"] == "tokentop.rules-dry-run/1"
    steps = [(row["rule"], row["step"]) for row in found["rows"] if row["on"]]
    assert steps == [("session_cost", "notify"), ("session_cost", "terminate")]
    assert 10 <= float(found["rows"][-1]["cost_after_usd"]) <= 14
    assert {row["rule"] for row in found["not_replayed"]} == {
        "no_progress", "loop", "waiting", "idle", "orphan", "context",
    }  # fmt: skip
    text = printed(capsys, "rules", "--dry-run")
    assert "20 events" in text
    assert "the store keeps no tool calls" in text


def test_rules_says_what_is_set_and_what_was_done(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys, "sync")
    at_ms = now_ms()
    for ago_ms, result in ((7_200_000, "ended"), (60_000, "ended"), (30_000, "cancelled")):
        store_receipt(home / "state", receipt(at_ms - ago_ms, "policy:session_cost", result))
    rows = {row["name"]: row for row in json.loads(printed(capsys, "rules", "--json"))["rows"]}
    mine = rows["session_cost"]
    assert (mine["on"], mine["condition"], mine["ladder"]) == (True, {"usd": 5.0}, ["notify", "terminate"])
    assert (mine["acted"], mine["acted_last_hour"], mine["last"]["result"]) == (2, 1, "cancelled")
    assert not rows["orphan"]["on"]
    assert "1/3" in printed(capsys, "rules")


def test_actions_are_listed_newest_first_with_clean_text(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "nothing was done" in printed(capsys, "actions")
    for at_ms, reason in ((1_795_300_000_000, "manual"), (1_795_300_001_000, "policy:loop")):
        store_receipt(home / "state", receipt(at_ms, reason))
    found = json.loads(printed(capsys, "actions", "--json"))
    assert found["schema"] == "tokentop.actions/1"
    assert [row["reason"] for row in found["rows"]] == ["policy:loop", "manual"]
    assert found["rows"][0]["cost_usd"] == "1.000000000"
    text = printed(capsys, "actions", "--limit", "1")
    assert "policy:loop" in text
    assert "manual" not in text
    assert "\x1b" not in text
    assert "resume: claude --resume s-1" in text
