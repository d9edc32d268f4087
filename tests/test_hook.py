"""The status line hook: real settings files, a real run of the command, and an inbox that survives all of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tokentop import hook
from tokentop.ingest.inbox import Inbox, parse
from tokentop.nouns.money import Quota

from .faults import REPOSITORY, Scratch

AT = 1_795_294_800_000
RESET_S = 1_795_302_000
LIMITS = {
    "five_hour": {"used_percentage": 42, "resets_at": RESET_S},
    "seven_day": {"used_percentage": 13.5, "resets_at": RESET_S + 400_000},
}
# As Claude Code 2.1.330 gives it to a session that is logged in with a plan; ids and paths are invented.
GIVEN = {
    "session_id": "8aaed3c0", "transcript_path": "/home/dev/.claude/projects/-w-app/8aaed3c0.jsonl", "cwd": "/w/secret-app",
    "model": {"id": "claude-sonnet-4-5", "display_name": "Sonnet 4.5"}, "version": "2.1.330",
    "workspace": {"current_dir": "/w/secret-app", "project_dir": "/w/secret-app", "added_dirs": []},
    "cost": {"total_cost_usd": 0.16565805, "total_duration_ms": 28228}, "exceeds_200k_tokens": False,
    "context_window": {"context_window_size": 200_000, "used_percentage": 12, "remaining_percentage": 88},
    "rate_limits": LIMITS,
}  # fmt: skip
OTHERS = '{\n\t"permissions": {"allow": ["Bash"]},\n\t"env": {"A": "ü"}\n}\n'


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path)


def settings_of(scratch: Scratch, text: str | None = None) -> Path:
    path = scratch.home / ".claude" / "settings.json"
    if text is not None:
        path.write_text(text)
    return path


def run_hook(scratch: Scratch, given: Any, **env: str | None) -> subprocess.CompletedProcess[bytes]:
    data = given if isinstance(given, bytes) else json.dumps(given).encode()
    return subprocess.run(
        [sys.executable, "-m", "tokentop", "hook", "run", "statusline"], env=scratch.environ(**env), input=data,
        capture_output=True, timeout=60, check=False, cwd=scratch.home,
    )  # fmt: skip


def inbox(scratch: Scratch) -> list[Quota]:
    return Inbox(scratch.state).look()[0]


def wrap(scratch: Scratch, command: str) -> None:
    settings_of(scratch, json.dumps({"statusLine": {"type": "command", "command": command, "padding": 1}}))
    assert scratch.run("hook", "install", "statusline", "--yes").returncode == 0


# ---------------------------------------------------------------- run


def test_what_the_agent_tells_is_kept_and_nothing_else(scratch: Scratch) -> None:
    done = run_hook(scratch, GIVEN)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (path,) = (scratch.state / "limits").iterdir()
    assert "secret-app" not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    five, seven = inbox(scratch)
    assert (five.provider, five.account, five.limit_id, five.window_minutes) == ("claude", "", "claude", 300)
    assert (five.used_pct, five.resets_at_ms, five.source) == (42.0, RESET_S * 1000, "hook")
    assert (seven.window_minutes, seven.used_pct) == (10_080, 13.5)


def test_they_are_limits_on_every_screen(scratch: Scratch) -> None:
    soon = {"rate_limits": {"five_hour": {"used_percentage": 61.5, "resets_at": int(time.time()) + 9000}}}
    run_hook(scratch, soon)
    limits = json.loads(scratch.run("--json").stdout)["limits"]
    found = [one for one in limits if one["source"] == "hook"]
    assert [(one["window_minutes"], one["used_pct"]) for one in found] == [(300, 61.5)]


@pytest.mark.parametrize(
    "given",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 200_000, {"rate_limits": None}, {"rate_limits": []},
        {"rate_limits": {"five_hour": None, "seven_day": {"used_percentage": None}}},
        {"rate_limits": {"five_hour": {"used_percentage": "42"}}}, {"rate_limits": {"x": {"used_percentage": True}}},
        b'{"rate_limits": {"five_hour": {"used_percentage": NaN}}}', b'{"rate_limits": {"a": {"used_percentage": 1e999}}}',
        {key: value for key, value in GIVEN.items() if key != "rate_limits"},
    ],
    ids=lambda given: str(given)[:40],
)  # fmt: skip
def test_without_limits_what_was_known_stays_and_the_line_goes_on(scratch: Scratch, given: Any) -> None:
    wrap(scratch, "cat >/dev/null; echo mine")
    run_hook(scratch, GIVEN)
    before = inbox(scratch)
    done = run_hook(scratch, given)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"mine\n", b"")
    assert inbox(scratch) == before
    assert len(before) == 2


def test_the_wrapped_line_has_the_same_input_output_and_status(scratch: Scratch) -> None:
    """Conformance case 31."""
    wrap(scratch, "wc -c; echo héllo; echo oops >&2; exit 3")
    given = json.dumps({**GIVEN, "padding": "x" * 300_000}).encode()
    done = run_hook(scratch, given)
    assert done.returncode == 3
    assert done.stdout.decode().split() == [str(len(given)), "héllo"]
    assert done.stderr == b"oops\n"


def test_an_inbox_that_is_no_folder_changes_nothing_on_the_screen(scratch: Scratch) -> None:
    wrap(scratch, "echo mine")
    (scratch.state / "limits").write_text("in the way")
    done = run_hook(scratch, GIVEN)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"mine\n", b"")


def test_a_line_that_calls_tokentop_again_does_not_turn_in_circles(scratch: Scratch) -> None:
    wrap(scratch, "echo mine")
    (record,) = (scratch.state / "hooks").iterdir()
    record.write_text(json.dumps({"former": f"{sys.executable} -m tokentop hook run statusline; echo end"}))
    done = run_hook(scratch, GIVEN)
    assert (done.returncode, done.stdout) == (0, b"end\n")


def test_a_hook_that_is_killed_leaves_the_former_file_whole(scratch: Scratch) -> None:
    """Conformance case 30: while one waits for its input, others write; then it is killed."""
    run_hook(scratch, GIVEN)
    slow = subprocess.Popen(
        [sys.executable, "-m", "tokentop", "hook", "run", "statusline"], env=scratch.environ(), cwd=scratch.home,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert slow.stdin is not None
    slow.stdin.write(b'{"rate_limits"')
    slow.stdin.flush()
    slow.send_signal(signal.SIGKILL)
    slow.wait()
    slow.stdin.close()
    assert [quota.used_pct for quota in inbox(scratch)] == [42.0, 13.5]


def test_two_logins_are_two_accounts(scratch: Scratch, tmp_path: Path) -> None:
    other = tmp_path / "claude-work"
    run_hook(scratch, GIVEN)
    run_hook(scratch, GIVEN, CLAUDE_CONFIG_DIR=str(other))
    run_hook(scratch, GIVEN, CLAUDE_CONFIG_DIR=str(scratch.home / ".claude"))
    assert sorted({quota.account for quota in inbox(scratch)}) == ["", "claude-work"]
    assert len(list((scratch.state / "limits").iterdir())) == 2


def test_the_hook_imports_nothing_that_takes_time(scratch: Scratch) -> None:
    code = (
        "import os, sys; sys.argv = ['tokentop', 'hook', 'run', 'statusline']\n"
        "from tokentop.cli import main\nmain()\n"
        "heavy = {'msgspec', 'sqlite3', 'httpx', 'textual', 'psutil', 'subprocess', 'tokentop.settings', 'tokentop.store'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=scratch.environ(), input=json.dumps(GIVEN), capture_output=True,
        text=True, check=True, timeout=60, cwd=REPOSITORY,
    )  # fmt: skip
    assert done.stdout == "[]\n"


# ---------------------------------------------------------------- the inbox


def test_a_file_is_read_once_and_again_when_it_has_changed(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "TOKENTOP_STATE_DIR": str(tmp_path)}
    box = Inbox(tmp_path)
    assert box.look() == ([], [])
    hook.keep(json.dumps(GIVEN).encode(), environ, AT)
    assert len(box.look()[0]) == 2
    assert box.look() == ([], [])
    hook.keep(json.dumps(GIVEN).encode(), environ, AT + 1)
    assert [quota.at_ms for quota in box.look()[0]] == [AT + 1, AT + 1]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"v": 2}', '{"v": 1, "at_ms": "x"}', '{"v": 1, "at_ms": true}', "[" * 60_000]
)
def test_a_file_that_is_not_of_the_hook_is_a_diagnostic(tmp_path: Path, text: str) -> None:
    (tmp_path / "limits").mkdir()
    (tmp_path / "limits" / "claude-0.json").write_text(text)
    quotas, problems = Inbox(tmp_path).look()
    assert quotas == []
    assert [(one.source, one.kind) for one in problems] == [("claude", "status-line")]


def test_windows_by_name_and_spend_above_the_whole() -> None:
    """Conformance cases 26 to 28."""
    document = {
        "v": 1, "at_ms": AT, "account": "a\x1b[31m", "limits": {
            "seven_day": {"used_percentage": 5}, "seven_day_opus": {"used_percentage": 7, "resets_at": RESET_S},
            "spend_limit": {"used_percentage": 134.2, "period": "monthly"}, "new\x1b": {"used_percentage": 3},
            "five_hour": None, "odd": {"used_percentage": -1}, "far": {"used_percentage": 1, "resets_at": 9e10},
        },
    }  # fmt: skip
    found = {(q.limit_id, q.window_minutes): q for q in parse(json.dumps(document).encode())}
    assert {key: q.used_pct for key, q in found.items()} == {
        ("claude", 10_080): 5.0, ("opus", 10_080): 7.0, ("spend_limit", 43_200): 134.2, ("new␛", 0): 3.0, ("far", 0): 1.0
    }  # fmt: skip
    assert {q.resets_at_ms for q in found.values()} == {0, RESET_S * 1000}
    assert all("\x1b" not in q.account for q in found.values())


# ---------------------------------------------------------------- install and remove


FORMS = {
    "nothing": None,
    "empty": "{}\n",
    "others": OTHERS,
    "one line": '{"a": 1, "b": [1, 2]}',
    "a line": (
        '{\n  "statusLine": {\n    "type": "command",\n    "command": "echo \\"mine\\"",\n    "padding": 2\n  },\n'
        '  "z": 1\n}\n'
    ),
    "unusual": '{ "statusLine" : {"type":"command", "command":"x"},\n\n   "x":  "x" }',
}


@pytest.mark.parametrize("form", FORMS)
def test_the_change_is_shown_and_taken_back_whole(scratch: Scratch, form: str) -> None:
    path = settings_of(scratch, FORMS[form])
    before = json.loads(FORMS[form] or "{}")
    looked = scratch.run("hook", "install", "statusline", "--dry-run")
    assert looked.returncode == 0
    assert "+" in looked.stdout
    assert path.exists() == (FORMS[form] is not None)
    done = scratch.run("hook", "install", "statusline", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert looked.stdout.strip() in done.stdout
    after = json.loads(path.read_text())
    assert "hook run statusline" in after["statusLine"]["command"]
    old_line = before.get("statusLine", {"type": "command"})
    assert after == {**before, "statusLine": {**old_line, "command": after["statusLine"]["command"]}}
    assert "already installed" in scratch.run("hook", "install", "statusline", "--yes").stdout
    assert scratch.run("hook", "remove", "statusline", "--yes").returncode == 0
    assert json.loads(path.read_text()) == before
    if form in ("a line", "empty"):
        assert path.read_text() == FORMS[form]
    assert scratch.run("hook", "remove", "statusline", "--yes").returncode == 3


def test_what_else_stands_in_the_file_keeps_its_form(scratch: Scratch) -> None:
    path = settings_of(scratch, OTHERS)
    scratch.run("hook", "install", "statusline", "--yes")
    assert path.read_text().startswith(OTHERS.rstrip().rstrip("}").rstrip())


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"statusLine": "x"}', '{"statusLine": {"type": "other"}}', "// c\n{}", "\ufeff{}"]
)
def test_what_is_not_understood_is_not_changed(scratch: Scratch, text: str) -> None:
    path = settings_of(scratch, text)
    done = scratch.run("hook", "install", "statusline", "--yes")
    assert done.returncode == 1
    assert "nothing was changed" in done.stderr
    assert path.read_text() == text


def test_without_an_answer_nothing_is_written(scratch: Scratch) -> None:
    path = settings_of(scratch, OTHERS)
    done = scratch.run("hook", "install", "statusline")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert path.read_text() == OTHERS


def test_a_line_that_was_changed_since_is_left_alone(scratch: Scratch) -> None:
    wrap(scratch, "echo mine")
    path = settings_of(scratch, '{"statusLine": {"type": "command", "command": "other"}}')
    done = scratch.run("hook", "remove", "statusline", "--yes")
    assert done.returncode == 3
    assert "nothing was changed" in done.stderr
    assert "other" in path.read_text()


def test_the_mode_of_the_file_and_a_link_to_it_stay(scratch: Scratch, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles.json"
    target.write_text(OTHERS)
    target.chmod(0o640)
    settings_of(scratch).symlink_to(target)
    assert scratch.run("hook", "install", "statusline", "--yes").returncode == 0
    assert settings_of(scratch).is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640
