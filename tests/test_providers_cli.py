"""`tokentop providers` and the poller of a running tokentop, as the real program against the fake server; and that no
key that was put anywhere comes out anywhere.

Numbers in the docstrings are those of the conformance list in docs/providers.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tokentop.nouns.billing import Fetched, Health
from tokentop.nouns.picture import Snapshot
from tokentop.runtime import Runtime
from tokentop.runtime.threads import _LoopThread
from tokentop.settings.load import load
from tokentop.store import bills, db, reader
from tokentop.store.bill_writer import keep

from .faults import Scratch, bytes_in, line, one_line
from .provider_build import ACCOUNTS, KEYS, Fake, serving

ALL = (
    "anthropic", "deepseek", "github", "litellm", "moonshot", "openai", "openrouter", "vercel", "xai", "claude_oauth",
    "codex_wham", "copilot_user",
)  # fmt: skip
REPORT = "analytics_cost"


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serving(now=None, step=60) as server:
        yield server


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    home = Scratch(tmp_path)
    home.log(line(n) for n in range(3))
    return home


def configure(scratch: Scratch, base: str, *ids: str, **more: str) -> None:
    blocks = []
    for one in ids:
        account = f'account = "{ACCOUNTS[one]}"\n' if one in ACCOUNTS else ""
        risk = "i_accept_the_risk = true\n" if "_" in one else ""
        blocks.append(
            f'[providers.{one}]\non = true\nbase_url = "{base}"\n{account}{risk}{more.get(one, "")}'
        )
    scratch.config.write_text("\n".join(blocks))


def store_keys(scratch: Scratch, **keys: str) -> None:
    path = scratch.config.with_name("secrets.toml")
    path.write_text("".join(f'{name} = "{key}"\n' for name, key in keys.items()))
    path.chmod(0o600)


def make_older(scratch: Scratch, seconds: int) -> None:
    """As if everything had been asked that much earlier: a person may ask again."""
    with closing(db.open_writer(scratch.state)) as connection:
        for state in bills.states(connection):
            moved = {"at_ms": state.at_ms - seconds * 1000, "ok_ms": max(0, state.ok_ms - seconds * 1000)}
            keep(connection, Fetched(replace(state, blocked_until_ms=0, **moved)))


def document(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    found = json.loads(done.stdout)
    assert found["schema"] == "tokentop.providers/1"
    return {row["provider"]: row for row in found["rows"]}


def report(row: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [one for one in row["reports"] if one["report"] == name]
    return found


def test_without_settings_all_are_off_and_nothing_is_asked(scratch: Scratch) -> None:
    done = scratch.run("providers", "--json")
    rows = document(done)
    assert (done.returncode, done.stderr, sorted(rows)) == (0, "", sorted(ALL))
    assert {row["state"] for row in rows.values()} == {"off"}
    text = scratch.run("providers")
    assert (text.returncode, text.stderr) == (0, "")
    assert "tokentop providers enable" in text.stdout
    nothing = scratch.run("providers", "fetch")
    assert (nothing.returncode, "none of them is on" in one_line(nothing)) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("nonsense",), "choose from anthropic"), (("enable",), "name one provider"), (("key", "openai", "xai"), "name one"),
     (("key", "claude_oauth"), "no key to store"), (("enable", "claude_oauth"), "i_accept_the_risk = true")],
)  # fmt: skip
def test_wrong_use_is_one_line(scratch: Scratch, arguments: tuple[str, ...], words: str) -> None:
    done = scratch.run("providers", *arguments)
    assert done.returncode == 2
    assert words in done.stderr.splitlines()[-1]
    assert not scratch.config.exists()


def test_enable_and_key_write_what_they_say(scratch: Scratch) -> None:
    scratch.config.write_text('theme = ""  # mine\n')
    assert scratch.run("providers", "enable", "vercel").returncode == 0
    assert scratch.config.read_text() == 'theme = ""  # mine\n\n[providers.vercel]\non = true\n'
    assert "on already" in scratch.run("providers", "enable", "vercel").stdout
    done = subprocess.run(
        [sys.executable, "-m", "tokentop", "providers", "key", "vercel"], env=scratch.environ(), capture_output=True,
        text=True, input="sk-CANARY-0123456789wxyz\n", check=True, cwd=scratch.home,
    )  # fmt: skip
    assert "CANARY" not in done.stdout + done.stderr
    row = document(scratch.run("providers", "vercel", "--json"))["vercel"]
    assert (row["state"], row["key"]["origin"], row["key"]["ends_with"]) == (
        "waiting",
        "secrets.toml",
        "wxyz",
    )


def test_consent_is_typed(scratch: Scratch) -> None:
    """The risk is shown in words first, and nothing but yes is taken."""
    import pty

    for answer, status in (("y", 1), ("yes", 0)):
        main, other = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "tokentop", "providers", "enable", "claude_oauth"], env=scratch.environ(), stdin=other,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        os.write(main, f"{answer}\n".encode())
        _, said = process.communicate(timeout=60)
        os.close(main)
        os.close(other)
        assert (process.returncode, "risk under the consumer terms" in said) == (status, True)
    path = Path(scratch.environ()["XDG_CONFIG_HOME"]) / "tokentop" / "config.toml"
    assert path.read_text() == "[providers.claude_oauth]\non = true\ni_accept_the_risk = true\n"


def test_fetch_asks_all_reports_and_says_what_the_key_may(scratch: Scratch, fake: Fake) -> None:
    configure(scratch, fake.base, "openai", "openrouter")
    store_keys(scratch, openai=KEYS["openai"], openrouter="sk-or-v1-fake")
    done = scratch.run("providers", "fetch", "--json")
    rows = document(done)
    assert (done.returncode, done.stderr) == (0, "")
    assert rows["openai"]["state"] == rows["openrouter"]["state"] == "ok"
    assert set(rows["openai"]["may"]) == {"costs", "usage", "usage_other", "spend_limit", "names"}
    assert {one["name"] for one in rows["openrouter"]["balances"]} >= {"credits", "key"}
    asked = len(fake.log())
    again = scratch.run("providers", "fetch")
    assert "within the last minute" in again.stderr
    assert len(fake.log()) == asked


def seen(scratch: Scratch, connection: sqlite3.Connection) -> str:
    """Anthropic as the view "Limits & bill" shows it."""
    from tokentop.polling.standing import standing
    from tokentop.providers import all_providers
    from tokentop.ui.bill.asked import providers

    environ, now_ms = scratch.environ(), round(time.time() * 1000)
    [provider] = [one for one in all_providers() if one.id == "anthropic"]
    one = standing(
        provider, load(environ).providers["anthropic"], environ, bills.states(connection), bills.balances(connection),
        now_ms,
    )  # fmt: skip
    return "\n".join("".join(text for text, _ in line) for line in providers([one], now_ms, 200))


FAILURES = {
    "401": "unauthorized", "429:3037": "limited", "500": "server error", "bomb:16": "too big", "html": "not JSON",
    "nan": "bad data", "redirect": "redirected", "truncate": "cut off", "same-page": "bad data",
}  # fmt: skip


@pytest.mark.timeout(600)
def test_every_failure_keeps_the_last_good_value_with_its_age(
    scratch: Scratch, fake: Fake, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """43, and "done when" 1: a named state, the age, the old bill; never nothing, never a traceback."""
    from tokentop.cli import main

    configure(scratch, fake.base, "anthropic")
    store_keys(scratch, anthropic=KEYS["anthropic"])
    for name, value in scratch.environ().items():
        monkeypatch.setenv(name, value)

    def fetch() -> tuple[int, dict[str, Any]]:
        status = main(["providers", "fetch", "--json"])
        out, err = capfdbinary.readouterr()
        assert b"Traceback" not in err
        [row] = [one for one in json.loads(out)["rows"] if one["provider"] == "anthropic"]
        return status, report(row, REPORT)

    fake.mode("404", "/v1/organizations/usage_report/claude_code")  # else a request for each day of a month
    assert fetch()[1]["state"] == "ok"
    with closing(db.open_reader(scratch.state)) as connection:
        before = bills.lines(connection, "2026-01-01", "2100-01-01")
    assert before
    fake.control("reset", {})
    fake.mode("404", "/v1/organizations/")
    good_s = 0
    for mode, state in FAILURES.items():
        make_older(scratch, 100)
        good_s += 100
        fake.mode(mode, "/v1/organizations/analytics/cost")
        status, row = fetch()
        assert (status, row["state"]) == (1, state), (mode, row)
        assert row["age_s"] >= good_s
        assert bool(row["blocked_until"]) == (state == "limited"), (mode, row)
        assert row["todo"], mode
        with closing(db.open_reader(scratch.state)) as connection:
            assert bills.lines(connection, "2026-01-01", "2100-01-01") == before, mode
            on_screen = seen(scratch, connection)
        assert f"{REPORT}: {state}, " in on_screen, on_screen
        assert "0%" not in on_screen
    assert main(["providers", "anthropic"]) == 0
    text = capfdbinary.readouterr()[0]
    assert b"bad data" in text
    assert b" ago" in text
    assert b"  -> not as documented: update tokentop" in text
    assert len(fake.log()) < 12 * len(
        FAILURES
    )  # one request for each report that refuses, three at most for one


# ---------------------------------------------------------------- a running tokentop


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokentop.runtime.threads.POLLER_START_S", 0.0)
    monkeypatch.setattr("tokentop.runtime.threads.LIMITS_S", 0.0)
    monkeypatch.setattr("tokentop.polling.loop.SPREAD_S", 0.0)


def wait_for(found: Any, seconds: float = 60) -> Any:
    end_s = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end_s
        time.sleep(0.05)
    return value


def test_the_poller_hands_facts_to_the_collector(scratch: Scratch, fake: Fake, at_once: None) -> None:
    """Own thread, own loop; the collector commits, the limits are on the screen, the failing one is in its health."""
    folder = scratch.home / ".claude"
    folder.mkdir(exist_ok=True)
    (folder / ".credentials.json").write_text('{"claudeAiOauth": {"accessToken": "sk-ant-oat01-fake"}}')
    configure(scratch, fake.base, "openrouter", "claude_oauth", "deepseek")
    store_keys(scratch, openrouter="sk-or-v1-fake", deepseek="wrong")
    environ = scratch.environ()
    scratch.state.mkdir(mode=0o700)
    pictures: list[Snapshot] = []
    runtime = Runtime(scratch.state, environ, load(environ))
    runtime.start(pictures.append)
    try:
        wait_for(lambda: pictures and any(q.source == "endpoint" for q in pictures[-1].quotas))
        picture = wait_for(
            lambda: next(
                (p for p in reversed(pictures) if any(d.source == "deepseek.balance" for d in p.health)), None
            )
        )
        assert "unauthorized" in next(d.detail for d in picture.health if d.source == "deepseek.balance")

        def bought() -> Any:
            with closing(db.open_reader(scratch.state)) as connection:
                return [one for one in bills.balances(connection) if one.name == "credits"]

        assert wait_for(bought)[0].remaining_nano
        assert "poller" in {thread.name for thread in threading.enumerate()}
    finally:
        runtime.stop()
    wait_for(lambda: "poller" not in {thread.name for thread in threading.enumerate()})
    with closing(db.open_reader(scratch.state)) as connection:
        assert [q.provider for q in reader.quotas(connection)] == ["claude"] * 3
        states = {(one.provider, one.source): one.state for one in bills.states(connection)}
    assert states["deepseek", "balance"] is Health.UNAUTHORIZED


def test_a_loop_that_ends_by_itself_while_it_is_being_ended_is_ended() -> None:
    """Who ends it has read how, and comes to it when the loop is closed."""
    subject, runs, over = _LoopThread(), threading.Event(), threading.Event()

    async def work() -> None:
        runs.set()
        await asyncio.to_thread(over.wait)

    subject._start("loop", lambda: subject._run_loop(work))
    assert runs.wait(60)
    end = subject._end
    over.set()
    assert subject._thread is not None
    subject._thread.join(60)
    subject._end = end
    subject.stop()


def test_a_second_tokentop_does_not_ask(scratch: Scratch, fake: Fake, at_once: None) -> None:
    configure(scratch, fake.base, "openrouter")
    store_keys(scratch, openrouter="sk-or-v1-fake")
    environ = scratch.environ()
    scratch.state.mkdir(mode=0o700)
    first, second = (
        Runtime(scratch.state, environ, load({"HOME": "/nonexistent"})),
        Runtime(scratch.state, environ, load(environ)),
    )
    pictures: list[Snapshot] = []
    first.start(lambda _: None)
    try:
        wait_for(lambda: (scratch.state / "now.json").exists())
        second.start(pictures.append)
        wait_for(lambda: len(pictures) > 3 and pictures[-1].mode == "reader")
        assert fake.log() == []
    finally:
        first.stop()
        wait_for(lambda: fake.log())  # it takes over, and asks
        second.stop()


WATCH = (
    "import sys\nfrom tokentop import cli\nfrom tokentop.polling import loop\nfrom tokentop.runtime import threads\n"
    "threads.POLLER_START_S = threads.LIMITS_S = loop.SPREAD_S = 0.0\nsys.exit(cli.main(['watch']))\n"
)


@pytest.mark.parametrize("looked_at", [True, False])
def test_what_is_due_for_a_screen_after_five_minutes_is_not_due_for_a_watch_within_the_hour(
    scratch: Scratch, fake: Fake, at_once: None, looked_at: bool
) -> None:
    """Reports of a provider are asked in their order: when the later one has been, the earlier one was left alone."""
    configure(scratch, fake.base, "openrouter")
    store_keys(scratch, openrouter="sk-or-v1-fake")
    assert scratch.run("providers", "fetch").returncode == 0
    with closing(db.open_writer(scratch.state)) as connection:
        for state in bills.states(connection):
            ago_s = {"credits": 20 * 60, "key": 2 * 3600}.get(state.source, 0)
            spans = tuple((name, at_ms - ago_s * 1000) for name, at_ms in state.spans)
            keep(connection, Fetched(replace(state, spans=spans)))
    before = len(fake.log())

    def asked() -> list[str]:
        return [request["path"].rpartition("/")[2] for request in fake.log()[before:]]

    if looked_at:
        runtime = Runtime(scratch.state, scratch.environ(), load(scratch.environ()))
        runtime.start(lambda _: None)
        end: Callable[[], object] = runtime.stop
    else:
        watching = subprocess.Popen(
            [sys.executable, "-c", WATCH],
            env=scratch.environ(),
            stdout=subprocess.DEVNULL,
        )
        end = watching.terminate
    try:
        wait_for(lambda: "key" in asked())
        assert asked()[: 1 + looked_at] == (["credits", "key"] if looked_at else ["key"])
    finally:
        end()
        if not looked_at:
            watching.wait(60)


def test_nothing_starts_where_no_provider_is_on(scratch: Scratch) -> None:
    scratch.config.write_text("[providers.openai]\non = false\n")
    script = (
        "import os, sys, threading, time\nfrom pathlib import Path\n"
        "from tokentop import runtime\nfrom tokentop.settings.load import load\n"
        "runtime.threads.POLLER_START_S = runtime.threads.LIMITS_S = 0.0\n"
        "seen = []\nmachine = runtime.Runtime(Path(os.environ['TOKENTOP_STATE_DIR']), os.environ, load(os.environ))\n"
        "Path(os.environ['TOKENTOP_STATE_DIR']).mkdir(mode=0o700)\n"
        "machine.start(seen.append)\n"
        "while len(seen) < 4: time.sleep(0.05)\n"
        "names = {one.name for one in threading.enumerate()}\nmachine.stop()\n"
        "loaded = [m for m in sys.modules if m.startswith(('httpx', 'tokentop.polling', 'tokentop.providers'))]\n"
        "print(sorted(names - {'aside'}), loaded)\n"
    )
    env = scratch.environ(OPENAI_ADMIN_KEY="sk-x")
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("['MainThread', 'collector'] []\n", "")


# ---------------------------------------------------------------- canaries

CANARY = "CANARY7Qx9"


def plant(scratch: Scratch, base: str) -> dict[str, str]:
    """A key of its own in every place where one can be; returns the environment."""
    command = json.dumps([sys.executable, "-c", f"print('sk-{CANARY}-command-0123456789')"])
    configure(scratch, base, *ALL, moonshot=f"key_command = {command}\n")
    store_keys(scratch, xai=f"sk-{CANARY}-file-0123456789", deepseek=f"{CANARY}plain0123456789")
    for folder, name, body in (
        (".claude", ".credentials.json", {"claudeAiOauth": {"accessToken": f"sk-oat-{CANARY}", "refreshToken": f"r{CANARY}"}}),
        (".config/github-copilot", "apps.json", {"github.com:Iv1": {"oauth_token": f"gho_{CANARY}"}}),
        (".codex", "auth.json", {"tokens": {"access_token": f"eyJ{CANARY}", "account_id": "acct-1", "id_token": f"i{CANARY}"}}),
    ):  # fmt: skip
        (scratch.home / folder).mkdir(exist_ok=True, parents=True)
        (scratch.home / folder / name).write_text(json.dumps(body))
    return {
        "ANTHROPIC_ADMIN_KEY": f"sk-ant-admin01-{CANARY}", "TOKENTOP_OPENAI_KEY": f"sk-admin-{CANARY}",
        "OPENROUTER_API_KEY": f"sk-or-v1-{CANARY}", "GH_TOKEN": f"gho_{CANARY}0123456789", "LITELLM_API_KEY": f"{CANARY}-l",
        "AI_GATEWAY_API_KEY": f"vck_{CANARY}-0123456789", "ANTHROPIC_BASE_URL": f"https://evil.example/{CANARY}",
    }  # fmt: skip


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", ["ok", "401", "redirect", "echo"])
def test_no_key_comes_out_anywhere(scratch: Scratch, fake: Fake, mode: str) -> None:
    """50, and "done when" 2: output of every flow, database, WAL and log, whatever the providers answer."""
    if mode == "echo":
        fake.server.RequestHandlerClass.answer = echo  # type: ignore[attr-defined]
    else:
        fake.mode(mode)
    env = plant(scratch, fake.base)
    said = ""
    flows = (("providers", "fetch"), ("providers",), ("providers", "--json"), ("doctor",), ("--json",))
    for flow in flows:
        done = scratch.run(*flow, env=dict(env), timeout=170)
        assert "Traceback" not in done.stderr
        said += done.stdout + done.stderr
    assert len(fake.log()) > 20 or mode == "echo"
    assert CANARY not in said
    assert CANARY.encode() not in bytes_in(scratch.state)
    assert not any(CANARY in str(entry["path"]) + str(entry["query"]) for entry in fake.log())
    assert fake.control("log")["leaks"] == []


def echo(handler: Any, path: str, q: Any, body: bytes) -> None:
    """A provider that sends the key back in every field of an error and of a report."""
    del path, q, body
    key = handler.headers.get("authorization") or handler.headers.get("x-api-key") or ""
    key = key.removeprefix("Bearer ")
    word = {"type": key, "code": key, "message": key, "param": key}
    row = {"currency": key, "amount": key, "model": key, "id": key, "name": key}
    document = {
        "error": word,
        "detail": word,
        "message": key,
        "type": key,
        "data": [row],
        "limits": [row],
        "balance": key,
    }
    handler.send(403, document, {"X-Key": key})


def test_a_poller_that_crashes_tells_its_kind_alone(
    scratch: Scratch,
    fake: Fake,
    at_once: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """50: an error in the middle of an exchange, with the key in the frames around it."""
    import httpx

    def broken(self: Any, request: Any, **_: Any) -> Any:
        raise RuntimeError(f"{dict(request.headers)} {request.headers.raw}")

    monkeypatch.setattr(httpx.AsyncClient, "_send_single_request", broken)
    env = plant(scratch, fake.base)
    environ = scratch.environ() | env
    scratch.state.mkdir(mode=0o700)
    pictures: list[Snapshot] = []
    runtime = Runtime(scratch.state, environ, load(environ))
    with caplog.at_level("DEBUG"):
        runtime.start(pictures.append)
        try:
            wait_for(lambda: pictures and any(d.source == "vercel.credits" for d in pictures[-1].health))
        finally:
            runtime.stop()
    detail = next(d.detail for d in pictures[-1].health if d.source == "vercel.credits")
    assert "RuntimeError" in detail
    assert CANARY not in caplog.text + repr(pictures)
    assert CANARY.encode() not in bytes_in(scratch.state)
    assert datetime.now(UTC).year >= 2026
