"""The live machine as a source: several actions at once, their receipts in the store, read-only."""

import os
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.agents.build_claude import usage
from tests.fake_agents.world import IGNORE_TERM, SLEEP, World, is_alive, now_ms, wait_for
from tests.test_aftermath import log_of
from tokentop.nouns.actions import Action
from tokentop.nouns.picture import Snapshot
from tokentop.runtime import Runtime
from tokentop.settings.config import Settings
from tokentop.store import db, reader

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


def test_a_batch_of_the_live_source_is_stored_also_when_the_screen_is_left_meanwhile(world, tmp_path):
    """Only this test's own sessions are planned for: real agents may run on the same machine."""
    fakes = [world.claude(children=[{"argv": IGNORE_TERM}]) for _ in range(3)]
    beside = world.claude()
    runtime = Runtime(tmp_path / "state", {"HOME": str(world.home), "PATH": os.environ["PATH"]}, Settings())
    seen: list[Snapshot] = []
    runtime.start(seen.append)
    ids = {fake.session_id for fake in fakes}

    def rows():
        return [row for row in seen[-1].rows if row.session_id in ids and row.pid] if seen else []

    wait_for(lambda: len(rows()) == 3, 30)
    plans = runtime.plan_many(rows(), Action.TERMINATE)
    assert {plan.session_id for plan in plans} == ids
    assert all(plan.refusal == "" and plan.through is None for plan in plans)
    done: list[object] = []
    acting = threading.Thread(target=lambda: done.append(runtime.execute_many(plans)))
    acting.start()
    wait_for(lambda: not all(is_alive(fake.pid) for fake in fakes))
    runtime.stop()
    acting.join(30)
    assert not any(is_alive(pid) for fake in fakes for pid in (fake.pid, *fake.children))
    assert is_alive(beside.pid)
    with closing(db.open_reader(tmp_path / "state")) as connection:
        stored = reader.actions(connection)
    assert {receipt.session_id for receipt in stored} == ids
    assert {receipt.result for receipt in stored} == {"ended"}
    assert {receipt.key for receipt in stored} == {receipt.key for receipt in done[0]}


def test_read_only_in_the_settings_refuses_the_command(world, tmp_path):
    """processes.md case 87; a dry run still says what would be hit."""
    fake = world.claude()
    config = tmp_path / "config.toml"
    config.write_text("read_only = true\n")
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(world.home), "TZ": "UTC", "PYTHONPATH": str(ROOT),
        "TOKENTOP_STATE_DIR": str(tmp_path / "state"), "TOKENTOP_CONFIG": str(config),
    }  # fmt: skip
    for words in ((fake.session_id, "--yes"), (fake.session_id, "--kill", "--yes"), ("--orphans", "--yes")):
        done = subprocess.run(
            [sys.executable, "-m", "tokentop", "kill", *words], env=environ, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "tokentop: read_only is set in the settings: no actions\n"
    assert is_alive(fake.pid)
    dry = subprocess.run(
        [sys.executable, "-m", "tokentop", "kill", fake.session_id, "--dry-run"], env=environ,
        capture_output=True, text=True,
    )  # fmt: skip
    assert dry.returncode == 0
    assert str(fake.pid) in dry.stdout
    assert is_alive(fake.pid)


def test_a_session_is_found_by_its_id_while_a_tool_of_it_runs(world, tmp_path):
    """A tool that has run for two seconds is a line of its own, of the same session."""
    fake = world.claude(children=[{"argv": SLEEP}])
    path, log = log_of(world, fake.session_id, now_ms() - 60_000)
    log.user("go on")
    log.reply("it runs", usage(fresh=10, output=20, read=0, w5=0))
    path.write_bytes(log.bytes())
    time.sleep(2.5)
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(world.home), "TZ": "UTC", "PYTHONPATH": str(ROOT),
        "TOKENTOP_STATE_DIR": str(tmp_path / "state"),
    }  # fmt: skip
    for target in (fake.session_id, fake.session_id[:8]):
        done = subprocess.run(
            [sys.executable, "-m", "tokentop", "kill", target, "--dry-run", "--json"], env=environ,
            capture_output=True, text=True,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert str(fake.pid) in done.stdout


def test_a_read_only_source_refuses_to_execute_whoever_asks(world, tmp_path):
    fake = world.claude()
    (proc,) = world.tick()
    plan = world.watcher.plan(world.row(proc), Action.KILL, now_ms())
    runtime = Runtime(tmp_path / "state", {"HOME": str(world.home)}, Settings(read_only=True))
    assert runtime.execute(plan).result == "refused"
    assert [receipt.result for receipt in runtime.execute_many([plan, plan])] == ["refused", "refused"]
    assert is_alive(fake.pid)
