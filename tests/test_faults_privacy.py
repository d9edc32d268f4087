"""What is kept of the text of logs: nothing but titles. Case D10 of the fault catalogue."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from .faults import PROJECT, Scratch, bytes_in, dumps, line, record


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path)


CANARY = "xylophone-canary"


@pytest.mark.parametrize("titles", [True, False])
def test_no_prompt_or_reply_is_kept(scratch: Scratch, titles: bool) -> None:
    """D10: of all text only the cut title is stored; with `titles = false` not even that."""
    scratch.config.write_text(f"titles = {str(titles).lower()}\n")
    prompt = f"please {CANARY} " + "word " * 100 + f"{CANARY}-late"
    talk = [
        {"type": "user", "sessionId": "s-1", "message": {"role": "user", "content": prompt}},
        record(1) | {"message": record(1)["message"] | {"content": [
            {"type": "text", "text": f"{CANARY}-reply"},
            {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": f"{CANARY}-command"}},
        ]}},
        {"type": "user", "sessionId": "s-1", "toolUseResult": f"{CANARY}-result", "message": {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": f"{CANARY}-result"},
        ]}},
        {"type": "assistant", "input_tokens": f"{CANARY}-broken", "message": {"usage": 3}},
    ]  # fmt: skip
    scratch.log([*(dumps(part) for part in talk), f'{{"input_tokens" {CANARY}-torn\n'.encode()])
    process = scratch.start("watch")
    try:
        end_s = time.monotonic() + 90
        while not (scratch.database.exists() and scratch.run("usage", "--project", PROJECT).returncode == 0):
            assert time.monotonic() < end_s
            time.sleep(0.05)
        kept = bytes_in(scratch.state)
    finally:
        process.kill()
        process.communicate()
    stored = kept.count(CANARY.encode())
    tails = [kept[i : i + 24] for i in range(len(kept)) if kept.startswith(CANARY.encode(), i)]
    assert not [tail for tail in tails if tail.startswith(CANARY.encode() + b"-")]
    assert (stored > 0) == titles


def test_titles_that_were_stored_go_when_they_are_switched_off(scratch: Scratch) -> None:
    prompt = {
        "type": "user",
        "sessionId": "s-1",
        "message": {"role": "user", "content": f"please {CANARY} now"},
    }
    scratch.log([dumps(prompt), line(1)])
    assert CANARY in scratch.run("sessions").stdout
    scratch.config.write_text("titles = false\n")
    assert CANARY not in scratch.run("sessions").stdout
    assert not [path for path in scratch.state.iterdir() if CANARY.encode() in path.read_bytes()]
