"""Runs the real screen on a fake source in whatever terminal it is started in.

python -m tests.ui.driver [still|live|empty|hostile|crash|slow] [option=value ...]
"""

from __future__ import annotations

import random
import sys
import threading
import time

from msgspec.structs import replace

from tests.ui import build, hostile
from tokentop.nouns.actions import Action, Jump, KillPlan
from tokentop.nouns.picture import Row, Snapshot
from tokentop.procs.jump import attach
from tokentop.ui.run import run
from tokentop.ui.source import UiOptions


class LiveSource(build.FakeSource):
    """Changes some rates twice a second, until stopped."""

    def start(self, publish):  # type: ignore[no-untyped-def]
        super().start(publish)
        self._end = threading.Event()
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        assert self.publish is not None
        assert self.first is not None
        dice, current, begun, revision = random.Random(1), self.first, time.monotonic(), 1
        while not self._end.wait(0.5):
            rows = []
            for row in current.rows:
                if row.tree.tokens_per_min and dice.random() < 0.4:
                    rate = max(900.0, row.tree.tokens_per_min * dice.uniform(0.8, 1.25))
                    numbers = replace(
                        row.tree, tokens_per_min=rate, cost_nusd=row.tree.cost_nusd + 10_000_000
                    )
                    row = replace(row, tree=numbers, own=numbers, spark=(*row.spark[1:], rate))
                rows.append(row)
            revision += 1
            at_ms = build.NOW + int((time.monotonic() - begun) * 1000)
            current = replace(current, rows=tuple(rows), revision=revision, at_ms=at_ms)
            self.publish(current)

    def stop(self) -> None:
        self._end.set()
        super().stop()


class CrashSource(build.FakeSource):
    """Hands the screen something that it cannot draw, with a secret in a local variable."""

    def start(self, publish):  # type: ignore[no-untyped-def]
        secret = "sk-CANARY-1234567890"
        publish(replace(build.snapshot(), rows=(secret,)))


class SlowSource(build.FakeSource):
    """Never finishes to start: what is painted is painted without it."""

    def start(self, publish):  # type: ignore[no-untyped-def]
        time.sleep(30)

    def plan(self, row: Row, action: Action) -> KillPlan:
        time.sleep(30)
        return super().plan(row, action)


class LendSource(build.FakeSource):
    """Its agents are in a tmux of their own; here a small program stands for the client that shows it."""

    def jump(self, row: Row) -> Jump:
        argv = ("sh", "-c", "printf 'LENT-%s ' terminal; read answer; printf 'GOT-%s ' \"$answer\"")
        return Jump("tmux api:1.0; detach to come back", done=True, attach=argv)

    def attach(self, argv: tuple[str, ...]) -> int:
        return attach(argv)


def many(count: int) -> Snapshot:
    rows = tuple(build.row(f"k{at:05d}", rate=at * 10.0, burn=at / 100, cost=at / 10) for at in range(count))
    return build.snapshot(rows)


def source_of(kind: str) -> build.FakeSource:
    if kind == "live":
        return LiveSource(build.snapshot())
    if kind == "empty":
        return build.FakeSource(build.snapshot(rows=(), alerts=()))
    if kind == "hostile":
        return hostile.HostileSource()
    if kind == "crash":
        return CrashSource()
    if kind == "lend":
        return LendSource(build.snapshot())
    if kind == "slow":
        return SlowSource()
    if kind == "many":
        return LiveSource(many(500))
    return build.FakeSource(build.snapshot())


def main() -> int:
    kind = sys.argv[1] if len(sys.argv) > 1 else "live"
    given = dict(word.split("=", 1) for word in sys.argv[2:])
    options = UiOptions(
        theme=given.get("theme", ""),
        ascii=given.get("ascii") == "1",
        mouse=given.get("mouse") != "0",
        inline=int(given.get("inline", "0")),
        read_only=given.get("read_only") == "1",
        log_path=given.get("log", "/tmp/tokentop.log"),
    )
    return run(source_of(kind), options)


if __name__ == "__main__":
    sys.exit(main())
