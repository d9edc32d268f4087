"""A key in every place where one can be, and none on a screen: the real program with real threads, a real agent's
process, providers that fail or send the key back; screenshots of each view, and real crashes in a terminal.

Number 50 of the conformance list in docs/providers.md.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_agents.world import World
from tests.faults import Scratch, bytes_in, wait_for
from tests.provider_build import Fake, serving
from tests.test_providers_cli import CANARY, echo, plant
from tests.ui.pilot import lines, until
from tests.ui.terminal import Terminal
from tokentop.runtime import Runtime
from tokentop.settings.load import load
from tokentop.ui.app import TokentopApp
from tokentop.ui.source import UiOptions

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

KEY = f"sk-ant-api03-{CANARY}-0123456789"
RING = f"""
def get_password(service, user):
    return {f"sk-{CANARY}-ring-0123456789"!r} if user in ("litellm", "github") else None
"""


class Place:
    """A home with a running agent, its log, settings and keys everywhere."""

    def __init__(self, root: Path, fake: Fake) -> None:
        self.world = World(root)
        self.scratch = Scratch.__new__(Scratch)
        self.scratch.home, self.scratch.state, self.scratch.config = (
            root / "home",
            root / "state",
            root / "config.toml",
        )
        self.environ = plant(self.scratch, fake.base)
        for name in ("GH_TOKEN", "LITELLM_API_KEY"):  # these two are in the keyring
            del self.environ[name]
        self.environ |= {
            "HTTPS_PROXY": f"http://me:{CANARY}@127.0.0.1:9",
            "NO_PROXY": "127.0.0.1",
            "OPENAI_API_KEY": KEY,
        }
        self.library = root / "library"
        self.library.mkdir()
        (self.library / "keyring.py").write_text(RING)
        self.scratch.state.mkdir(mode=0o700)
        self.agent = self.world.claude(
            "--api-key", KEY, environ={"ANTHROPIC_API_KEY": KEY, "MY_TOKEN": CANARY}
        )
        self.log = self._log()

    def _log(self) -> Path:
        """What a person typed, what tools were given and what an error said: with the key in it."""
        session, now_s = self.agent.session_id, time.time()
        tool = {
            "type": "tool_use",
            "id": "t1",
            "name": "Bash",
            "input": {"command": f"curl -H 'x-api-key: {KEY}' https://me:{CANARY}@a.example"},
        }
        usage = {"input_tokens": 7, "output_tokens": 100, "cache_read_input_tokens": 5_000}
        message = {
            "id": "msg_1",
            "role": "assistant",
            "model": "claude-opus-5-5",
            "content": [tool],
            "stop_reason": "tool_use",
            "usage": usage,
        }
        said = {"role": "user", "content": f"use the key {KEY} please"}
        error = {
            "id": "msg_2",
            "role": "assistant",
            "model": "<synthetic>",
            "content": [{"type": "text", "text": f"API Error: invalid x-api-key: {KEY}"}],
            "usage": {},
        }
        records = [
            {"type": "user", "message": said, "uuid": "u1"},
            {"type": "assistant", "message": message, "uuid": "u2"},
            {"type": "assistant", "message": error, "uuid": "u3", "isApiErrorMessage": True},
        ]
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s - 5))
        path = self.scratch.home / ".claude" / "projects" / "-work" / f"{session}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        common = {"sessionId": session, "timestamp": stamp, "cwd": str(self.world.work), "version": "2.1.330"}
        path.write_text("".join(json.dumps(common | record) + "\n" for record in records))
        return path

    def env(self) -> dict[str, str]:
        return self.scratch.environ(**self.environ)


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serving(now=None) as server:
        yield server


@pytest.fixture
def place(tmp_path: Path, fake: Fake) -> Iterator[Place]:
    made = Place(tmp_path, fake)
    yield made
    made.world.close()


# Keys one after the other; after each of them a screenshot is taken.
VIEWS = (
    "1", "2", "enter", "tab", "tab", "escape", "i", "escape", "e", "escape", "L", "escape", "3", "enter", "escape", "4",
    "tab", "pagedown", "5", "1", "H", "escape", "R", "escape", "w", "escape", "K", "escape", "comma", "G", "escape",
    "question_mark", "escape", "ctrl+p", "escape", "b", "B", "escape",
)  # fmt: skip
ANSWERS = {"e": "ANTHROPIC_API_KEY", "L": "curl"}  # what these two show once they have their answer


@pytest.mark.parametrize("mode", ["ok", "echo"])
async def test_no_view_shows_a_key(
    place: Place, fake: Fake, mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """50: SVG screenshots of each view, the text of each line, the database with its WAL, and the log."""
    monkeypatch.setattr("tokentop.runtime.threads.POLLER_START_S", 0.0)
    monkeypatch.setattr("tokentop.polling.loop.SPREAD_S", 0.0)
    monkeypatch.syspath_prepend(str(place.library))
    if mode == "echo":
        fake.server.RequestHandlerClass.answer = echo  # type: ignore[attr-defined]
    environ = place.env()
    runtime = Runtime(place.scratch.state, environ, load(environ))
    app = TokentopApp(
        runtime, UiOptions(config_path=str(place.scratch.config), log_path=str(place.scratch.state / "log"))
    )
    pictures, texts = [], []
    async with app.run_test(size=(160, 50), notifications=True) as pilot:
        wanted = "unauthorized" if mode == "ok" else "forbidden"
        await until(pilot, lambda: told(app, wanted) and (mode == "echo" or len(fake.log()) >= 9))
        await until(pilot, lambda: any(row.pid == place.agent.pid for row in app.live.snapshot.rows))  # type: ignore[union-attr]
        for key in ("", *VIEWS):
            if key:
                await pilot.press(key)
            await pilot.pause(0.12)
            word = ANSWERS.get(key, "")
            await until(pilot, lambda word=word: word in "\n".join(lines(app)))  # type: ignore[misc]
            pictures.append(app.export_screenshot())
            texts.append("\n".join(lines(app)))
        kept = bytes_in(place.scratch.state)
    kept += bytes_in(place.scratch.state)
    seen = "\n".join(texts)
    assert len({hash(text) for text in texts}) > 15
    for shown in (
        "ANTHROPIC_API_KEY",
        "use the key",
        "curl",
        "deepseek",
        "providers",
    ):  # these views were really there
        assert shown in seen, shown
    for at, picture in enumerate(pictures):
        assert CANARY not in picture, ("", *VIEWS)[at]
    assert CANARY not in seen
    assert CANARY.encode() not in kept
    assert fake.control("log")["leaks"] == []


def told(app: TokentopApp, word: str) -> bool:
    found = app.live.snapshot
    return found is not None and any(word in one.detail for one in found.health if one.kind == "provider")


CRASH = """
import os, sys
from msgspec.structs import replace
from tokentop import collector, runtime
from tokentop.ui import launch

kind, key = sys.argv.pop(), os.environ["OPENAI_API_KEY"]
runtime.threads.POLLER_START_S = 0.0

class Broken(runtime.Runtime):
    def start(self, publish):
        if kind != "drawing":
            return super().start(publish)
        number = []
        def bad(snapshot):
            number.append(snapshot)
            secret = key
            publish(replace(snapshot, rows=(secret,)) if len(number) > 3 else snapshot)
        super().start(bad)

    def look(self, row):
        if kind == "worker":
            secret = key
            raise RuntimeError(f"a look: {secret}")
        return super().look(row)

if kind == "collector":
    real, number = collector.Collector.snapshot, []
    def snapshot(self, wall_ms):
        number.append(1)
        secret = key
        if len(number) == 4:
            raise RuntimeError(f"a snapshot: {secret}")
        return real(self, wall_ms)
    collector.Collector.snapshot = snapshot
launch.Runtime = Broken
from tokentop.cli import main
sys.exit(main([]))
"""


@pytest.mark.parametrize("kind", ["drawing", "worker", "collector"])
def test_no_crash_shows_a_key(place: Place, kind: str) -> None:
    """50: the real program in a terminal, with the key in the locals of the frames and in the error's own words."""
    env = place.env()
    env["PYTHONPATH"] += f":{place.library}"
    with Terminal([sys.executable, "-c", CRASH, kind], 120, 40, env) as terminal:
        if kind == "drawing":
            assert terminal.wait() == 1
            assert b"stopped by an error of its own" in terminal.output
            assert terminal.restored
        else:
            terminal.wait_for(b"use the key")
            log = place.scratch.state / "tokentop.log"
            if kind == "worker":
                terminal.send(b"\r")
                terminal.wait_for(b"tokens")
            else:
                wait_for(
                    lambda: (
                        terminal.read(0.1) is not None and log.exists() and "RuntimeError" in log.read_text()
                    )
                )
            terminal.send(b"H")
            terminal.read(1.0)
            terminal.leave()
    said = (place.scratch.state / "tokentop.log").read_text() if kind != "worker" else ""
    assert kind == "worker" or "Error" in said
    assert CANARY.encode() not in terminal.output
    assert CANARY not in said
    assert CANARY.encode() not in bytes_in(place.scratch.state)
