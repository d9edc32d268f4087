"""Synthetic Antigravity databases: the documented tables with messages in the protobuf wire format."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

START_S = 1_795_294_170  # 2026-11-21T20:49:30Z
MODEL = "gemini-3-pro"
SCHEMA = (
    "CREATE TABLE gen_metadata (idx INTEGER PRIMARY KEY, data BLOB, size INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE trajectory_metadata_blob (id TEXT PRIMARY KEY, data BLOB);"
    "CREATE TABLE steps (idx INTEGER PRIMARY KEY, step_type INTEGER, step_payload BLOB);"
)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def message(*parts: tuple[int, int | bytes | str]) -> bytes:
    """A message of (field number, value) pairs; a text or bytes is length-delimited, a number a varint."""
    out = b""
    for number, value in parts:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def call(
    index: int, *, fresh: int = 100, output: int = 50, cached: int = 900, thinking: int = 20, model: str = MODEL,
    done: bool = True,
) -> bytes:  # fmt: skip
    """The row of one call; one that runs has no usage yet."""
    usage = message((1, 312), (2, fresh), (3, output), (5, cached), (9, thinking), (10, output - thinking))
    moment = message((1, START_S + index), (2, 500_000_000))
    chat = message(
        (3, b"\x08\x01"), *([(4, usage)] if done else []), (9, message((4, moment), (8, message((1, 2)))))
    )
    named = message((19, model), (21, "Gemini 3 Pro (High)")) if model else b""
    # A fixed-width field of each kind stands between: they are passed over.
    return message(
        (1, chat + varint(30 << 3 | 1) + bytes(8) + varint(31 << 3 | 5) + bytes(4) + named), (2, "x")
    )


def put(path: Path, *rows: tuple[int, bytes], folder: str = "/home/dev/work") -> None:
    """Make or go on with a database."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with closing(sqlite3.connect(path)) as db:
        if new:
            db.executescript(SCHEMA)
            about = message((1, message((1, "trajectory"), (2, message((1, f"file://{folder}"))))))
            db.execute("INSERT INTO trajectory_metadata_blob VALUES ('t', ?)", (about,))
        values = [(index, data, len(data)) for index, data in rows]
        db.executemany("INSERT OR REPLACE INTO gen_metadata VALUES (?, ?, ?)", values)
        db.commit()
