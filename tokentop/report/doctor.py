"""`tokentop doctor`: what was looked for, what was found, what could not be read, and what to do about it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokentop.agents import all_agents
from tokentop.model import Diagnostic, Looked
from tokentop.store import reader
from tokentop.store.db import FILE_NAME

_ADVICE = {
    "unparsed": "lines that are not JSON were left out; a crash of the agent leaves such lines",
    "unreadable": "check the permissions of that file or folder",
    "oversize": "a line above 64 MiB with usage in it was left out",
    "bad-number": "token counts out of bounds were counted as 0",
    "missing-parent": "a fork's parent log is gone; its own calls are told apart by time and marked estimated",
    "compaction": "compactions were seen: their calls have no line of their own; versions that keep a running total"
    " give them back as hidden spend, older ones do not",
    "damaged": "the old database was kept beside the new one; delete it when you no longer need it",
    "failed-line": "a line on which the reader failed was left out; please report it",
    "not-utf8": "a log in UTF-16 is not read; agents write UTF-8",
    "bad-value": "a record that the database cannot hold was left out",
    "not-a-file": "something that is no regular file has the name of a log; it was left alone",
    "outside": "a link leads out of the agent's folder; it was not followed",
}


def examine(
    db: sqlite3.Connection, looked: Sequence[Looked], current: Sequence[Diagnostic], folder: Path, prices: str
) -> dict[str, Any]:
    """`tokentop.doctor/1`."""
    agents = []
    for agent in all_agents():
        files, size = db.execute(
            "SELECT count(*), coalesce(sum(offset), 0) FROM cursor WHERE agent=?", (agent.id,)
        ).fetchone()
        responses, first, last = db.execute(
            "SELECT coalesce(sum(responses), 0), min(nullif(first_ms, 0)), max(last_ms) FROM session WHERE agent=?",
            (agent.id,),
        ).fetchone()
        versions = db.execute(
            "SELECT version, count(*) FROM session WHERE agent=? AND version != '' GROUP BY version"
            " ORDER BY max(last_ms) DESC LIMIT 5",
            (agent.id,),
        ).fetchall()
        agents.append(
            {"agent": agent.id, "label": agent.label,
             "looked": [{"path": place.path, "found": place.found} for place in looked if place.agent == agent.id],
             "files": files, "bytes": size, "responses": responses, "first_ms": first, "last_ms": last,
             "versions": [{"version": version, "sessions": count} for version, count in versions],
             "start": agent.start_hint}
        )  # fmt: skip
    unpriced = db.execute(
        "SELECT m.provider, m.name, sum(r.unpriced_tokens) FROM rollup r JOIN model m ON m.id = r.model"
        " GROUP BY r.model HAVING sum(r.unpriced_tokens) > 0 ORDER BY 3 DESC LIMIT 20"
    ).fetchall()
    path = folder / FILE_NAME
    problems = [d for d in (*current, *reader.health(db)) if d.kind != "duplicate"]
    return {
        "schema": "tokentop.doctor/1",
        "agents": agents,
        "unpriced": [{"provider": p, "model": m or "unknown", "tokens": t} for p, m, t in unpriced],
        "problems": [
            {"source": d.source, "kind": d.kind, "detail": d.detail, "count": d.count, "advice": _ADVICE.get(d.kind, "")}
            for d in problems
        ],
        "store": {"path": str(path), "bytes": path.stat().st_size if path.exists() else 0},
        "prices": prices,
    }  # fmt: skip


def as_text(found: dict[str, Any]) -> str:
    lines = []
    for agent in found["agents"]:
        lines.append(f"{agent['label']}")
        lines += [f"  looked in   {place['path']}: {place['found']}" for place in agent["looked"]]
        if agent["files"]:
            versions = ", ".join(f"{v['version']} ({v['sessions']} sessions)" for v in agent["versions"])
            lines.append(
                f"  read        {agent['files']:,} files, {agent['bytes']:,} bytes, {agent['responses']:,} responses"
            )
            lines.append(f"  written by  {versions or 'unknown versions'}")
        else:
            lines.append(f"  nothing yet: {agent['start']}")
    for entry in found["unpriced"]:
        lines.append(
            f"no price     {entry['provider']} {entry['model']}: {entry['tokens']:,} tokens; add it under [prices] in the settings"
        )
    for problem in found["problems"]:
        count = f" ({problem['count']}x)" if problem["count"] > 1 else ""
        advice = f"; {problem['advice']}" if problem["advice"] else ""
        lines.append(
            f"problem      {problem['source']}: {problem['kind']}{count} {problem['detail']}{advice}"
        )
    if not found["problems"]:
        lines.append("problems     none")
    lines.append(f"store        {found['store']['path']}, {found['store']['bytes']:,} bytes")
    lines.append(f"prices       {found['prices']}")
    return "\n".join(lines)
