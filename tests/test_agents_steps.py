"""What a session did, from the end of its recorded log; hostile records; a log that changes while it is looked at."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agents.harness import Case, Scratch, cases
from tokentop.agents import agent
from tokentop.agents._steps import Steps
from tokentop.ingest.glance import GIANT_BYTES, LINE_CHARS, LINES_MAX, TAIL_BYTES, glance
from tokentop.nouns.looks import LogTail, Step
from tokentop.store import reader

ALL = -(10**15)
# The tool calls of one session of each agent, as its recorded log tells them: tool, argument, result, took_ms.
CALLS = {
    ("claude", "print"): [("Bash", "echo hi", "ok", 662)],
    ("codex", "exec"): [
        ("exec_command", "echo r1", "ok", 0), ("exec_command", "echo r2", "ok", 0), ("exec_command", "echo r3", "ok", 0),
    ],
    ("gemini", "prompt"): [
        ("run_shell_command", "echo r1", "ok", None), ("run_shell_command", "echo r2", "ok", None),
        ("run_shell_command", "echo r3", "ok", None),
    ],
    ("opencode", "run"): [("bash", "echo r1", "ok", 198), ("bash", "echo r2", "ok", 73), ("bash", "echo r3", "ok", 61)],
    ("opencode", "killed"): [("bash", "sleep 20", "open", None)],
    ("kilo", "run"): [("bash", "echo r1", "ok", 292), ("bash", "echo r2", "ok", 87), ("bash", "echo r3", "ok", 129)],
    ("copilot", "prompt"): [("bash", "echo r1", "ok", 92), ("bash", "echo r2", "ok", 165), ("bash", "echo r3", "ok", 76)],
    ("qwen", "prompt"): [
        ("run_shell_command", "echo r1", "ok", 227), ("run_shell_command", "echo r2", "ok", 82),
        ("run_shell_command", "echo r3", "ok", 68),
    ],
    ("pi", "print"): [("bash", "echo r1", "ok", 166), ("bash", "echo r2", "ok", 85), ("bash", "echo r3", "ok", 59)],
    ("openclaw", "local"): [("exec", "echo r1", "ok", 1178), ("exec", "echo r2", "ok", 337), ("exec", "echo r3", "ok", 469)],
    ("droid", "exec"): [("Execute", "echo r1", "ok", 109), ("Execute", "echo r2", "ok", 78), ("Execute", "echo r3", "ok", 115)],
    ("kimi-cli", "print"): [("Shell", "echo r1", "ok", 3), ("Shell", "echo r2", "ok", 4), ("Shell", "echo r3", "ok", 3)],
    ("vibe", "prompt"): [
        ("file_system.bash", "echo r1", "ok", 31), ("file_system.bash", "echo r2", "ok", 28),
        ("file_system.bash", "echo r3", "ok", 23),
    ],
    ("continue", "print"): [("Bash", "echo r1", "ok", None), ("Bash", "echo r2", "ok", None), ("Bash", "echo r3", "ok", None)],
    ("cline", "run"): [
        ("run_commands", "echo r1", "", 45), ("run_commands", "echo r2", "", 158), ("run_commands", "echo r3", "", 34),
    ],
}  # fmt: skip


def tails(case: Case, folder: Path) -> dict[str, LogTail]:
    """The end of every session's log of a case, by session id."""
    home = Scratch(folder)
    shutil.copytree(case.home, home.home, dirs_exist_ok=True, symlinks=True)
    home.read()
    with home.ledger() as ledger:
        sessions = [session for session, *_ in reader.sessions(ledger.db, since_ms=ALL)]
    found = {}
    for session in sessions:
        tail = glance(agent(case.agent), session.log_path, session.id, lines=True)
        assert tail is not None
        found[session.id] = tail
    return found


def calls(tail: LogTail) -> list[tuple[str, str, str, int | None]]:
    return [(s.name, s.detail, s.result, s.took_ms) for s in tail.steps if s.kind == "tool"]


@pytest.mark.parametrize("case", [c for c in cases() if (c.agent, c.name) in CALLS], ids=str)
def test_the_steps_of_recorded_sessions(case: Case, tmp_path: Path) -> None:
    wanted = CALLS[case.agent, case.name]
    found = tails(case, tmp_path)
    assert wanted in [calls(tail) for tail in found.values()]
    times = [step.at_ms for tail in found.values() for step in tail.steps if step.at_ms]
    assert all(1_795_000_000_000 < at_ms < 1_796_000_000_000 for at_ms in times)


@pytest.mark.parametrize("case", cases(), ids=str)
def test_every_recorded_log_is_looked_into_without_an_error(case: Case, tmp_path: Path) -> None:
    for tail in tails(case, tmp_path).values():
        assert len(tail.lines) <= LINES_MAX
        assert all(len(line) <= LINE_CHARS for line in tail.lines)
        assert all(step.kind in {"tool", "answer", "prompt", "compaction"} for step in tail.steps)
        assert all(step.result in {"", "ok", "failed", "open"} for step in tail.steps)


def test_a_sub_agent_in_its_parents_file_has_its_own_steps(tmp_path: Path) -> None:
    case = next(c for c in cases() if (c.agent, c.name) == ("copilot", "subagent"))
    found = {sid: calls(tail) for sid, tail in tails(case, tmp_path).items()}
    sub = next(sid for sid in found if "/" in sid)
    assert found[sub] == [("bash", "echo hi", "ok", 34)]
    assert found[sub.partition("/")[0]] == [("task", "Scripted child", "ok", 211)]


def use(
    number: int, name: str = "Bash", at: str = "2026-11-21T20:00:00.000Z", **arguments: object
) -> dict[str, object]:
    block = {"type": "tool_use", "id": f"t{number}", "name": name, "input": arguments}
    return {"type": "assistant", "timestamp": at, "message": {"role": "assistant", "content": [block]}}


def answer(number: int, failed: bool = False, at: str = "2026-11-21T20:00:01.500Z") -> dict[str, object]:
    block = {"type": "tool_result", "tool_use_id": f"t{number}", "is_error": failed, "content": "x"}
    return {"type": "user", "timestamp": at, "message": {"role": "user", "content": [block]}}


def steps_of(*records: object) -> tuple[Step, ...]:
    found = Steps()
    for one in records:
        assert isinstance(one, dict)
        found.feed(one)
    return found.found()


def test_a_call_is_open_until_its_result_comes_and_a_failure_is_one() -> None:
    assert [s.result for s in steps_of(use(1, command="ls"))] == ["open"]
    [done] = steps_of(use(1, command="ls"), answer(1, failed=True))
    assert (done.result, done.took_ms, done.detail) == ("failed", 1500, "ls")


def test_what_a_tool_was_given_or_said_is_never_taken_for_a_record() -> None:
    forged = {"type": "tool_use", "id": "t9", "name": "Forged", "input": {"command": "rm -rf /"}}
    shown = steps_of(
        use(1, command="cat log", content=[forged], message={"content": [forged]}),
        {"type": "user", "message": {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1", "is_error": False, "content": [forged], "message": forged}]}},
    )  # fmt: skip
    assert [(s.name, s.detail) for s in shown] == [("Bash", "cat log")]


def test_calls_of_older_codex_versions() -> None:
    def item(at: str, **payload: object) -> dict[str, object]:
        return {"timestamp": f"2026-11-21T20:00:{at}Z", "type": "response_item", "payload": payload}

    patch = "*** Begin Patch\n*** Update File: src/a.py\n@@\n-x\n+y\n*** Add File: b.md\n+z\n*** End Patch"
    found = steps_of(
        item("01.000", type="local_shell_call", call_id="c1", status="completed",
             action={"type": "exec", "command": ["bash", "-lc", "ls -la"]}),
        item("02.000", type="exec_command_end", call_id="c1", exit_code=2, duration={"secs": 1, "nanos": 250_000_000}),
        item("03.000", type="custom_tool_call", call_id="c2", name="apply_patch", input=patch, status="completed"),
        item("03.400", type="custom_tool_call_output", call_id="c2", output="Done"),
        item("04.000", type="function_call", call_id="c3", name="shell", arguments='{"command":["rg","-n","x"]}'),
    )  # fmt: skip
    assert [(s.name, s.detail, s.result, s.took_ms) for s in found] == [
        ("shell", "bash -lc ls -la", "failed", 1250), ("apply_patch", "src/a.py b.md", "", 400),
        ("shell", "rg -n x", "open", None),
    ]  # fmt: skip


def test_hostile_text_in_a_record_is_cleaned_and_masked() -> None:
    [step] = steps_of(
        use(
            1,
            "B\x1b]0;X\x07ash",
            command="\x1b[2J curl -H 'Authorization: Bearer abcdefghijklmnop' [red]x[/red]",
        )
    )
    assert step.name.isprintable()
    assert step.detail.isprintable()
    assert "abcdefghijklmnop" not in step.detail
    assert "[red]x[/red]" in step.detail


@settings(max_examples=300)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
            st.sampled_from([
                "type", "message", "content", "payload", "data", "role", "name", "id", "input", "arguments", "tool",
                "state", "time", "timestamp", "toolCallId", "function", "status", "detail", "response", "duration",
                "return_value", "item", "model", "text", "agentId", "duration_ms", "call_id", "kind", "toolName",
            ]) | st.text(max_size=4),
            inner | st.sampled_from(["tool_use", "tool_result", "assistant", "user", "tool", "effect", "toolCall"]),
            max_size=6,
        ),
        max_leaves=25,
    )
)  # fmt: skip
def test_no_record_of_any_shape_raises(value: object) -> None:
    if isinstance(value, dict):
        for step in steps_of(value):
            assert step.detail.isprintable()
            assert len(step.detail) <= 200


def test_deep_nesting_ends() -> None:
    deep: dict[str, object] = {"type": "x"}
    for _ in range(5_000):
        deep = {"message": deep}
    assert steps_of(deep) == ()


# ---------------------------------------------------------------- files


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / ".claude/projects/-home-dev/5a1b0c2d-1111-4222-8333-444455556666.jsonl"
    path.parent.mkdir(parents=True)
    return path


def look(log: Path, known: tuple[int, int, int] = (0, 0, 0)) -> LogTail | None:
    return glance(agent("claude"), str(log), "5a1b0c2d-1111-4222-8333-444455556666", lines=True, known=known)


def lines(*records: object) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in records)


def test_only_the_end_of_a_long_log_is_read(log: Path) -> None:
    log.write_bytes(b"".join(lines(use(n, command=f"echo {n}"), answer(n)) for n in range(20_000)))
    tail = look(log)
    assert tail is not None
    assert tail.steps[-1].detail == "echo 19999"
    assert log.stat().st_size - tail.skipped <= TAIL_BYTES
    assert len(tail.lines) == LINES_MAX
    assert json.loads(tail.lines[-1])["message"]["content"][0]["tool_use_id"] == "t19999"


def test_giant_lines_are_read_further_back_and_beyond_that_said(log: Path) -> None:
    big = {"type": "attachment", "x": "y" * (TAIL_BYTES + 10)}
    log.write_bytes(lines(use(1, command="ls"), big))
    tail = look(log)
    assert tail is not None
    assert calls(tail) == [("Bash", "ls", "open", None)]
    log.write_bytes(lines(use(1, command="ls"), {"x": "y" * (GIANT_BYTES + 10)}))
    tail = look(log)
    assert tail is not None
    assert tail.steps == ()
    assert "larger than 1 MiB" in tail.note


def test_a_line_that_is_being_written_waits_and_damage_is_passed_over(log: Path) -> None:
    log.write_bytes(b"\x00\xff{nonsense\n" + lines(use(1, command="ls")) + b'{"type":"assistant","mess')
    tail = look(log)
    assert tail is not None
    assert calls(tail) == [("Bash", "ls", "open", None)]
    assert all(line.isprintable() for line in tail.lines)


def test_a_log_that_has_not_changed_is_not_read_again_and_one_that_is_gone_is_said(log: Path) -> None:
    log.write_bytes(lines(use(1, command="ls")))
    first = look(log)
    assert first is not None
    assert look(log, first.state) is None
    with log.open("ab") as file:
        file.write(lines(answer(1)))
    second = look(log, first.state)
    assert second is not None
    assert [s.result for s in second.steps] == ["ok"]
    log.unlink()
    gone = look(log, second.state)
    assert gone is not None
    assert "gone" in gone.note


def test_a_link_or_a_pipe_in_place_of_the_log_is_not_followed(log: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(lines(use(1, command="whoami")))
    log.symlink_to(secret)
    tail = look(log)
    assert tail is not None
    assert tail.steps == ()
    assert tail.note


def test_secrets_in_raw_lines_are_masked(log: Path) -> None:
    secret = "sk-ant-REDACTED"
    log.write_bytes(
        lines(use(1, command=f"export ANTHROPIC_API_KEY={secret}", env={"DB_PASSWORD": "hunter22hunter"}))
    )
    tail = look(log)
    assert tail is not None
    assert secret not in repr(tail)
    assert "hunter22hunter" not in repr(tail)


def test_what_cannot_be_shown_says_why(tmp_path: Path) -> None:
    def note(agent_id: str, path: Path) -> str:
        tail = glance(agent(agent_id), str(path), "s")
        assert tail is not None
        assert tail.steps == ()
        return tail.note

    archive = tmp_path / ".codex/sessions/2026/rollout-2026-01-01T00-00-00-s.jsonl.zst"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"\x28\xb5\x2f\xfd")
    assert "compressed" in note("codex", archive)
    document = tmp_path / ".continue/sessions/s.json"
    document.parent.mkdir(parents=True)
    document.write_bytes(b'{"history": [')
    assert "being written" in note("continue", document)
    document.write_bytes(b"[" + b" " * (5 << 20) + b"]")
    assert "more than 4 MiB" in note("continue", document)
    database = tmp_path / "opencode.db"
    database.write_bytes(b"SQLite format 3\x00" + b"x" * 500)
    assert "damaged" in note("opencode", database)
    tail = glance(agent("claude"), "", "s")
    assert tail is not None
    assert "no log" in tail.note
    assert "none of the kinds" in note("claude", tmp_path / "s.bin")
