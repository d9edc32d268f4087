"""A pid that belongs to another process by now is never hit, and the receipt says so. processes.md 75, 76, 79."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.fake_agents.pid_reuse import Outcome

ROOT = Path(__file__).parents[1]
UNSHARE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
GONE = "its process had ended before the first signal; pid {} is another process now, which was left alone"


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """All moments, in one pid namespace."""
    if shutil.which("unshare") is None:
        pytest.skip("LEFT OUT: no `unshare` here, so no pid namespace can be made")
    possible = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True)
    if possible.returncode:
        pytest.skip(f"LEFT OUT: the kernel forbids a pid namespace here: {possible.stderr.strip()}")
    folder = tmp_path_factory.mktemp("reuse")
    inside = [sys.executable, "-m", "tests.fake_agents.pid_reuse", str(folder)]
    # A shell is the first process of the namespace: what loses its parent there is not tokentop's.
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", '"$@"; exit $?', "sh", *inside], capture_output=True, text=True, timeout=150,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=ROOT,
    )  # fmt: skip
    if "CANNOT" in done.stderr:
        pytest.skip(f"LEFT OUT: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=dict[str, Outcome])


def sent(outcome: Outcome) -> list[str]:
    """Signals that are said to have reached the pid that changed hands."""
    return [r.signal for r in outcome.receipt.rungs if r.pid == outcome.pid and r.result == "sent"]


@pytest.mark.parametrize(
    "moment",
    ["between_plan_and_execute", "by_another_agent", "between_dialog_and_yes", "freeze_of_a_stranger"],
)
def test_a_pid_that_changed_hands_before_the_first_signal_is_refused(
    outcomes: dict[str, Outcome], moment: str
) -> None:
    outcome = outcomes[moment]
    assert outcome.alive, "the new owner of the pid was hit"
    assert outcome.receipt.result == "already gone"
    assert outcome.receipt.detail == GONE.format(outcome.pid)
    assert sent(outcome) == []
    assert outcome.pid == outcome.receipt.pid
    assert outcome.pid not in outcome.receipt.ended_pids


@pytest.mark.parametrize("moment", ["between_plan_and_execute", "between_dialog_and_yes"])
def test_what_the_dead_agent_left_behind_is_ended_all_the_same(
    outcomes: dict[str, Outcome], moment: str
) -> None:
    receipt = outcomes[moment].receipt
    assert receipt.ended_pids
    assert receipt.survivors == ()


def test_between_two_rungs_the_second_signal_goes_to_nobody(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["between_two_rungs"]
    assert outcome.alive, "the new owner of the pid was hit"
    on_target = [(r.signal, r.result) for r in outcome.receipt.rungs if r.pid == outcome.pid]
    assert on_target == [("TERM", "sent"), ("KILL", "gone")]
    assert outcome.receipt.result == "ended"
    assert outcome.pid in outcome.receipt.ended_pids


def test_a_stranger_with_the_pid_of_a_planned_tool_is_not_swept(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["of_a_tool_in_the_tree"]
    assert outcome.alive, "the new owner of the pid was hit"
    assert sent(outcome) == []
    assert outcome.receipt.result == "ended"
    assert outcome.pid in outcome.receipt.ended_pids, "the tool has ended"
    assert outcome.pid not in outcome.receipt.survivors


def test_a_stranger_with_the_pid_of_a_tool_of_a_stopped_turn_is_not_hit(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["of_a_tool_of_a_stopped_turn"]
    assert outcome.alive, "the new owner of the pid was hit"
    assert outcome.receipt.result == "requested"
    assert sent(outcome) == []
    assert outcome.pid not in outcome.receipt.ended_pids + outcome.receipt.survivors
