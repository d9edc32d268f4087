"""The records of test_e2e_signals.py: one JSON file for each case, below .cache/signals of the checkout."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from harness import AGENTS_DIR, HERE, ROOT

FOLDER = Path(os.environ.get("SIGNALS_DIR") or ROOT / ".cache" / "signals")


def version(agent: str) -> str:
    """The version of the installed package; the table of install_clients.sh says which package that is."""
    rows = [line.split() for line in (HERE / "install_clients.sh").read_text().splitlines()]
    package = next(row[2] for row in rows if row[:1] == [agent])
    prefix = AGENTS_DIR / agent
    described = prefix / "node_modules" / package / "package.json"
    if described.exists():
        return str(json.loads(described.read_text())["version"])
    [found] = prefix.glob(f"lib/python*/site-packages/{package.replace('-', '_')}-*.dist-info")
    return found.name.removesuffix(".dist-info").rpartition("-")[2]


def keep(agent: str, moment: str, what: str, **seen: Any) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    record = {"agent": agent, "version": version(agent), "moment": moment, "what": what, **seen}
    (FOLDER / f"{agent}.{moment}.{what}.json").write_text(json.dumps(record, indent=1) + "\n")


def last_record(home: Path, agent: str, project: Path) -> str:
    """What kind of record stands last in the newest log that is written line by line; "" where there is none."""
    places = (home, project) if agent == "aider" else (home,)
    logs = [
        path for place in places for path in place.rglob("*.jsonl")
        if path.is_file() and not {"telemetry", "logs", "node_modules"} & set(path.parts)
    ]  # fmt: skip
    for path in sorted(logs, key=lambda p: p.stat().st_mtime_ns, reverse=True)[:1]:
        lines = path.read_bytes().splitlines()
        for line in reversed(lines):
            try:
                return kind_of(json.loads(line))
            except ValueError:
                return "half a line"
    return ""


def kind_of(record: Any) -> str:
    """The type of a record in the words of its agent."""
    if not isinstance(record, dict):
        return "?"
    inner = next((record[n] for n in ("payload", "message", "data") if isinstance(record.get(n), dict)), {})
    words = [
        record.get("type"),
        record.get("role"),
        inner.get("type"),
        inner.get("role"),
        inner.get("reason"),
    ]
    found = [str(word) for word in words if word]
    return " ".join(dict.fromkeys(found))[:60] or "/".join(list(record)[:3])
