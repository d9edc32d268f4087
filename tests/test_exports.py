"""Exports of one session: Markdown and HTML in which nothing of a hostile text lives; the HTML in a real browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import struct
import subprocess
import zlib
from datetime import UTC
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.agents.harness import REPOSITORY, Scratch, price_table
from tests.long_session import SID, long_session
from tokentop.answers.chronicle import tell
from tokentop.answers.transcript import transcript
from tokentop.engine.timeline import Timeline
from tokentop.export.charts import groups
from tokentop.export.markdown import markdown
from tokentop.export.page import page

HOSTILE = "</title></h1><script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\"> [x](javascript:0) | `a`"
NOW_MS = 1_796_000_000_000
LOG = f".claude/projects/-home-dev-work/{SID}.jsonl"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def told(folder: Path, turns: int = 40, title: str = "fix the flaky retry test") -> tuple[Scratch, Timeline]:
    home = Scratch(folder)
    home.write(LOG, long_session(turns, title=title))
    home.read()
    with home.ledger() as ledger:
        found = tell(ledger.db, "claude", SID, NOW_MS, prices=price_table())
    assert found is not None
    return home, found


class Tags(HTMLParser):
    """Every tag with its attributes, and what no page of ours may have."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def test_the_page_holds_no_script_and_loads_nothing(tmp_path: Path) -> None:
    _, found = told(tmp_path, title=HOSTILE)
    content = page(found, UTC)
    seen = Tags()
    seen.feed(content)
    assert not {"script", "img", "link", "iframe", "object", "embed", "a", "base", "form"} & set(seen.tags)
    assert not [
        name for name, _ in seen.attributes if name.startswith("on") or name in {"src", "href", "style"}
    ]
    assert seen.tags.count("svg") >= 4
    assert ("http-equiv", "Content-Security-Policy") in seen.attributes
    [policy] = re.findall(r'Security-Policy" content="([^"]+)"', content)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "http://" not in content
    assert "https://" not in content
    assert len(re.findall("<tr", content)) == len(found.turns) + 1


def test_markdown_shows_a_hostile_title_as_text(tmp_path: Path) -> None:
    _, found = told(tmp_path, title=HOSTILE)
    shown = markdown(found, UTC)
    first = shown.splitlines()[0]
    assert re.sub(r"\\(.)", r"\1", first).startswith("# </title></h1><script>")
    assert not re.search(r"(?<!\\)[<\[`|]", first[2:])
    rows = [line for line in shown.splitlines() if line.startswith("|")]
    assert len(rows) == len(found.turns) + 2
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {13}


def test_many_turns_share_bars_and_lose_nothing(tmp_path: Path) -> None:
    _, found = told(tmp_path, turns=1_001)
    bars = groups(found.turns)
    assert len(bars) <= 240
    assert sum(bar.own_nusd + bar.below_nusd for bar in bars) == found.tree.cost_nusd
    assert (bars[0].first, bars[-1].last) == (1, len(found.turns))


def test_a_transcript_is_safe_masked_and_in_order(tmp_path: Path) -> None:
    home = Scratch(tmp_path)
    secret = "sk-ant-REDACTED"
    reply = {
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": f"one\n\x1b[2Jtwo {secret}"}],
    }
    lines = [
        {"type": "user", "message": {"role": "user", "content": "please\ngo"}},
        {"type": "assistant", "message": reply},
    ]
    log = home.write(
        LOG,
        b"".join(
            json.dumps({**line, "sessionId": SID, "timestamp": f"2026-11-21T20:00:0{n}Z"}).encode() + b"\n"
            for n, line in enumerate(lines)
        ),
    )
    from tokentop.nouns.sessions import Session

    found, note = transcript(Session("claude", SID, log_path=str(log)))
    assert note == ""
    assert [(one.kind, one.lines) for one in found] == [
        ("prompt", ("please", "go")),
        ("answer", ("one", "␛[2Jtwo ***")),
    ]
    log.unlink()
    assert transcript(Session("claude", SID, log_path=str(log))) == (
        [],
        "the log is gone: its agent has deleted or moved it",
    )


# ---------------------------------------------------------------- the command


def run(home: Scratch, *arguments: str) -> subprocess.CompletedProcess[str]:
    import sys

    return subprocess.run(
        [sys.executable, "-m", "tokentop", *arguments], cwd=home.folder, capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), **home.environ},
    )  # fmt: skip


def test_the_command_writes_each_form_and_says_where(tmp_path: Path) -> None:
    home, found = told(tmp_path, turns=12)
    document = home.run("session", SID[:6])
    assert [turn["turn"] for turn in document["turns"]] == list(range(1, 13))
    assert document["cost_usd"] == document["tree"]["cost_usd"] == document["with_sub_agents"]["cost_usd"]
    assert len(document["timeline"]) == document["responses"] == found.own.responses
    assert {"name", "target", "takes", "result", "took_ms", "tests"} <= document["turns"][0]["items"][
        1
    ].keys()
    assert run(home, "session", SID, "--md").stdout == markdown(found, UTC)
    done = run(home, "session", SID, "--html", "out.html")
    target = home.folder / "out.html"
    assert done.stdout == f"written to {target}\n"
    assert target.read_text() == page(found, UTC)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in home.folder.iterdir() if path.name.startswith(".out")] == []
    assert "you:\n    fix the flaky retry test" in run(home, "session", SID, "--transcript").stdout
    failed = run(home, "session", SID, "--html", "no/such/folder/x.html")
    assert (failed.returncode, failed.stderr.count("\n")) == (1, 1)
    assert run(home, "session", SID, "--md", "--json").returncode == 2


def test_the_command_without_the_log_says_what_is_unknown(tmp_path: Path) -> None:
    home, _ = told(tmp_path, turns=3)
    with home.ledger() as ledger:
        ledger.db.execute("DELETE FROM outline")
    (home.home / LOG).unlink()
    shown = run(home, "session", SID).stdout
    assert "tools are not known: the log is gone" in shown
    assert run(home, "session", SID, "--transcript").returncode == 1


# ---------------------------------------------------------------- a browser


def browser(folder: Path, *arguments: str) -> str:
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    done = subprocess.run(
        [
            program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            f"--user-data-dir={folder / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update", "--virtual-time-budget=3000", *arguments,
        ],
        capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def title_of(dom: str) -> str:
    return re.findall("<title>(.*?)</title>", dom, re.DOTALL)[0]


def test_a_browser_runs_nothing_of_a_hostile_title(tmp_path: Path) -> None:
    _, found = told(tmp_path, turns=5, title=HOSTILE)
    target = tmp_path / "a.html"
    target.write_text(page(found, UTC))
    dom = browser(tmp_path, "--dump-dom", target.as_uri())
    assert title_of(dom).startswith("&lt;/title&gt;&lt;/h1&gt;&lt;script&gt;")
    assert "<script" not in dom
    assert dom.count("<svg") >= 4
    # Also what is no text but a script of the page itself is refused by its policy.
    target.write_text(page(found, UTC).replace("</body>", "<script>document.title='ran'</script></body>"))
    assert title_of(browser(tmp_path, "--dump-dom", target.as_uri())) != "ran"


def test_a_browser_shows_the_charts_without_a_network(tmp_path: Path) -> None:
    _, found = told(tmp_path, turns=30)
    target, picture = tmp_path / "a.html", tmp_path / "a.png"
    target.write_text(page(found, UTC))
    browser(tmp_path, "--window-size=560,900", f"--screenshot={picture}", target.as_uri())
    colours = colours_of(picture.read_bytes())
    curve, reads, writes = (0, 114, 178), (154, 184, 200), (86, 180, 233)
    assert colours.get(curve, 0) > 1_500  # bars of cost and of tools
    assert colours.get(reads, 0) > 500
    assert colours.get(writes, 0) > 20


def colours_of(png: bytes) -> dict[tuple[int, int, int], int]:
    """How often each colour is in a PNG of 8 bits without interlacing."""
    at, data, width, kind = 8, b"", 0, 2
    while at < len(png):
        size, name = struct.unpack(">I4s", png[at : at + 8])
        if name == b"IHDR":
            width, _, depth, kind = struct.unpack(">IIBB", png[at + 8 : at + 18])
            assert depth == 8
        elif name == b"IDAT":
            data += png[at + 8 : at + 8 + size]
        at += size + 12
    cell = {2: 3, 6: 4}[kind]
    raw, row, before = zlib.decompress(data), width * cell, bytearray(width * cell)
    found: dict[tuple[int, int, int], int] = {}
    for start in range(0, len(raw), row + 1):
        line = unfiltered(raw[start], bytearray(raw[start + 1 : start + 1 + row]), before, cell)
        for place in range(0, row, cell):
            colour = (line[place], line[place + 1], line[place + 2])
            found[colour] = found.get(colour, 0) + 1
        before = line
    return found


def unfiltered(kind: int, line: bytearray, before: bytearray, cell: int) -> bytearray:
    for at in range(len(line)):
        left, up = line[at - cell] if at >= cell else 0, before[at]
        corner = before[at - cell] if at >= cell else 0
        if kind == 4:
            guess = left + up - corner
            near = min(
                (abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner)
            )
            line[at] = (line[at] + near[2]) & 255
        elif kind:
            line[at] = (line[at] + (left, up, (left + up) // 2)[kind - 1]) & 255
    return line
