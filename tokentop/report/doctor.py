"""`tokentop doctor`: what was looked for, what was found, what could not be read, and what to do about it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokentop.advice import ADVICE
from tokentop.agents import all_agents
from tokentop.nouns.facts import Diagnostic, Looked
from tokentop.store import outlines, reader
from tokentop.store.db import FILE_NAME
from tokentop.store.purging import purged
from tokentop.text import plural


def examine(
    db: sqlite3.Connection, looked: Sequence[Looked], current: Sequence[Diagnostic], folder: Path, prices: str
) -> dict[str, Any]:
    """`tokentop.doctor/1`."""
    agents = []
    for agent in all_agents():
        files, size = db.execute(
            "SELECT count(*), coalesce(sum(offset), 0) FROM cursor WHERE agent=?", (agent.id,)
        ).fetchone()
        sessions, responses, unknown, first, last = db.execute(
            "SELECT count(*), coalesce(sum(responses), 0), coalesce(sum(unknown_calls), 0), min(nullif(first_ms, 0)),"
            " max(last_ms) FROM session WHERE agent=?",
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
             "files": files, "bytes": size, "sessions": sessions, "responses": responses, "unknown_calls": unknown,
             "first_ms": first, "last_ms": last, "tokens": agent.tokens, "missing": agent.missing,
             "tried": list(agent.tried),
             "versions": [{"version": version, "sessions": count} for version, count in versions],
             "start": agent.start_hint}
        )  # fmt: skip
    unpriced = db.execute(
        "SELECT m.provider, m.name, sum(r.unpriced_tokens) FROM rollup r JOIN model m ON m.id = r.model"
        " GROUP BY r.model HAVING sum(r.unpriced_tokens) > 0 ORDER BY 3 DESC LIMIT 20"
    ).fetchall()
    path = folder / FILE_NAME
    calls, sessions_purged, purged_ms = purged(db)
    problems = [d for d in (*current, *reader.health(db)) if d.kind != "duplicate"]
    return {
        "schema": "tokentop.doctor/1",
        "agents": agents,
        "unpriced": [{"provider": p, "model": m or _NO_MODEL, "tokens": t} for p, m, t in unpriced],
        "problems": [
            {"source": d.source, "kind": d.kind, "detail": d.detail, "count": d.count, "advice": ADVICE.get(d.kind, "")}
            for d in problems
        ],
        "store": {"path": str(path), "bytes": path.stat().st_size if path.exists() else 0},
        "outlines": outlines_document(db),
        "purged": {"calls": calls, "sessions": sessions_purged, "last_ms": purged_ms},
        "prices": prices,
    }  # fmt: skip


def outlines_document(db: sqlite3.Connection) -> dict[str, Any]:
    """How many sessions have their tools remembered, and why others have them in part or not at all."""
    whole, partial = outlines.state(db)
    return {"whole": whole, "partial": [{"note": note, "sessions": count} for note, count in partial.items()]}


_NO_MODEL = "unknown"
_NO_FOLDER = ("no such folder", "0 files")


def _is_there(agent: dict[str, Any]) -> bool:
    return any(place["found"] not in _NO_FOLDER for place in agent["looked"])


def _places(agent: dict[str, Any]) -> str:
    places = [place["path"] for place in agent["looked"]]
    if not places:
        return "leaves nothing on disk that can be counted; its processes are shown"
    return str(places[0]) + (f" and {len(places) - 1} more" if len(places) > 1 else "")


def _of_agent(agent: dict[str, Any]) -> list[str]:
    lines = [agent["label"]]
    places = [place for place in agent["looked"] if place["found"] not in _NO_FOLDER] or agent["looked"]
    lines += [f"  looked in   {place['path']}: {place['found']}" for place in places]
    if not agent["files"]:
        return [*lines, f"  nothing yet: {agent['start']}"]
    versions = ", ".join(f"{v['version']} ({plural(v['sessions'], 'session')})" for v in agent["versions"])
    lines.append(
        f"  read        {plural(agent['files'], 'file')}, {agent['bytes']:,} bytes,"
        f" {plural(agent['responses'], 'response')} in {plural(agent['sessions'], 'session')}"
    )
    if agent["unknown_calls"]:
        lines.append(
            f"  unknown     {plural(agent['unknown_calls'], 'call')} whose usage is not in the logs: running, or cut off"
        )
    tried = (
        f" (compared with a provider's own count on {', '.join(agent['tried'])})" if agent["tried"] else ""
    )
    lines.append(f"  written by  {versions or 'versions that do not name themselves'}{tried}")
    lines.append(f"  tokens      {agent['tokens']}")
    if agent["missing"]:
        lines.append(f"  not in them {agent['missing']}")
    return lines


def _unpriced(entry: dict[str, Any]) -> str:
    if entry["model"] == _NO_MODEL:
        return f"no price     {entry['tokens']:,} tokens of models that the logs do not name"
    name = " ".join(part for part in (entry["provider"], entry["model"]) if part)
    return f"no price     {name}: {entry['tokens']:,} tokens; add it under [prices] in the settings"


def as_text(found: dict[str, Any]) -> str:
    lines: list[str] = []
    here = [agent for agent in found["agents"] if agent["files"] or agent["sessions"] or _is_there(agent)]
    for agent in here:
        lines += _of_agent(agent)
    absent = [agent for agent in found["agents"] if agent not in here]
    if absent:
        lines.append(f"not found    {len(absent)} agents: none of their folders is there")
        width = max(len(agent["label"]) for agent in absent)
        lines += [f"  {agent['label']:{width}}  {_places(agent)}" for agent in absent]
    for entry in found["unpriced"]:
        lines.append(_unpriced(entry))
    for problem in found["problems"]:
        count = f" ({problem['count']}x)" if problem["count"] > 1 else ""
        advice = f"; {problem['advice']}" if problem["advice"] else ""
        lines.append(
            f"problem      {problem['source']}: {problem['kind']}{count} {problem['detail']}{advice}"
        )
    if not found["problems"]:
        lines.append("problems     none")
    lines.append(f"store        {found['store']['path']}, {found['store']['bytes']:,} bytes")
    remembered = found["outlines"]
    lines.append(f"outlines     tools and files of {plural(remembered['whole'], 'session')} are remembered")
    lines += [
        f"  in part     {plural(one['sessions'], 'session')}: {one['note']}" for one in remembered["partial"]
    ]
    if (gone := found["purged"])["calls"]:
        lines.append(
            f"purged       {plural(gone['calls'], 'call')} of {plural(gone['sessions'], 'session')}; their sums are kept"
        )
    lines.append(f"prices       {found['prices']}")
    return "\n".join(lines)
