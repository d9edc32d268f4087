"""Large homes for one agent each, grown from its recorded case: copies with ids and times of their own.

Real logs are mostly tool output and text; the recorded ones are trimmed. So lines of padding stand between theirs,
12 KB for each response.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import sqlite3
from pathlib import Path

from tokentop.agents import agent

CASES = Path(__file__).parent.parent / "tests" / "agents"
_ID = re.compile(
    rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    rb"|\b(?:msg|chatcmpl|resp|call|toolu|ses|prt|gen|req|evt)[-_][0-9A-Za-z]{4,40}"
)
_EPOCH_MS = re.compile(rb"\b179\d{10}\b")
_PADDING_BYTES = 12_000  # for each response


def cases() -> dict[str, Path]:
    """Agents with a recorded case of JSON lines: agent -> the case that is copied."""
    found: dict[str, Path] = {}
    for path in sorted(CASES.glob("*/*/expect.json")):
        if not agent(path.parts[-3]).tried:
            continue
        lines = any((path.parent / "home").rglob("*.jsonl"))
        if lines and json.loads(path.read_bytes())["total"]["responses"]:
            found.setdefault(path.parts[-3], path.parent)
    return found


def grow(case: Path, home: Path, size_bytes: int) -> tuple[int, int]:
    """Copy a case until its JSON lines have that size; (copies, bytes)."""
    files = [p for p in (case / "home").rglob("*") if p.is_file() and p.suffix != ".db"]
    responses = json.loads((case / "expect.json").read_bytes())["total"]["responses"]
    lines = sum(p.read_bytes().count(b"\n") for p in files if p.suffix == ".jsonl")
    share = _PADDING_BYTES * responses // max(1, lines)
    contents = {str(p.relative_to(case / "home")): _padded(p, share) for p in files}
    copies = written = 0
    while written < size_bytes:
        names: dict[bytes, bytes] = {}
        for path, data in contents.items():
            target = home / _renamed(path.encode(), copies, names).decode()
            target.parent.mkdir(parents=True, exist_ok=True)
            text = _renamed(data, copies, names)
            with target.open("ab" if path.endswith(".jsonl") else "wb") as file:
                file.write(text)
            written += len(text) * path.endswith(".jsonl")
        copies += 1
    return copies, written


def _padded(path: Path, share: int) -> bytes:
    data = path.read_bytes()
    if path.suffix != ".jsonl":
        return data
    words = b"def test_retry_gives_up_after_three_tries(): assert calls == 3  # what a tool has printed. "
    filler = json.dumps(
        {"type": "tool-output", "content": (words * (share // len(words) + 1)).decode()}
    ).encode()
    return b"".join(line + filler + b"\n" for line in data.splitlines(keepends=True))


def _renamed(data: bytes, copy: int, names: dict[bytes, bytes]) -> bytes:
    """Ids and times of the n-th copy, of the same length and alphabet."""

    def other(found: re.Match[bytes]) -> bytes:
        old = found.group()
        if old not in names:
            names[old] = _other(old, copy)
        return names[old]

    data = _ID.sub(other, data)
    return _EPOCH_MS.sub(lambda found: str(int(found.group()) + copy * 1000).encode(), data)


def _other(old: bytes, copy: int) -> bytes:
    if not copy:
        return old
    digits = iter(hashlib.sha256(old + str(copy).encode()).hexdigest() * 2)
    keep = 0 if len(old) == 36 and old[8:9] == old[23:24] == b"-" else re.match(rb"[a-z]+[-_]", old).end()  # type: ignore[union-attr]
    return old[:keep] + bytes(c if chr(c) in "-_" else ord(next(digits)) for c in old[keep:])


def opencode_database(home: Path, size_bytes: int) -> tuple[Path, int]:
    """A database with the real schema and rows of the recorded one, copied until it is so large; (path, messages)."""
    case = CASES / "opencode/run/home/.local/share/opencode/opencode.db"
    path = home / ".local/share/opencode/opencode.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(case, path)
    filler = "x" * 20_000
    copies = 0
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=OFF")
        rows = {table: _rows(db, table) for table in ("session", "message", "part")}
        while path.stat().st_size < size_bytes:
            with db:
                for _ in range(200):
                    copies += 1
                    for table, (columns, found) in rows.items():
                        put = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
                        db.executemany(
                            put, [_copied(row, copies, filler if table == "part" else "") for row in found]
                        )
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        messages = db.execute("SELECT count(*) FROM message").fetchone()[0]
    return path, messages


def _rows(db: sqlite3.Connection, table: str) -> tuple[list[str], list[tuple[object, ...]]]:
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    return columns, db.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()


def _copied(row: tuple[object, ...], copy: int, filler: str) -> list[object]:
    out: list[object] = []
    for cell in row:
        if isinstance(cell, str):
            cell = _renamed(cell.encode(), copy, {}).decode()
            if filler and cell.startswith("{"):
                cell = cell[:-1] + f', "filler": "{filler}"}}'
        elif isinstance(cell, int) and cell > 1_700_000_000_000:
            cell += copy * 1000
        out.append(cell)
    return out
