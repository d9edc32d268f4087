"""Databases of OpenCode with the schema that 1.18 writes, and the tables that 2.0 adds."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.agents.harness import HERE, Scratch

START_MS = 1_795_000_000_000
PLACE = ".local/share/opencode/opencode.db"
TOKENS = {"input": 2000, "output": 50, "reasoning": 30, "cache": {"read": 3000, "write": 0}}
ZERO = {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}}
_V2 = """
CREATE TABLE session_v2 (id text PRIMARY KEY, project_id text NOT NULL, workspace_id text, parent_id text,
  fork_session_id text, fork_boundary text, slug text NOT NULL, directory text NOT NULL, path text, title text,
  version text NOT NULL, cost real DEFAULT 0 NOT NULL, agent text, model text, time_created integer NOT NULL,
  time_updated integer NOT NULL, time_idle integer, idle_outcome text);
CREATE INDEX session_v2_project_idx ON session_v2 (project_id);
"""


def schema() -> list[str]:
    """The tables and indexes of the recorded database."""
    recorded = HERE / "opencode/run/home" / PLACE
    with closing(sqlite3.connect(f"file:{recorded}?immutable=1", uri=True)) as db:
        rows = db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
        return [row[0] for row in rows]


class Database:
    """A database that a test writes as the client does; every call is one commit."""

    def __init__(self, home: Scratch, place: str = PLACE, *, v2: bool = False, new: bool = True) -> None:
        self.path: Path = home.home / place
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(self.path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        for statement in schema() if new else ():
            self.db.execute(statement)
        if v2:
            self.db.executescript(_V2)
        self.db.execute("PRAGMA foreign_keys=OFF")

    def close(self) -> None:
        self.db.close()

    def session(self, number: int, at_ms: int = START_MS, **about: Any) -> str:
        row = {
            "id": f"ses_{number:04}", "project_id": "global", "slug": "calm-river", "directory": "/home/dev/shop",
            "title": "Count the boxes", "version": "1.18.33", "agent": "build",
            "model": json.dumps({"id": "claude-sonnet-4-5", "providerID": "anthropic"}),
            "time_created": at_ms, "time_updated": at_ms, **about,
        }  # fmt: skip
        table = row.pop("table", "session")
        self._put(table, row)
        return str(row["id"])

    def message(
        self, session: str, number: int, at_ms: int, tokens: Mapping[str, Any] = TOKENS, took_ms: int | None = 500,
        **data: Any,
    ) -> str:  # fmt: skip
        """An assistant message; `took_ms` None = it runs."""
        message_id = data.pop("id", f"msg_{number:04}")
        time = {"created": at_ms} | ({} if took_ms is None else {"completed": at_ms + took_ms})
        record = {
            "parentID": "msg_user", "role": "assistant", "mode": "build", "agent": "build",
            "path": {"cwd": "/home/dev/shop", "root": "/home/dev/shop"}, "cost": 0.00246, "tokens": tokens,
            "modelID": "claude-sonnet-4-5", "providerID": "anthropic", "time": time, "finish": "stop", **data,
        }  # fmt: skip
        if took_ms is None:
            record |= {"cost": 0}
            record.pop("finish")
        self._put(
            "message",
            {"id": message_id, "session_id": session, "time_created": at_ms,
             "time_updated": at_ms + (took_ms or 0), "data": json.dumps(record, separators=(",", ":"))},
        )  # fmt: skip
        return message_id

    def user(self, session: str, number: int, at_ms: int, text: str = "count them") -> None:
        data = {"role": "user", "time": {"created": at_ms}}
        self._put(
            "message",
            {"id": f"msg_{number:04}", "session_id": session, "time_created": at_ms, "time_updated": at_ms,
             "data": json.dumps(data, separators=(",", ":"))},
        )  # fmt: skip
        self.part(f"msg_{number:04}", session, number * 100, at_ms, {"type": "text", "text": text})

    def part(self, message: str, session: str, number: int, at_ms: int, data: Mapping[str, Any]) -> None:
        self._put(
            "part",
            {"id": f"prt_{number:06}", "message_id": message, "session_id": session, "time_created": at_ms,
             "time_updated": at_ms, "data": json.dumps(data)},
        )  # fmt: skip

    def message_v2(
        self, session: str, number: int, seq: int, at_ms: int, tokens: Mapping[str, Any] | None = TOKENS,
        kind: str = "assistant", **data: Any,
    ) -> str:  # fmt: skip
        message_id = data.pop("id", f"msg_{number:04}")
        record: dict[str, Any] = {"time": {"created": at_ms}, **data}
        if kind in {"assistant", "compaction"}:
            record = {
                "agent": "build", "model": {"id": "claude-sonnet-4-5", "providerID": "anthropic"}, "content": [],
                **record,
            }  # fmt: skip
            if tokens is not None:
                record |= {"tokens": tokens, "cost": 0.00246, "finish": "stop"}
                record["time"] = {"created": at_ms, "completed": at_ms + 500}
        self._put(
            "session_message",
            {"id": message_id, "session_id": session, "type": kind, "seq": seq, "time_created": at_ms,
             "time_updated": at_ms, "data": json.dumps(record)},
        )  # fmt: skip
        return message_id

    def _put(self, table: str, row: Mapping[str, Any]) -> None:
        names = ", ".join(row)
        self.db.execute(
            f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})"
            f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{n}=excluded.{n}' for n in row)}",
            tuple(row.values()),
        )
