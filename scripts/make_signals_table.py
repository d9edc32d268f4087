#!/usr/bin/env python3
"""Write docs/signals.md from the records of the last `make e2e-agents`.

scripts/make_signals_table.py [FOLDER]      FOLDER: .cache/signals
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tokentop.agents import all_agents  # noqa: E402
from tokentop.agents.processes import UUID  # noqa: E402

Record = dict[str, Any]
NOT_TRIED = "not tried"
IN_PROJECT = ("aider",)  # its log is read only where its process or its project is known
HEAD = """\
# What the actions do to each client

Seen on Linux with the released clients below, each against a provider that keeps a ledger, in two moments: while \
a tool runs (a shell that waits), and in the middle of a streamed answer. Each case is a run of its own in a fresh \
HOME; the actions are those of `tokentop kill`, which are those of the keys. This file is written by `make \
signals` from the records of `make e2e-agents`, which also asserts what holds for all of them:

- a client that was terminated or killed is gone, with its launcher, its shells and its tools; what stays is a \
service that other sessions share, and it is named below;
- a tool that outlives a stopped turn is named in the receipt;
- every process that the receipt names as ended has ended, and every process that ended is named;
- the provider is asked nothing after the receipt.

"""
ENDED = """
*Signals* are those to the client itself, and how long it took until all was verified. *Left behind* is what \
outlived the client and was ended by the sweep; a bare `kill` would have left it running. *Usage*: in a tool \
call, whether the answer that asked for the tool, which was billed in full, is in the log; in a stream, what the \
log has of the answer that was cut. What is left behind differs a little from run to run: some processes end \
with the one above them. *Last record* is the newest line of its log, where that is a log of lines. \
*Resumed*: whether a headless run with the session's id goes on with what was said before.
"""

INTERRUPTED = """
## The turn of a one-shot run stopped

Such a run ends with its turn. The clients below get INT and nothing harder, because they then write what they have; \
for all others the action is refused, and says that terminating is what there is.
"""
SCREEN = """
## The turn stopped on the client's own screen

In tmux, by the keys that the client itself names (Escape; OpenCode, Kilo and Copilot twice; Aider Ctrl-C) into its \
own pane, Codex by a request to its daemon. The screen lives on in every case. *Leaves*: what the client let run on, \
because it ended only the shell and not what the shell had moved into a process group of its own (here `timeout` and \
what it runs), or ended nothing; the action ended it, and the time is that of the whole action. In the same runs it \
was first frozen for three seconds and thawed, and at last terminated or killed in the middle of another turn.

"""
SCREEN_END = """
What became of the client when it was {verb} of the next turn. *Left behind* was ended by the sweep. *Service*: what \
stays, because other sessions share it. *Terminal*: what the shell below finds; `reset` puts a terminal in order that \
an ended program could not. *Resumed* is by a headless run, which for Codex cannot take a session that the daemon \
still holds.

"""
CLOSED = """
## The terminal closed in a tool call

The pane of the client's own screen was closed while its tool ran (the clients that were tried).

"""
NO_LOGIN = "its screen ends at once: it has its key checked by its vendor first"
NO_SCREEN = {
    **{("droid", moment): NO_LOGIN for moment in ("tool", "stream")},
    ("aider", "tool"): "it has no tools",
}


def load(folder: Path) -> dict[tuple[str, str, str], Record]:
    records = [json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))]
    return {(r["agent"], r["moment"], r["what"]): r for r in records}


def clients() -> list[str]:
    """In the order of the installer's table."""
    rows = [line.split() for line in (ROOT / "tests/e2e/install_clients.sh").read_text().splitlines()]
    return [row[0] for row in rows if len(row) == 5 and row[1] in ("npm", "pip")]


def names(items: list[str]) -> str:
    """`shell, shell, tool` as `2 shells, tool`."""
    counted = [(item, items.count(item)) for item in dict.fromkeys(items)]
    return ", ".join(item if count == 1 else f"{count} {item}s" for item, count in counted)


def usage_in_tool(usage: Record) -> str:
    if not usage["billed_calls"]:
        return "nothing was billed"
    if usage["logged_calls"] >= usage["billed_calls"]:
        return "kept"
    return "an unknown call" if usage["unknown_calls"] else "lost"


def usage_in_stream(usage: Record) -> str:
    if not usage["cut_calls"]:
        return "nothing was cut"
    if usage["logged_calls"] > usage["billed_calls"]:
        billed = usage["billed_output"] + usage["cut_output"]
        return f"{usage['logged_output']:,} of {billed:,} output tokens"
    return "an unknown call" if usage["unknown_calls"] else "lost"


def ended(record: Record | None, gap: Record | None) -> list[str]:
    """Signals, left behind, usage, last record, resumed."""
    if gap:
        return [gap["not_tried"], *["–"] * 4]
    if not record:
        return [NOT_TRIED, *["–"] * 4]
    in_tool = record["moment"] == "tool"
    usage = usage_in_tool(record["usage"]) if in_tool else usage_in_stream(record["usage"])
    if record["agent"] in IN_PROJECT:
        usage = "not compared"
    signals = f"{' '.join(record['signals'])}, {record['took_ms'] / 1000:.1f} s"
    if record["calls_during"]:
        signals += f"; {record['calls_during']} more call meanwhile"
    return [signals, names(record["swept"]) or "nothing", usage, record["last"] or "–", record["resume"]]


def paused(record: Record | None, gap: Record | None) -> list[str]:
    """Tool while frozen, calls while frozen, after the thaw, usage."""
    if gap:
        return [gap["not_tried"], *["–"] * 3]
    if not record:
        return [NOT_TRIED, *["–"] * 3]
    usage = record["usage"]
    whole = usage["logged_calls"] == usage["billed_calls"] and not usage["cut_calls"]
    words = f"{usage['logged_calls']} of {usage['billed_calls'] + usage['cut_calls']} calls"
    tool = ("runs on" if record["tool_runs_on"] else "waits") if record["moment"] == "tool" else "–"
    return [
        tool,
        str(record["calls_while_frozen"]),
        record["goes_on"],
        "not compared" if record["agent"] in IN_PROJECT else "all" if whole else words,
    ]


def screen(record: Record | None) -> str:
    if not record:
        return NOT_TRIED
    if record["result"] == "refused":
        return f"refused: {record['detail']}"
    what = "its tool" if record["moment"] == "tool" else "the answer"
    stopped = f"{what} {'ends' if record['stopped'] else 'goes on'}"
    if record.get("turn_left"):
        stopped = f"it leaves {names(record['turn_left'])}, ended in {record['turn_took_ms'] / 1000:.1f} s"
    if record.get("turn_lives"):
        stopped += f"; {names(record['turn_lives'])} runs on"
    return f"{stopped}; {'takes the next prompt' if record['answers'] else 'takes no further prompt'}"


def screen_end(record: Record | None) -> list[str]:
    """Frozen and thawed, signals, left behind, service, terminal, resumed."""
    if not record or "terminal" not in record:
        return [NOT_TRIED, *["–"] * 5]
    signals = f"{' '.join(record['signals'])}, {record['took_ms'] / 1000:.1f} s"
    if not record["ended_in_turn"]:
        signals += "; between turns"
    return [
        record["frozen"],
        signals,
        names(record["swept"]) or "nothing",
        ", ".join(record["services"]) or "–",
        record["terminal"],
        UUID.sub("…", record["resume"]),
    ]


def closed(record: Record) -> str:
    """What a closed terminal came to."""
    if record["in_daemon"]:
        return "its turn goes on in the daemon and stays a row; `K` stops it there"
    if not record["left"]:
        return "it ends its tool and itself"
    return f"it ends; {names(record['left'])} outlive it, shown as an orphan and ended by `X`"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in lines) + "\n"


def page(found: dict[tuple[str, str, str], Record]) -> str:
    labels = {agent.id: agent.label for agent in all_agents()}
    versions = {agent: record["version"] for (agent, _, _), record in found.items()}
    order = clients()
    out = [HEAD, table(["client", "version"], [[labels[a], versions.get(a, NOT_TRIED)] for a in order])]

    def label(agent: str) -> str:
        return labels[agent]

    def of(agent: str, moment: str, what: str) -> tuple[Record | None, Record | None]:
        return found.get((agent, moment, what)), found.get((agent, moment, "all"))

    out.append(ENDED)
    moments = (("tool", "in a tool call"), ("stream", "in the middle of an answer"))
    head = ["client", "signals", "left behind", "usage", "last record", "resumed"]
    for what, verb in (("term", "Terminated"), ("kill", "Killed")):
        for moment, where in moments:
            rows = [[label(a), *ended(*of(a, moment, what))] for a in order]
            out.append(f"\n## {verb} {where}\n\n{table(head, rows)}")
    out.append(INTERRUPTED)
    for moment, where in moments:
        rows = [
            [label(a), *ended(*of(a, moment, "interrupt"))]
            for a in order
            if (a, moment, "interrupt") in found
        ]
        out.append(f"\n### {where[:1].upper()}{where[1:]}\n\n{table(head, rows)}")
    head = ["client", "its tool", "calls begun while frozen", "after the thaw", "calls in the log"]
    for moment, where in moments:
        rows = [[label(a), *paused(*of(a, moment, "pause"))] for a in order]
        out.append(f"\n## Frozen for three seconds and thawed, {where}\n\n{table(head, rows)}")
    out.append(SCREEN)
    rows = [
        [label(a), *(NO_SCREEN.get((a, m)) or screen(found.get((a, m, "screen"))) for m, _ in moments)]
        for a in order
    ]
    out.append(table(["client", *(where for _, where in moments)], rows))
    head = ["client", "frozen and thawed before", "signals", "left behind", "service", "terminal", "resumed"]
    for moment, heading in (
        ("tool", "terminated in a tool call"),
        ("stream", "killed in the middle of an answer"),
    ):
        rows = []
        for a in order:
            why = NO_SCREEN.get((a, moment))
            rows.append(
                [label(a), *([why, *["–"] * 5] if why else screen_end(found.get((a, moment, "screen"))))]
            )
        out.append(f"\n## The screen {heading}\n{SCREEN_END.format(verb=heading)}{table(head, rows)}")
    rows = [[label(a), closed(found[a, "tool", "closed"])] for a in order if (a, "tool", "closed") in found]
    out.append(CLOSED + table(["client", "what became of it"], rows))
    return "".join(out)


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".cache" / "signals"
    found = load(folder)
    if not found:
        print(f"no records in {folder}: `make e2e-agents` makes them")
        return 1
    (ROOT / "docs" / "signals.md").write_text(page(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
