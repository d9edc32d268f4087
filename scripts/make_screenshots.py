"""Draws the screenshots of the README: the real screen on the invented fleet of the demo.

python scripts/make_screenshots.py [FOLDER]
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from tokentop.clock import now_ms
from tokentop.demo import DemoSource
from tokentop.runtime import DemoRuntime
from tokentop.ui.app import TokentopApp
from tokentop.ui.source import UiOptions

ROOT = Path(__file__).resolve().parent.parent
SHOTS: tuple[tuple[str, tuple[int, int], Sequence[str]], ...] = (
    ("live", (150, 44), ()),
    ("live-80x24", (80, 24), ()),
    ("detail", (170, 44), ("j", "j", "enter")),
    ("limits", (170, 50), ("4",)),
    ("terminate", (120, 36), ("j", "K")),
    ("filter", (120, 30), ("slash", *"agent:claude")),
    ("help", (120, 50), ("question_mark",)),
)


async def shoot(folder: Path, name: str, size: tuple[int, int], keys: Sequence[str]) -> None:
    source = DemoRuntime(DemoSource(7))
    app = TokentopApp(source, UiOptions())
    async with app.run_test(size=size, notifications=True) as pilot:
        await pilot.pause(2.0)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(0.3)
        await pilot.pause(1.5)
        (folder / f"{name}.svg").write_text(app.export_screenshot(title="tokentop"))
    source.stop()


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    for name, size, keys in SHOTS:
        asyncio.run(shoot(folder, name, size, keys))
        print(f"{folder / name}.svg at {now_ms()}")


if __name__ == "__main__":
    main()
