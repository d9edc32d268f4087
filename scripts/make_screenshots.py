"""Draws the screenshots of the README: the real screen on the invented fleet of the demo, at one afternoon.

python scripts/make_screenshots.py [FOLDER [NAME...]]
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from terminal_svg import svg

from tokentop.demo import DemoSource
from tokentop.runtime import DemoRuntime
from tokentop.runtime import demo as invented
from tokentop.ui.app import TokentopApp
from tokentop.ui.source import UiOptions

ROOT = Path(__file__).resolve().parent.parent
AT_MS = round(datetime(2026, 11, 20, 14, 26, tzinfo=UTC).timestamp() * 1000)
SHOTS: tuple[tuple[str, tuple[int, int], Sequence[str]], ...] = (
    ("live", (140, 46), ()),
    ("live-80x24", (80, 24), ("P", "enter")),
    ("detail", (170, 44), ("P", "enter")),
    ("limits", (170, 52), ("4",)),
    ("terminate", (120, 36), ("P", "K")),
)


async def shoot(folder: Path, name: str, size: tuple[int, int], keys: Sequence[str]) -> None:
    begin_s = time.monotonic()
    invented.now_ms = lambda: AT_MS + round((time.monotonic() - begin_s) * 1000)
    source = DemoRuntime(DemoSource(7))
    app = TokentopApp(source, UiOptions())
    async with app.run_test(size=size, notifications=True) as pilot:
        while not app.live.view.rows:  # the fleet is not invented yet
            await pilot.pause(0.1)
        await pilot.pause(2.0)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(0.3)
        await pilot.pause(1.5)
        (folder / f"{name}.svg").write_text(svg(app, "tokentop"))
    source.stop()


def main() -> None:
    os.environ["TZ"] = "UTC"
    time.tzset()
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    for name, size, keys in SHOTS:
        if not sys.argv[2:] or name in sys.argv[2:]:
            asyncio.run(shoot(folder, name, size, keys))
            print(folder / f"{name}.svg")


if __name__ == "__main__":
    main()
