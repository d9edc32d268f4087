"""Outlines: what the whole log of a session tells without a word of it, read in pieces, kept when the log is gone."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agents.harness import Case, Scratch, cases
from tests.test_agents_steps import CALLS
from tokentop.agents import agent
from tokentop.agents._deeds import Deeds, class_of
from tokentop.agents._programs import ending_of, program_of
from tokentop.collector.outlined import Outlines
from tokentop.ingest import wholelog
from tokentop.ingest.outlining import Outliner
from tokentop.nouns.outline import Deed, Outline
from tokentop.nouns.sessions import Session
from tokentop.store import outlines, reader

ALL = -(10**15)
SID = "5a1b0c2d-1111-4222-8333-444455556666"
CANARY = "kanarienvogel"


def sessions_of(case: Case, home: Scratch) -> list[Session]:
    shutil.copytree(case.home, home.home, dirs_exist_ok=True, symlinks=True)
    home.read()
    with home.ledger() as ledger:
        return [session for session, *_ in reader.sessions(ledger.db, since_ms=ALL)]


def tools(found: Outline) -> list[tuple[str, str, str, int | None]]:
    return [(d.name, d.target, d.result, d.took_ms) for d in found.deeds if d.kind == "tool"]


@pytest.mark.parametrize("case", [c for c in cases() if (c.agent, c.name) in CALLS], ids=str)
def test_recorded_sessions_have_their_tools_with_programs_in_place_of_commands(
    case: Case, tmp_path: Path
) -> None:
    wanted = [
        (name, detail.split()[0], result, took) for name, detail, result, took in CALLS[case.agent, case.name]
    ]
    found = [Outliner(agent(case.agent), one, 1).whole() for one in sessions_of(case, Scratch(tmp_path))]
    assert wanted in [tools(one) for one in found]
    assert all(one.note == "" and one.log_size > 0 for one in found)
    assert any(deed.kind == "prompt" for one in found for deed in one.deeds) or case.name == "killed"


@pytest.mark.parametrize("case", cases(), ids=str)
def test_every_recorded_log_gives_an_outline_or_says_why_not(case: Case, tmp_path: Path) -> None:
    for session in sessions_of(case, Scratch(tmp_path)):
        found = Outliner(agent(case.agent), session, 7).whole()
        assert found.read_ms == 7
        assert (
            found.deeds
            or found.note
            or case.agent in {"aider", "amp", "cline", "codebuff", "grok", "opencode", "kimi-cli"}
        )
        assert [d.at_ms for d in found.deeds if d.at_ms] == sorted(d.at_ms for d in found.deeds if d.at_ms)
        assert {d.kind for d in found.deeds} <= {
            "tool", "prompt", "compaction", "permission", "error", "limit", "interrupt",
        }  # fmt: skip


def test_errors_limits_interrupts_and_compactions_are_told(tmp_path: Path) -> None:
    def kinds(agent_id: str, name: str) -> list[tuple[str, str]]:
        case = next(c for c in cases() if (c.agent, c.name) == (agent_id, name))
        found = [
            Outliner(agent(agent_id), s, 1).whole() for s in sessions_of(case, Scratch(tmp_path / agent_id))
        ]
        return sorted((d.kind, d.name) for o in found for d in o.deeds if d.kind not in {"tool", "prompt"})

    assert kinds("claude", "resume") == [("compaction", ""), ("limit", "429"), ("limit", "529")]
    assert kinds("codex", "multi") == [("interrupt", "")]
    assert kinds("pi", "escape") == [("compaction", ""), ("interrupt", ""), ("interrupt", "")]


def test_a_fork_does_not_repeat_what_its_parent_did(tmp_path: Path) -> None:
    for agent_id in ("claude", "copilot", "pi", "qwen"):
        case = next(c for c in cases() if c.agent == agent_id and c.name in {"fork", "resume"})
        seen: set[tuple[str, int]] = set()
        for session in sessions_of(case, Scratch(tmp_path / agent_id)):
            deeds = Outliner(agent(agent_id), session, 1).whole().deeds
            calls = {(deed.name, deed.at_ms) for deed in deeds if deed.kind == "tool"}
            assert not calls & seen
            seen |= calls
        assert seen


# ---------------------------------------------------------------- records


def use(number: int, name: str = "Bash", at: str = "20:00:00.000", **arguments: object) -> dict[str, Any]:
    block = {"type": "tool_use", "id": f"t{number}", "name": name, "input": arguments}
    message = {"role": "assistant", "content": [block]}
    return {"type": "assistant", "sessionId": SID, "timestamp": f"2026-11-21T{at}Z", "message": message}


def answer(
    number: int, text: str = CANARY, failed: bool = False, at: str = "20:00:01.500", **more: object
) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": f"t{number}", "is_error": failed, "content": text}
    message = {"role": "user", "content": [block]}
    return {"type": "user", "sessionId": SID, "timestamp": f"2026-11-21T{at}Z", "message": message, **more}


def said(text: str, at: str = "19:59:59.000") -> dict[str, Any]:
    message = {"role": "user", "content": text}
    return {"type": "user", "sessionId": SID, "timestamp": f"2026-11-21T{at}Z", "message": message}


def deeds_of(*records: dict[str, Any], cwd: str = "/home/dev/work") -> tuple[Deed, ...]:
    found = Deeds(SID, cwd)
    for one in records:
        found.feed(one)
    return found.found_deeds()


def test_files_are_told_from_the_folder_of_the_session() -> None:
    found = deeds_of(
        use(1, "Edit", file_path="/home/dev/work/src/a.py", old_string=CANARY),
        use(2, "Read", file_path="/etc/hosts"),
        use(3, "Read", file_path="/home/dev/work/../secret"),
        use(4, "str_replace_based_edit_tool", command="create", path="/home/dev/work/b.md"),
        use(5, "Grep", pattern=CANARY),
    )
    assert [(d.target, d.takes) for d in found] == [
        ("src/a.py", "file"), ("/etc/hosts", "file"), ("/home/dev/secret", "file"), ("b.md", "file"), ("", ""),
    ]  # fmt: skip


def test_a_patch_names_its_files_and_its_lines() -> None:
    patch = "*** Begin Patch\n*** Update File: src/a.py\n@@ def f\n-x\n+y\n+z\n same\n*** Add File: b.md\n+one\n*** End Patch"
    [one] = deeds_of({
        "type": "response_item", "timestamp": "2026-11-21T20:00:00Z",
        "payload": {"type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": patch},
    })  # fmt: skip
    assert (one.target, one.added, one.removed) == ("src/a.py\nb.md", 3, 1)


def test_lines_are_counted_where_the_result_counts_them_and_unknown_elsewhere() -> None:
    hunks = [{"oldStart": 1, "lines": [" a", "-b", "+c", "+d"]}, {"lines": ["+e"]}]
    found = deeds_of(
        use(1, "Edit", file_path="a"), answer(1, toolUseResult={"filePath": "a", "structuredPatch": hunks}),
        use(2, "Write", file_path="b"), answer(2, toolUseResult={"type": "create", "structuredPatch": [], "content": "x\ny\n"}),
        use(3, "Edit", file_path="c"), answer(3),
        use(4, "Edit", file_path="d"), answer(4, failed=True, toolUseResult={"structuredPatch": hunks}),
    )  # fmt: skip
    assert [(d.added, d.removed) for d in found] == [(3, 1), (2, 0), (None, None), (None, None)]


def test_a_refused_tool_and_an_interrupted_turn() -> None:
    found = deeds_of(
        said("do it"), use(1, command="rm -rf x"),
        answer(1, "The user doesn't want to proceed with this tool use. The tool use was rejected.", failed=True),
        said("[Request interrupted by user for tool use]", at="20:00:02.000"),
    )  # fmt: skip
    assert [(d.kind, d.target, d.result) for d in found] == [
        ("prompt", "", ""), ("tool", "rm", "denied"), ("interrupt", "", ""),
    ]  # fmt: skip


def test_what_a_client_says_in_the_users_place_is_no_prompt() -> None:
    summary = {**said("This session is being continued"), "isCompactSummary": True}
    found = deeds_of(
        said("<system-reminder>x</system-reminder>"), summary, {**said("x"), "isMeta": True}, said("go")
    )
    assert [d.kind for d in found] == ["prompt"]
    for words in (
        "<task>go</task>",
        "<user_input mode='act'>go</user_input>",
        "<div>why is this not centred?",
    ):
        assert [d.kind for d in deeds_of(said(words))] == ["prompt"]


@pytest.mark.parametrize(
    ("command", "program", "is_test"),
    [
        ("git commit -m 'x && pytest'", "git commit", False),
        ("git -C /x push", "git push", False),
        ("cd a && FOO=1 ./bin/thing --key sk-ant-REDACTED", "thing", False),
        ("cd web; npm run test -- --watch=false", "npm test", True),
        ("uv run pytest -q tests", "pytest", True),
        ("python3 -m pytest -x", "pytest", True),
        ("python3 -m http.server", "http.server", False),
        ("timeout 60 cargo test --all", "cargo test", True),
        ("bash -lc 'cd x && go test ./...'", "go test", True),
        ("ruff check . && mypy && pytest", "pytest", True),
        ("cat <<'EOF' > x\npytest\nEOF", "cat", False),
        ("sudo -E env A=b apt-get install -y jq", "apt-get install", False),
        ("npx jest", "jest", True),
        ("hunter2secret=1", "", False),
        ("$(evil) x", "", False),
        ("'unclosed", "", False),
        ("", "", False),
    ],
)
def test_the_program_of_a_command(command: str, program: str, is_test: bool) -> None:
    ran = program_of(command)
    assert (ran.program, ran.tests) == (program, is_test)


@pytest.mark.parametrize(
    ("command", "result", "output", "ended"),
    [
        ("pytest", "ok", "", "passed"),
        ("pytest", "failed", "", "failed"),
        ("pytest | tail -3", "ok", "", "unknown"),
        ("pytest | tail -3", "ok", "== 3 failed, 5 passed in 1.2s ==", "failed"),
        ("pytest || true", "ok", "== 5 passed in 1.2s ==", "passed"),
        ("pytest", "ok", "0 failed, 2 passed", "passed"),
        ("cargo test", "ok", "test result: ok. 5 passed; 0 failed; 0 ignored", "passed"),
        ("go test ./...", "", "--- FAIL: TestX (0.00s)\nFAIL\tx\t0.1s", "failed"),
        ("go test ./...", "", "ok  \tx/y\t0.123s", "passed"),
        ("python -m unittest", "", "Ran 3 tests in 0.1s\n\nOK\n", "passed"),
        ("npm test", "", "", "unknown"),
    ],
)
def test_how_a_run_of_ending_of(command: str, result: str, output: str, ended: str) -> None:
    assert ending_of(program_of(command), result, output) == ended


def test_a_run_of_tests_is_told_from_its_result() -> None:
    [one] = deeds_of(use(1, command="pytest -q | tail"), answer(1, "2 failed, 1 passed in 3s"))
    assert (one.target, one.tests, one.result) == ("pytest", "failed", "ok")
    [open_one] = deeds_of(use(1, command="pytest -q"))
    assert (open_one.tests, open_one.result) == ("unknown", "open")


def test_the_class_of_an_error_is_never_its_message() -> None:
    assert class_of("HTTP 529, retry 3") == "529"
    assert class_of(f"Overloaded: {CANARY}") == "overloaded"
    assert class_of(f"invalid prompt {CANARY}") == ""


@settings(max_examples=200)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
            st.sampled_from([
                "type", "message", "content", "payload", "data", "role", "name", "id", "input", "arguments", "tool",
                "state", "timestamp", "toolCallId", "status", "path", "file_path", "command", "error", "origin",
                "toolUseResult", "structuredPatch", "lines", "diff", "call_id", "kind", "permissionDecision", "source",
            ]) | st.text(max_size=4),
            inner | st.sampled_from(["tool_use", "tool_result", "assistant", "user", "tool", "toolCall", "pytest", "user_x"]),
            max_size=6,
        ),
        max_leaves=25,
    )
)  # fmt: skip
def test_no_record_of_any_shape_raises(value: object) -> None:
    if isinstance(value, dict):
        for deed in deeds_of(value):
            assert all(part.isprintable() for part in (deed.name, *deed.target.split("\n"), deed.call_id))


@settings(max_examples=300)
@given(
    st.text(max_size=200)
    | st.lists(st.sampled_from(["bash", "-c", "'", '"', "&&", "|", "(", "git", "sudo", "\n", "<<"])).map(
        " ".join
    )
)
def test_no_command_of_any_shape_raises(command: str) -> None:
    program = program_of(command).program
    assert program.isprintable()
    assert len(program.split()) <= 2


# ---------------------------------------------------------------- files


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / f"home/.claude/projects/-home-dev-work/{SID}.jsonl"
    path.parent.mkdir(parents=True)
    return path


def lines(*records: object) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in records)


def outline(log: Path) -> Outline:
    return Outliner(
        agent("claude"), Session("claude", SID, cwd="/home/dev/work", log_path=str(log)), 5
    ).whole()


def test_a_log_is_read_whole_and_in_pieces(log: Path) -> None:
    log.write_bytes(b"".join(lines(use(n, command=f"echo {n}"), answer(n)) for n in range(3_000)))
    reading = Outliner(agent("claude"), Session("claude", SID, log_path=str(log)), 5)
    steps = 1
    while not reading.step():
        steps += 1
    assert steps > 5
    found = reading.outline()
    assert len(found.deeds) == 3_000
    assert found.log_size == log.stat().st_size
    assert found.tools == ("Bash", "echo")


def test_giant_lines_and_damage_are_passed_over_and_said(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wholelog, "LINE_BYTES", 1 << 20)
    giant = {"type": "attachment", "x": "y" * (3 << 20)}
    torn = lines(use(4, command="make"))[:-1]
    log.write_bytes(
        lines(use(1, command="ls"))
        + b"\x00\xff{\n[1]\n"
        + lines(giant, use(2, command="pwd"), giant, use(3, command="id"))
        + torn
    )
    found = outline(log)
    assert [d.target for d in found.deeds] == ["ls", "pwd", "id", "make"]
    assert "2 lines of more than 1 MiB" in found.note


def test_what_cannot_be_read_says_why(log: Path, tmp_path: Path) -> None:
    assert "gone" in outline(log).note
    log.mkdir()
    assert "cannot be read" in outline(log).note
    assert "no log" in Outliner(agent("claude"), Session("claude", SID), 5).whole().note
    document = tmp_path / ".continue/sessions/s.json"
    document.parent.mkdir(parents=True)
    document.write_bytes(b'{"history": [')
    found = Outliner(agent("continue"), Session("continue", "s", log_path=str(document)), 5).whole()
    assert "damaged" in found.note


# ---------------------------------------------------------------- the store


def kept(home: Scratch) -> dict[str, Outline | None]:
    with home.ledger() as ledger:
        return {
            s.id: outlines.load(ledger.db, s.agent, s.id)
            for s, *_ in reader.sessions(ledger.db, since_ms=ALL)
        }


def test_outlines_are_made_by_themselves_and_outlive_their_logs(tmp_path: Path) -> None:
    home = Scratch(tmp_path)
    for case in cases():
        if case.name in {"print", "subagents", "resume", "run"}:
            shutil.copytree(case.home, home.home, dirs_exist_ok=True)
    home.read()
    with home.ledger() as ledger:
        Outlines().finish(ledger.db, 1_796_000_000_000)
        whole, partial = outlines.state(ledger.db)
        assert whole > 20
        assert partial == {}
    before = kept(home)
    assert all(one is not None and one.log_size for one in before.values() if one)
    shutil.rmtree(home.home)
    home.home.mkdir()
    with home.ledger() as ledger:
        ledger.db.execute("UPDATE outline SET version=0")
        Outlines().finish(ledger.db, 1_796_000_000_000)
    assert kept(home) == before


def test_a_log_that_goes_on_is_read_again_and_one_at_rest_is_not(log: Path, tmp_path: Path) -> None:
    home = Scratch(tmp_path)
    at_ms = 1_795_291_300_000  # 2026-11-21 20:01:40
    usage = {"input_tokens": 1, "output_tokens": 1}

    def response(n: int, at: str) -> dict[str, Any]:
        one = use(n, at=at, command="ls")
        return {
            **one,
            "message": {**one["message"], "id": f"m{n}", "model": "claude-opus-4-5", "usage": usage},
        }

    log.write_bytes(lines(response(1, "20:00:00.000")))
    home.read()
    maker = Outlines()
    with home.ledger() as ledger:
        maker.finish(ledger.db, at_ms)
    assert kept(home) == {SID: None}  # it has not come to rest
    with home.ledger() as ledger:
        maker.finish(ledger.db, at_ms + 600_000)
    first = kept(home)[SID]
    assert first is not None
    assert len(first.deeds) == 1
    with log.open("ab") as file:
        file.write(lines(response(2, "20:30:00.000")))
    home.read()
    with home.ledger() as ledger:
        maker.finish(ledger.db, at_ms + 3_600_000)
        reads = ledger.db.execute("SELECT read_ms FROM outline").fetchone()
        maker.finish(ledger.db, at_ms + 9_000_000)
        Outlines().finish(ledger.db, at_ms + 9_000_000)
        assert ledger.db.execute("SELECT read_ms FROM outline").fetchone() == reads
    second = kept(home)[SID]
    assert second is not None
    assert len(second.deeds) == 2


def test_after_a_slice_there_is_a_pause(log: Path, tmp_path: Path) -> None:
    home = Scratch(tmp_path)
    log.write_bytes(lines(said("go"), use(1, command="ls")))
    home.read()
    maker = Outlines()
    with home.ledger() as ledger:
        for second in range(100, 200):
            maker.tick(ledger.db, float(second), 1_796_000_000_000)
        assert outlines.state(ledger.db) == (1, {})
        ledger.db.execute("DELETE FROM outline")
        busy = Outlines()
        busy.tick(ledger.db, 100.0, 1_796_000_000_000)
        ledger.db.execute("DELETE FROM outline")
        for tenth in range(1, 15):  # less than a period
            busy.tick(ledger.db, 100.0 + tenth / 10, 1_796_000_000_000)
        assert outlines.state(ledger.db) == (0, {})


def test_no_word_of_a_conversation_is_kept(log: Path, tmp_path: Path) -> None:
    home = Scratch(tmp_path)
    error = {"type": "system", "subtype": "api_error", "sessionId": SID, "timestamp": "2026-11-21T20:00:09Z",
             "error": {"status": 400, "message": CANARY}}  # fmt: skip
    log.write_bytes(
        lines(
            said("the title"), said(f"second {CANARY}"), use(1, command=f"git commit -m {CANARY}"), answer(1),
            use(2, "Grep", pattern=CANARY), answer(2, failed=True), use(3, "Task", prompt=CANARY, description=CANARY),
            use(4, "Edit", file_path="a", old_string=CANARY, new_string=CANARY), answer(4), error,
        )
    )  # fmt: skip
    home.read()
    with home.ledger() as ledger:
        Outlines().finish(ledger.db, 1_796_000_000_000)
        found = outlines.load(ledger.db, "claude", SID)
        assert found is not None
        assert [d.target for d in found.deeds if d.kind == "tool"] == ["git commit", "", "", "a"]
        assert CANARY not in repr(found)
        dump = "\n".join(ledger.db.iterdump())
        assert CANARY not in dump


def test_a_damaged_outline_is_none(log: Path, tmp_path: Path) -> None:
    home = Scratch(tmp_path)
    log.write_bytes(lines(said("go"), use(1, command="ls")))
    home.read()
    with home.ledger() as ledger:
        Outlines().finish(ledger.db, 1_796_000_000_000)
        ledger.db.execute("UPDATE outline SET deeds=x'00ff'")
        assert outlines.load(ledger.db, "claude", SID) is None
        with pytest.raises(sqlite3.Error):
            outlines.load(sqlite3.connect(":memory:"), "claude", SID)


def test_a_wait_for_permission_is_told_with_its_length(tmp_path: Path) -> None:
    case = next(c for c in cases() if (c.agent, c.name) == ("kimi-cli", "print"))
    [session] = sessions_of(case, Scratch(tmp_path))
    log = Path(session.log_path)
    records = log.read_bytes().splitlines(keepends=True)
    place = next(at for at, line in enumerate(records) if b'"ToolCall"' in line) + 1
    asked = [
        {"timestamp": 1795294587.375, "message": {"type": "ApprovalRequest", "payload": {"action": CANARY}}},
        {
            "timestamp": 1795294599.375,
            "message": {"type": "ApprovalResponse", "payload": {"response": "approve"}},
        },
    ]
    log.write_bytes(b"".join([*records[:place], lines(*asked), *records[place:]]))
    found = Outliner(agent("kimi-cli"), session, 1).whole()
    [wait] = [deed for deed in found.deeds if deed.kind == "permission"]
    assert (wait.name, wait.at_ms, wait.took_ms) == ("Shell", 1_795_294_587_375, 12_000)
    assert CANARY not in repr(found)
    log.write_bytes(b"".join([*records[:place], lines(asked[0])]))
    [wait] = [d for d in Outliner(agent("kimi-cli"), session, 1).whole().deeds if d.kind == "permission"]
    assert (wait.result, wait.took_ms) == ("open", None)
