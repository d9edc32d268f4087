"""The log of actions: what was done to processes, and what was spent afterwards."""

from __future__ import annotations

import sqlite3

import msgspec

from tokentop.nouns.actions import Receipt


def append_action(connection: sqlite3.Connection, receipt: Receipt) -> None:
    """Append a receipt to the action log."""
    connection.execute(
        "INSERT INTO action (at_ms, action, reason, agent, sid, pid, result, receipt) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (receipt.at_ms, receipt.action, receipt.reason, receipt.agent, receipt.session_id, receipt.pid,
         receipt.result, msgspec.json.encode(receipt).decode()),
    )  # fmt: skip


def replace_action(connection: sqlite3.Connection, receipt: Receipt) -> None:
    """Replace the stored receipt of the same action, if it is there."""
    connection.execute(
        "UPDATE action SET receipt=? WHERE id=("
        "SELECT max(id) FROM action WHERE at_ms=? AND action=? AND pid=? AND sid=?)",
        (msgspec.json.encode(receipt).decode(), *receipt.key),
    )
