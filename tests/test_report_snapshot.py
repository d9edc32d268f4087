"""`tokentop --json` and `--once`: what is not known is null or `?`, never zero."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from msgspec import structs

from tests.agents.harness import Scratch, cases
from tests.engine_build import NOW, act, agent_proc, child, rows_of, session, usage
from tokentop.engine.live import LiveState
from tokentop.engine.snapshot import take
from tokentop.nouns.processes import ProcRole
from tokentop.nouns.sessions import State
from tokentop.nouns.usage import Figures, Tokens
from tokentop.report.snapshot import as_text, row_document
from tokentop.ui.widgets.strip import today_pieces

MEASURED = ("tokens_per_min", "reads_per_min", "burn_usd_per_h", "responses", "tokens", "cost_usd")


def documents(live: LiveState) -> dict[str, dict[str, object]]:
    return {key: row_document(row) for key, row in rows_of(live).items()}


@pytest.mark.parametrize(
    "proc", [agent_proc(10, ""), agent_proc(10, "s"), agent_proc(10, "", role=ProcRole.ORPHAN)]
)
def test_a_process_without_a_log_claims_no_figures(proc) -> None:
    live = LiveState()
    live.set_procs((proc,), NOW)
    (row,) = documents(live).values()
    assert {row[name] for name in MEASURED} == {None}
    assert (row["own"]["cost_usd"], row["own"]["tokens"]) == (None, None)
    assert row["pid"] == 10
    assert "$0" not in as_text(take(live, NOW)).splitlines()[-1]


def test_an_agent_that_leaves_no_log_says_so() -> None:
    live = LiveState(unlogged=("claude",))
    live.set_procs((agent_proc(10, ""),), NOW)
    (row,) = rows_of(live).values()
    assert row.title == "leaves no usage on disk"
    assert row_document(row)["tokens"] is None


def test_a_tool_line_claims_no_figures_and_its_session_does() -> None:
    live = LiveState()
    live.load_session(session(), Figures())
    live.set_procs((agent_proc(children=(child(),)),), NOW)
    found = documents(live)
    assert found["proc:20:2000"]["cost_usd"] is None
    assert found["claude:s"]["cost_usd"] == "0.000000000"
    assert (found["claude:s"]["responses"], found["claude:s"]["tokens_per_min"]) == (0, 0.0)


def test_a_session_with_nothing_but_a_lost_call_has_an_unknown_cost() -> None:
    live = LiveState()
    live.set_procs((agent_proc(),), NOW)
    live.apply_activity(act(State.WORKING, 9_000, call_id="a"))
    live.set_procs((), NOW)
    row = documents(live)["claude:s"]
    assert (row["cost_usd"], row["unknown_calls"], row["responses"]) == (None, 1, 0)
    assert "$0" not in as_text(take(live, NOW)).splitlines()[-1]


def test_a_session_with_a_cost_and_a_lost_call_shows_the_known_part_as_a_lower_bound() -> None:
    live = LiveState()
    live.load_session(session(), Figures(Tokens(output=100), 1, 2_000_000_000))
    live.set_procs((agent_proc(),), NOW)
    live.apply_usage(usage(1, cost=2_000_000_000))
    live.apply_activity(act(State.IDLE, 9_000, lost_call="a"))
    row = documents(live)["claude:s"]
    assert (row["cost_usd"], row["unknown_calls"]) == ("2.000000000", 1)
    assert "≥$2.00" in as_text(take(live, NOW))


def test_a_session_of_days_ago_whose_log_is_touched_keeps_its_sums(tmp_path: Path) -> None:
    home = Scratch(tmp_path)
    case = next(case for case in cases() if case.agent == "codebuff")  # its status has the file's time
    shutil.copytree(case.home, home.home, dirs_exist_ok=True)
    old = home.run("usage")["totals"]
    for path in case.files:
        os.utime(home.home / path)
    (row,) = [row for row in home.run()["rows"] if row["agent"] == "codebuff"]
    assert (row["own"]["tokens"], row["own"]["cost_usd"]) == (old["tokens"], old["cost_usd"])


def test_what_has_no_price_burns_an_unknown_sum_not_nothing() -> None:
    live = LiveState()
    live.load_session(
        session(), Figures(tokens=Tokens(output=100), responses=1, unpriced_tokens=100, estimated=True)
    )
    live.apply_usage(usage(1, cost=None))
    live.set_today(Figures(cost_nusd=10**9, unpriced_tokens=100, estimated=True))
    (row,) = documents(live).values()
    assert row["tokens_per_min"] == 100
    assert row["burn_usd_per_h"] is None
    head, *_, line = as_text(take(live, NOW)).splitlines()
    assert "≥$0.00/h" in head
    assert "today ≥≈$1.00" in head
    assert line.split()[-4:-1] == ["100", "?", "unpriced"]


def test_a_bill_that_was_not_asked_for_is_unknown_and_one_that_cannot_be_read_on_is_at_least() -> None:
    live = LiveState()
    first = take(live, NOW)
    assert as_text(first).splitlines()[0].endswith("today ?")
    assert "".join(text for text, _ in today_pieces(first, "full")) == "today $?"
    live.set_today(Figures(cost_nusd=10**9))
    paused = structs.replace(take(live, NOW), mode="paused: cannot write (disk full)")
    assert "today ≥$1.00" in as_text(paused)
    assert "≥$1.00" in "".join(text for text, _ in today_pieces(paused, "full"))
