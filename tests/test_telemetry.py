"""Telemetry beside logs: each call is counted once, whichever comes first, and the log wins.

Numbers in the docstrings are those of the conformance list in docs/providers.md.
"""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from tokentop.nouns.picture import Row, Snapshot
from tokentop.nouns.usage import Figures, Tokens, Usage
from tokentop.receiver import wire
from tokentop.receiver.secret import NAME
from tokentop.runtime import Runtime
from tokentop.settings.load import load
from tokentop.store import db, reader
from tokentop.ui.origins import origins

from .faults import Scratch, audit_file, dumps, one_line, stamp, wait_for
from .telemetry_build import body, calls, claude_line, exchange, moved, request


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path)


def free_port() -> int:
    """A port that nobody is given meanwhile: below those that systems give to connections, of tests beside this one too."""
    while True:
        port = random.SystemRandom().randrange(20_000, 30_000)
        with socket.socket() as taken, suppress(OSError):
            taken.bind(("127.0.0.1", port))
            return port


@pytest.fixture(autouse=True)
def new_files_are_found_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokentop.collector.reading.FOLDERS_S", 0.2)


class Running:
    """A running tokentop that listens."""

    def __init__(self, scratch: Scratch) -> None:
        self.port = free_port()
        self.scratch = scratch
        self.pictures: list[Snapshot] = []
        scratch.config.write_text(f"[telemetry]\non = true\nport = {self.port}\n")
        scratch.state.mkdir(mode=0o700, exist_ok=True)
        environ = scratch.environ()
        self.runtime = Runtime(scratch.state, environ, load(environ))
        self.runtime.start(self.pictures.append)
        wait_for(self._listens)
        self.token = (scratch.state / NAME).read_text().strip()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def send(self, data: bytes, path: str = "/v1/logs") -> None:
        assert exchange(self.port, request(self.port, data, token=self.token, path=path)) == (200, {})

    def events(self) -> list[Usage]:
        with closing(db.open_reader(self.scratch.state)) as connection:
            return [one.usage for one in reader.recent_events(connection, 0)]

    def wait(self, wanted: Callable[[list[Usage]], object]) -> list[Usage]:
        wait_for(lambda: wanted(self.events()))
        return self.events()

    def tally(self) -> dict[str, Any]:
        with closing(db.open_reader(self.scratch.state)) as connection:
            found: dict[str, Any] = json.loads(reader.remembered(connection, "telemetry") or "{}")
            return found


@contextmanager
def running(scratch: Scratch) -> Iterator[Running]:
    subject = Running(scratch)
    try:
        yield subject
    finally:
        subject.runtime.stop()
    assert "receiver" not in {thread.name for thread in threading.enumerate()}
    audit_file(scratch.database)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log's chance is over at once."""
    monkeypatch.setattr("tokentop.engine.heard.HOLD_S", 0.0)
    monkeypatch.setattr("tokentop.collector.listening.HEARD_S", 0.0)
    monkeypatch.setattr("tokentop.collector.listening.TALLY_S", 0.0)


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log has all the time it needs."""
    monkeypatch.setattr("tokentop.engine.heard.HOLD_S", 1e6)
    monkeypatch.setattr("tokentop.collector.listening.HEARD_S", 0.0)
    monkeypatch.setattr("tokentop.collector.listening.TALLY_S", 0.0)


def sent(*calls: Usage) -> list[tuple[Tokens, bool]]:
    return [(call.tokens, call.telemetry) for call in calls]


# ---------------------------------------------------------------- who comes first


@pytest.mark.parametrize("first", ["log", "telemetry"])
def test_a_call_that_both_tell_is_counted_once(scratch: Scratch, never: None, first: str) -> None:
    """67: by the id of the request; the log gives the tokens, telemetry how long it took."""
    one, two = calls("claude")
    lines = [claude_line(one, 1), claude_line(two, 2)]
    with running(scratch) as subject:
        if first == "log":
            scratch.log(lines)
            subject.wait(lambda found: len(found) == 2)
        subject.send(body("claude_logs"))
        if first == "telemetry":
            scratch.log(lines)
        found = subject.wait(lambda found: len(found) == 2 and all(one.duration_ms for one in found))
        assert sent(*found) == [(one.tokens, False), (two.tokens, False)]
        assert [call.duration_ms for call in found] == [97, 115]
        wait_for(lambda: subject.tally().get("logged") == {"claude": 2})
        assert subject.tally()["calls"] == {"claude": 2}
    totals = scratch.totals()
    assert (totals["responses"], "telemetry_responses" in totals) == (2, False)


def test_the_log_wins_where_they_differ(scratch: Scratch, never: None) -> None:
    """67: a stream that was cut off is told with other counts by each."""
    one, _ = calls("claude")
    fewer = structs.replace(one, tokens=structs.replace(one.tokens, output=3))
    with running(scratch) as subject:
        scratch.log([claude_line(fewer, 1)])
        subject.send(body("claude_logs"))
        found = subject.wait(lambda found: len(found) == 1 and found[0].duration_ms)
        assert sent(*found) == [(fewer.tokens, False)]


def test_what_no_log_tells_is_counted_and_says_so(scratch: Scratch, soon: None) -> None:
    with running(scratch) as subject:
        subject.send(body("claude_logs"))
        found = subject.wait(lambda found: len(found) == 2)
        assert sent(*found) == [(call.tokens, True) for call in calls("claude")]
        subject.send(body("claude_logs"))  # an exporter that had no answer sends again
        wait_for(lambda: subject.tally().get("records", 0) == 10)
        assert len(subject.events()) == 2
    totals = scratch.totals()
    assert (totals["responses"], totals["telemetry_responses"]) == (2, 2)
    assert "2 responses are known from the agents' telemetry alone" in scratch.run("usage").stdout
    session = json.loads(scratch.run("session", calls("claude")[0].session_id, "--json").stdout)
    assert {event["source"] for event in session["timeline"]} == {"telemetry"}
    shown = scratch.run("hook", "show", "telemetry").stdout
    assert "2 in all that no log tells" in shown
    done = scratch.run("purge", "--session", calls("claude")[0].session_id, "--yes")
    assert done.returncode == 0, done.stderr
    with closing(db.open_reader(scratch.state)) as connection:
        assert connection.execute("SELECT count(*) FROM telemetry").fetchone() == (0,)
    assert scratch.totals()["responses"] == 2  # sums stay


def test_a_session_that_no_log_tells_says_so(scratch: Scratch, soon: None) -> None:
    """On the screen: in the drawer's notes and where the figures come from; gone when a log tells it."""
    data = moved(body("claude_logs"), time.time_ns())
    one, two = wire.logs(data).calls
    with running(scratch) as subject:

        def row() -> Row | None:
            return next((row for row in subject.pictures[-1].rows if row.session_id == one.session_id), None)

        def told() -> str:
            found = row()
            return next(o.told for o in origins(found, None, (), 0) if o.what == "tokens") if found else ""

        subject.send(data)
        wait_for(lambda: "2 responses in its telemetry: no log tells it" in told())
        assert "known from its telemetry alone" in " ".join(row().notes)  # type: ignore[union-attr]
        scratch.log([claude_line(one, 1), claude_line(two, 2)])
        wait_for(lambda: ".jsonl" in told())
        assert "telemetry" not in told() + " ".join(row().notes)  # type: ignore[union-attr]


def own(picture: Snapshot, session: str) -> Figures:
    return next((row.own for row in picture.rows if row.session_id == session), Figures())


@pytest.mark.parametrize("later", ["while it runs", "after a restart", "by a report"])
def test_a_log_that_comes_later_takes_the_place(scratch: Scratch, soon: None, later: str) -> None:
    data = moved(body("claude_logs"), time.time_ns())
    one, two = wire.logs(data).calls
    lines = [claude_line(one, 1), claude_line(two, 2)]
    with running(scratch) as subject:
        subject.send(data)
        subject.wait(lambda found: len(found) == 2)
        if later == "while it runs":
            scratch.log(lines)
            subject.wait(lambda found: len(found) == 2 and not any(call.telemetry for call in found))
            both = one.tokens + two.tokens
            wait_for(lambda: own(subject.pictures[-1], one.session_id).tokens == both)
            # 60 s have not passed: the rate holds each call once, however it was told.
            wait_for(lambda: 0 < subject.pictures[-1].totals.tokens_per_min <= both.fresh)
            assert own(subject.pictures[-1], one.session_id).responses == 2
    if later != "while it runs":
        scratch.log(lines)
    if later == "after a restart":
        with running(scratch) as subject:
            subject.wait(lambda found: not any(call.telemetry for call in found))
    totals = scratch.totals()
    assert (totals["responses"], "telemetry_responses" in totals) == (2, False)
    with closing(db.open_reader(scratch.state)) as connection:
        assert reader.telemetry_alone(connection) == {}
        assert connection.execute("SELECT count(*) FROM telemetry").fetchone() == (0,)


def test_a_log_that_was_read_before_it_listened_is_known(scratch: Scratch, soon: None) -> None:
    """67: the exporter waits five seconds; a report may have read the log meanwhile."""
    one, two = calls("claude")
    scratch.log([claude_line(one, 1), claude_line(two, 2)])
    assert scratch.totals()["responses"] == 2
    with running(scratch) as subject:
        subject.send(body("claude_logs"))
        wait_for(lambda: subject.tally().get("logged") == {"claude": 2})
        assert sent(*subject.events()) == [(one.tokens, False), (two.tokens, False)]


def codex_lines(found: tuple[Usage, ...]) -> list[bytes]:
    thread = found[0].session_id
    meta = {
        "id": thread,
        "session_id": thread,
        "cwd": "/home/me/harbour",
        "cli_version": "0.169.0",
        "model_provider": "openai",
    }
    lines: list[dict[str, Any]] = [{"type": "session_meta", "payload": meta}]
    lines.append({"type": "turn_context", "payload": {"turn_id": "t-1", "model": found[0].model}})
    for number, call in enumerate(found):
        tokens = call.tokens
        usage = {
            "input_tokens": tokens.prompt, "cached_input_tokens": tokens.cache_read, "cache_write_input_tokens": 0,
            "output_tokens": tokens.output, "reasoning_output_tokens": tokens.reasoning,
        }  # fmt: skip
        payload = {"thread_id": thread, "response_id": f"resp_{number}", "usage": usage}
        lines.append({"type": "token_usage_record", "payload": payload})
    stamps = (found[0].at_ms - 900, found[0].at_ms - 800, *(call.at_ms + 11 for call in found))
    return [
        json.dumps({"timestamp": stamp(at_ms), "ordinal": number} | one).encode() + b"\n"
        for number, (at_ms, one) in enumerate(zip(stamps, lines, strict=True))
    ]


@pytest.mark.parametrize("first", ["log", "telemetry", "telemetry alone"])
def test_codex_has_no_ids_and_is_counted_once(
    scratch: Scratch, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """68: by session, counts and time."""
    monkeypatch.setattr("tokentop.engine.heard.HOLD_S", 0.0 if first == "telemetry alone" else 1e6)
    monkeypatch.setattr("tokentop.collector.listening.HEARD_S", 0.0)
    found = calls("codex")
    folder = scratch.home / ".codex" / "sessions" / "2026" / "11" / "22"
    folder.mkdir(parents=True)
    path = folder / f"rollout-2026-11-22T07-45-23-{found[0].session_id}.jsonl"
    with running(scratch) as subject:
        if first == "log":
            path.write_bytes(b"".join(codex_lines(found)))
            subject.wait(lambda events: len(events) == 2)
        subject.send(body("codex_logs"))
        if first == "telemetry alone":
            subject.wait(lambda events: sent(*events) == [(call.tokens, True) for call in found])
        if first != "log":
            path.write_bytes(b"".join(codex_lines(found)))
        events = subject.wait(lambda events: len(events) == 2 and not any(one.telemetry for one in events))
        assert sent(*events) == [(call.tokens, False) for call in found]


def test_two_equal_calls_are_two(scratch: Scratch, soon: None) -> None:
    """A log that tells one of them takes the place of one."""
    one, _ = calls("codex")
    document = json.loads(body("codex_logs"))
    for scope in document["resourceLogs"][0]["scopeLogs"]:
        counted = [
            r for r in scope["logRecords"] if any(a["key"] == "input_token_count" for a in r["attributes"])
        ][:1]
        again = json.loads(json.dumps(counted[0]))
        for record in (again,):
            record["observedTimeUnixNano"] = str(int(record["observedTimeUnixNano"]) + 4_000_000_000)
            for a in record["attributes"]:
                if a["key"] == "event.timestamp":
                    a["value"]["stringValue"] = "2026-11-22T07:45:27.807Z"
        scope["logRecords"] = [*counted, again]
    folder = scratch.home / ".codex" / "sessions" / "2026" / "11" / "22"
    folder.mkdir(parents=True)
    with running(scratch) as subject:
        subject.send(json.dumps(document).encode())
        subject.wait(lambda found: sent(*found) == [(one.tokens, True)] * 2)
        path = folder / f"rollout-2026-11-22T07-45-23-{one.session_id}.jsonl"
        path.write_bytes(b"".join(codex_lines((one,))))
        subject.wait(lambda found: sorted(call.telemetry for call in found) == [False, True])


def test_qwen_and_its_log_have_the_same_keys(scratch: Scratch, soon: None) -> None:
    one, two = calls("qwen")
    folder = scratch.home / ".qwen" / "projects" / "harbour" / "chats"
    folder.mkdir(parents=True)
    lines = []
    for log in json.loads(body("qwen_logs"))["resourceLogs"]:
        for record in (r for scope in log["scopeLogs"] for r in scope["logRecords"]):
            values = {a["key"]: next(iter(a["value"].values()), None) for a in record["attributes"]}
            if values["event.name"] == "qwen-code.api_response":
                lines.append({
                    "type": "system", "subtype": "ui_telemetry", "sessionId": one.session_id, "uuid": values["response_id"],
                    "timestamp": values["event.timestamp"], "cwd": "/home/me/harbour", "version": "0.24.4",
                    "systemPayload": {"uiEvent": values},
                })  # fmt: skip
    with running(scratch) as subject:
        subject.send(body("qwen_logs"))
        subject.wait(lambda found: sent(*found) == [(one.tokens, True), (two.tokens, True)])
        (folder / f"{one.session_id}.jsonl").write_bytes(
            b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        )
        subject.wait(lambda found: sent(*found) == [(one.tokens, False), (two.tokens, False)])


def test_hidden_spend_is_what_neither_log_nor_telemetry_tells(scratch: Scratch, soon: None) -> None:
    """A call that only telemetry tells is in the session's own total too: it is not hidden a second time."""
    one, two = calls("claude")
    both = one.tokens + two.tokens
    total = {
        "type": "cost-state", "sessionId": one.session_id, "startTime": one.at_ms - 9000, "modelUsage": {
            one.model: {
                "inputTokens": both.input, "outputTokens": both.output + 5, "cacheReadInputTokens": both.cache_read,
                "cacheCreationInputTokens": both.cache_write_5m + both.cache_write_1h, "costUSD": 0.2,
                "cacheCreationEphemeral1hInputTokens": both.cache_write_1h,
            }
        },
    }  # fmt: skip
    with running(scratch) as subject:
        subject.send(body("claude_logs"))
        subject.wait(lambda found: len(found) == 2)
        prompt = {
            "type": "user",
            "sessionId": one.session_id,
            "timestamp": stamp(two.at_ms + 900),
            "message": {},
        }
        scratch.log([claude_line(one, 1), dumps(prompt), dumps(total)])
        found = subject.wait(lambda found: {call.kind for call in found} == {"response", "hidden"})
        assert sum(call.tokens.output for call in found) == both.output + 5
        assert sorted(call.telemetry for call in found if call.kind == "response") == [False, True]


# ---------------------------------------------------------------- what stays out


def test_no_prompt_and_no_answer_is_kept(scratch: Scratch, soon: None) -> None:
    """70: the bodies of Gemini CLI and Qwen Code hold both; database, WAL and log hold neither."""
    with running(scratch) as subject:
        for agent in ("gemini", "qwen", "claude", "codex"):
            subject.send(body(f"{agent}_logs"))
        subject.wait(lambda found: len(found) == 8)
        kept = b"".join(path.read_bytes() for path in scratch.state.rglob("*") if path.is_file())
    kept += b"".join(path.read_bytes() for path in scratch.state.rglob("*") if path.is_file())
    for text in (b"@@multi@@", b"scripted", b"candidates", b"0000000000000000", b"functionCall"):
        assert text in body("gemini_logs") + body("qwen_logs") + body("claude_logs")
        assert text not in kept.replace((scratch.state / NAME).read_bytes(), b"")


def test_while_it_is_off_there_is_nothing(scratch: Scratch) -> None:
    """No thread, no port, no file, nothing imported."""
    script = (
        "import os, sys, threading, time\nfrom pathlib import Path\n"
        "from tokentop import runtime\nfrom tokentop.settings.load import load\n"
        "seen = []\nmachine = runtime.Runtime(Path(os.environ['TOKENTOP_STATE_DIR']), os.environ, load(os.environ))\n"
        "Path(os.environ['TOKENTOP_STATE_DIR']).mkdir(mode=0o700)\n"
        "machine.start(seen.append)\n"
        "while len(seen) < 4: time.sleep(0.05)\n"
        "names = {one.name for one in threading.enumerate()}\nmachine.stop()\n"
        "loaded = [m for m in sys.modules if m.startswith(('h11', 'asyncio', 'ssl', 'tokentop.receiver'))]\n"
        "print(sorted(names - {'aside'}), loaded, os.listdir(os.environ['TOKENTOP_STATE_DIR']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=scratch.environ(), capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("['MainThread', 'collector'] [] "), done.stdout + done.stderr
    assert NAME not in done.stdout


def test_a_port_that_is_taken_is_said_and_tried_again(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokentop.runtime.threads.RECEIVER_AGAIN_S", 0.1)
    scratch.state.mkdir(mode=0o700)
    pictures: list[Snapshot] = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        scratch.config.write_text(f"[telemetry]\non = true\nport = {port}\n")
        runtime = Runtime(scratch.state, scratch.environ(), load(scratch.environ()))
        runtime.start(pictures.append)

        def said() -> list[str]:
            return (
                [one.detail for one in pictures[-1].health if one.source == "telemetry"] if pictures else []
            )

        try:
            wait_for(said)
            assert str(port) in said()[0]
            taken.close()
            wait_for(lambda: not said())
            assert exchange(port, request(port, b"{}", token=(scratch.state / NAME).read_text().strip())) == (
                200,
                {},
            )
        finally:
            runtime.stop()


def test_the_second_tokentop_takes_over(scratch: Scratch, soon: None) -> None:
    """The one that writes listens."""
    first = Running(scratch)
    second = Runtime(scratch.state, scratch.environ(), load(scratch.environ()))
    pictures: list[Snapshot] = []
    second.start(pictures.append)
    try:
        wait_for(lambda: pictures and pictures[-1].mode == "reader")
        assert not [one for one in pictures[-1].health if one.source == "telemetry"]
        first.runtime.stop()
        wait_for(lambda: pictures[-1].mode == "live" and first._listens())
        first.send(body("claude_logs"))
        first.wait(lambda found: len(found) == 2)
    finally:
        first.runtime.stop()
        second.stop()


# ---------------------------------------------------------------- what a person is told


def test_the_setup_names_each_agent_and_never_the_token(scratch: Scratch) -> None:
    done = scratch.run("hook", "show", "telemetry")
    assert (done.returncode, done.stderr) == (0, "")
    assert (scratch.state / NAME).read_text().strip() not in done.stdout
    for word in (
        "Claude Code",
        "Codex",
        "Gemini CLI",
        "Qwen Code",
        "Telemetry is off",
        "127.0.0.1:4398",
        "http/json",
    ):
        assert word in done.stdout
    scratch.config.write_text("[telemetry]\non = true\nport = 4400\n")
    shown = scratch.run("hook", "show", "telemetry").stdout
    assert "It listens on 127.0.0.1:4400" in shown
    assert shown.count("127.0.0.1:4400") == 5
    for wrong in (("install", "telemetry"), ("remove", "telemetry"), ("show", "statusline")):
        done = scratch.run("hook", *wrong)
        assert (done.returncode, "hook show telemetry" in one_line(done)) == (2, True)


def test_settings_out_of_range_are_refused(scratch: Scratch) -> None:
    for text, words in (("port = 0", "port"), ("port = 70000", "port"), ("prot = 1", "did you mean 'port'")):
        scratch.config.write_text(f"[telemetry]\n{text}\n")
        done = scratch.run("usage")
        assert (done.returncode, words in one_line(done)) == (2, True)
