"""What the history is asked, and how long each answer takes: the lists and searches of `tokentop sessions` and view 3."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tokentop.answers.archive import Archive
from tokentop.nouns.history import Ask
from tokentop.store import searching

RUNS = 9
QUESTIONS: tuple[tuple[str, Ask], ...] = (
    ("all, by time", Ask()),
    ("all, by cost", Ask(sort="cost")),
    ("all, by tokens, upwards", Ask(sort="tokens", ascending=True)),
    ("the newest 50, flat", Ask(flat=True, limit=50)),
    ("grouped by day", Ask(group="day")),
    ("grouped by project", Ask(group="project")),
    ("grouped by model, by cost", Ask(sort="cost", group="model")),
    ("flky retry", Ask("flky retry")),
    ("fix the flaky retry test", Ask("fix the flaky retry test")),
    ("webhok signatrue", Ask("webhok signatrue")),
    ("a", Ask("a")),
    ("letters of a title: fxflkt", Ask("fxflkt")),
    ("nothing like it", Ask("xyzzyq plugh")),
    ("fix flaky, by cost", Ask("fix flaky", sort="cost")),
    ("agent:claude cost>5 proj:api", Ask("agent:claude cost>5 proj:api")),
    ("file:retry tool:bash", Ask("file:retry tool:bash")),
    ("model:opus took>2h !proj:web", Ask("model:opus took>2h !proj:web")),
    ("since:7d", Ask("since:7d")),
    ("~ret+ry", Ask("~ret+ry")),
    ("~s.k, no letter is certain", Ask("~s.k")),
    ("!agent:claude", Ask("!agent:claude")),
    ("kind:sub-agent", Ask("kind:sub-agent")),
    ("cwd:api branch:fix", Ask("cwd:api branch:fix")),
    ("outcome:?", Ask("outcome:?")),
    ("flat, by cost", Ask(sort="cost", flat=True)),
    ("grouped by agent, by tokens", Ask(sort="tokens", group="agent")),
)


def measured(folder: Path) -> Iterator[tuple[str, int, float]]:
    """(question, sessions found, median milliseconds) with the entries of one screen of 60 lines."""
    now_ms = int(time.time() * 1000)
    for name, ask in QUESTIONS:
        archive, took = Archive(folder, UTC, lambda: now_ms), []
        found = None
        for _ in range(RUNS):
            began_s = time.perf_counter()
            connection = archive._asking.open()
            found = searching.answer(
                connection, ask, UTC, now_ms
            )  # what `Archive.answer` keeps is not measured
            archive.entries(found.order[:60])
            took.append(1000 * (time.perf_counter() - began_s))
        archive.close()
        assert found is not None
        yield name, len(found.order), statistics.median(took)
