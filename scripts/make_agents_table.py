#!/usr/bin/env python3
"""Write the README's table of agents from the registry and the recorded cases.

scripts/make_agents_table.py            write it
scripts/make_agents_table.py --check    exit 1 if the README is out of date
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tokentop.agents import all_agents  # noqa: E402
from tokentop.agents.base import Agent, Quality  # noqa: E402

README = ROOT / "README.md"
_ORDER = (Quality.EXACT, Quality.TOTAL, Quality.ESTIMATE, Quality.UNKNOWN)


def recorded(agent: Agent) -> str:
    """The versions that were compared with a provider's own count, and what of them is in the tests."""
    cases = [
        json.loads(path.read_bytes())
        for path in sorted((ROOT / "tests/agents" / agent.id).glob("*/expect.json"))
    ]
    if not agent.tried:
        return "its documented format" if cases else "–"
    real = [case for case in cases if case["version"]]  # the others were built from the format
    responses = sum(case["total"]["responses"] for case in real)
    logs = f"{len(real)} recorded log{'s' * (len(real) != 1)}"
    return f"{', '.join(agent.tried)}: {logs}, {responses} responses"


def table() -> str:
    agents = sorted(all_agents(), key=lambda a: (_ORDER.index(a.tokens), not a.tried, a.label.lower()))
    rows = [
        f"| {agent.label} (`{agent.id}`) | {agent.tokens} | {agent.missing.replace('|', '/') or '–'} | {recorded(agent)} |"
        for agent in agents
    ]
    return "\n".join(
        ["| agent | tokens | what its logs do not give | proven on |", "|---|---|---|---|", *rows]
    )


def line() -> str:
    def labels(some: Iterable[Agent]) -> str:
        return ", ".join(sorted((agent.label for agent in some), key=str.lower))

    logged = [agent for agent in all_agents() if agent.sources]
    proven, others = ([a for a in logged if bool(a.tried) is tried] for tried in (True, False))
    return (
        f"Agents, proven on their real logs: {labels(proven)}. From their documented formats: {labels(others)}."
        f" Their processes alone: {labels(a for a in all_agents() if not a.sources)}."
    )


def filled(text: str) -> str:
    for name, content in (("agents-line", line()), ("agents", f"\n{table()}\n")):
        pattern = re.compile(rf"(<!-- {name} -->).*?(<!-- /{name} -->)", re.DOTALL)
        assert pattern.search(text), f"README.md has no place for {name}"
        text = pattern.sub(lambda found, content=content: f"{found[1]}{content}{found[2]}", text)  # type: ignore[misc]
    return text


def main() -> None:
    old = README.read_text()
    new = filled(old)
    if "--check" in sys.argv[1:]:
        sys.exit("README.md: the table of agents is out of date; run: make agents" if new != old else 0)
    README.write_text(new)


if __name__ == "__main__":
    main()
