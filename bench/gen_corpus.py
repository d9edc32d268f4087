#!/usr/bin/env python3
"""Make a deterministic corpus of agent logs, and say what its exact totals are.

    gen_corpus.py --out DIR --preset c500        the named corpora are in PRESETS

DIR must be empty or new; afterwards it can serve as the HOME of a tool under test:

    DIR/.claude/projects/<slug>/<session>.jsonl, <session>/subagents/agent-<hex>.jsonl
    DIR/.codex/sessions/YYYY/MM/DD/rollout-<time>-<uuid>.jsonl
    DIR/expected.json      exact totals, by model and by UTC day, and what the usual wrong readings give

A preset's SHA-256 is checked, so that numbers of different machines belong to the same bytes. Inside:
responses over several lines with the same id and a growing output; a forked session that repeats another
file's lines; usage objects in tool results and quoted in tool output; synthetic messages; token counts that
are null or repeated.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from corpus_base import Book
from corpus_claude import write_dense, write_sessions
from corpus_codex import Rollout
from corpus_text import file_sizes

# name: (megabytes of mixed logs, dense responses, small files, seed, SHA-256)
PRESETS = {
    "c50": (50, 0, 0, 1, "0732902e741557c7e3261d8aa065b8fc4a017781f794da1cd2b77d87743e2e8a"),
    "c500": (440, 0, 0, 2, "6821e4ab759ebf9f5a4b53ade21d991a374d11038683425d6ebeee988a061be5"),
    "c2000": (1800, 0, 0, 3, "0f880312540625838ed00ffa6990b31f0ae72309a4c863469d096f6ed08b05a2"),
    "dense500k": (0, 500_000, 0, 4, "a5279058fefa662508991977512975a848108fa61c1e13f06b5d1bfd2da71217"),
    "files5k": (0, 0, 5_000, 5, "fb1bb3ead9a3950dbc32f7282ab15bf62ab995344a4711abe0fea30c221923a1"),
}
CODEX_SHARE = 0.25
LINES_PER_SMALL_FILE = 5


def generate(out: Path, preset: str) -> dict[str, Any]:
    """Write a corpus under `out`; returns the content of its expected.json."""
    mb, dense, tree, seed, want = PRESETS[preset]
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise SystemExit(f"{out} is not empty")
    book = Book(out, seed, end="2026-11-20", days=25)
    if dense:
        write_dense(book, dense)
    elif tree:
        write_dense(book, tree * LINES_PER_SMALL_FILE, LINES_PER_SMALL_FILE, subagents=True)
    else:
        total = mb * 10**6
        write_sessions(book, file_sizes(int(total * (1 - CODEX_SHARE)), book.rng))
        for size in file_sizes(int(total * CODEX_SHARE), book.rng):
            Rollout(book).write(size)
    expected = {"preset": preset} | book.expected()
    if expected["sha256"] != want:
        raise SystemExit(f"{preset}: sha256 {expected['sha256']}, want {want}: numbers would not compare")
    (out / "expected.json").write_text(json.dumps(expected, indent=1))
    return expected


def cached(folder: Path, preset: str) -> Path:
    """The corpus under `folder`, made when it is not there yet."""
    out = folder / preset
    if not (out / "expected.json").exists():
        print(f"making the corpus {preset} in {out}", file=sys.stderr)
        generate(out, preset)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", choices=PRESETS, default="c50")
    args = parser.parse_args()
    expected = generate(args.out, args.preset)
    print(json.dumps({key: expected[key] for key in ("sha256", "buckets", "stats")}, indent=1))


if __name__ == "__main__":
    main()
