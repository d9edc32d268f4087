"""What all generators share: the digest, the log file, and the totals that a right reader must find."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

from corpus_text import Text

Counts = defaultdict[str, int]
OF_CLAUDE = (
    *("events", "input", "output", "cache_read", "cache_5m", "cache_1h", "first_wins_output"),
    *("naive_input", "naive_output", "naive_cache_read", "naive_cache_creation"),
)
OF_CODEX = (
    *("events", "input_incl_cached", "cached", "output", "reasoning"),
    *("naive_input", "naive_output"),
)


def counts() -> Counts:
    return defaultdict(int)


class Book:
    """The corpus under construction: random source, bytes written, exact and naive totals."""

    def __init__(self, out: Path, seed: int, end: str, days: int) -> None:
        self.rng = random.Random(seed)
        self.text = Text(self.rng)
        self.out = out
        self.end = int(dt.datetime.fromisoformat(end).replace(tzinfo=dt.UTC).timestamp() * 1000)
        self.span = days * 86_400_000
        self.models: dict[str, defaultdict[str, Counts]] = {
            "claude": defaultdict(counts),
            "codex": defaultdict(counts),
        }
        self.days: defaultdict[str, Counts] = defaultdict(counts)
        self.stats = counts()
        self.digest = hashlib.sha256()
        self.pending_fork: list[bytes] = []

    def start_time(self) -> int:
        """Epoch milliseconds, more often near the end of the period."""
        return self.end - int(self.span * self.rng.random() ** 1.5) - 7_200_000

    def expected(self) -> dict[str, Any]:
        """The content of expected.json. Buckets are disjoint; reasoning is inside output."""
        claude, codex = self.models["claude"].values(), self.models["codex"].values()
        c = {k: sum(row[k] for row in claude) for k in OF_CLAUDE}
        x = {k: sum(row[k] for row in codex) for k in OF_CODEX}
        c["total"] = c["input"] + c["output"] + c["cache_read"] + c["cache_5m"] + c["cache_1h"]
        x["total"] = x["input_incl_cached"] + x["output"]
        buckets = {
            "events": c["events"] + x["events"],
            "input": c["input"] + x["input_incl_cached"] - x["cached"],
            "output": c["output"] + x["output"],
            "cache_read": c["cache_read"] + x["cached"],
            "cache_write": c["cache_5m"] + c["cache_1h"],
            "reasoning": x["reasoning"],
            "total": c["total"] + x["total"],
        }
        stats = dict(self.stats)
        stats["bytes"] = sum(stats.get(f"{k}_bytes", 0) for k in ("claude", "codex"))
        return {
            "sha256": self.digest.hexdigest(),
            "buckets": buckets,
            "totals": {"claude": c, "codex": x},
            "by_model": {agent: {m: dict(r) for m, r in rows.items()} for agent, rows in self.models.items()},
            "by_day": {day: dict(v) for day, v in sorted(self.days.items())},
            "stats": stats,
        }


class Log:
    """One log file: counts its bytes and lines, and adds path and contents to the corpus digest."""

    def __init__(self, book: Book, path: Path, kind: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.book, self.path, self.kind, self.size = book, path, kind, 0
        self.file = path.open("wb", 1 << 20)
        book.digest.update(path.relative_to(book.out).as_posix().encode())

    def line(self, data: bytes) -> None:
        self.file.write(data)
        self.book.digest.update(data)
        self.size += len(data)
        self.book.stats[f"{self.kind}_lines"] += 1

    def close(self, ms: int) -> None:
        self.file.close()
        os.utime(self.path, (min(ms, self.book.end) / 1000,) * 2)
        self.book.stats[f"{self.kind}_bytes"] += self.size
        self.book.stats[f"{self.kind}_files"] += 1
        self.book.stats["files"] += 1
