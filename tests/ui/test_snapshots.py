"""Every screen and dialog at three sizes, dark, light and without colours, against what is kept in `snapshots/`.

`make snapshots` writes what is new or has changed. Where a picture differs, the old and the new one are
written as SVG to `.cache/snapshots/`; `python -m tests.ui.test_snapshots FOLDER` draws all kept ones.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot
from textual.widgets import Input

from tests.ui import picture
from tests.ui.pilot import screen, until
from tests.ui.screens import SHOTS, SIZES, Shot
from tokentop.ui.app import TokentopApp
from tokentop.ui.screens.live import LiveScreen

ROOT = Path(__file__).resolve().parents[2]
KEPT = Path(__file__).parent / "snapshots"
SEEN = ROOT / ".cache" / "snapshots"
UPDATE = "TOKENTOP_SNAPSHOTS"  # set to `write`: keep what is seen
LOOKS = {"dark": "okabe-ito-dark", "light": "okabe-ito-light", "mono": "okabe-ito-dark"}


@pytest.fixture(autouse=True)
def _frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands at the snapshot's time, toasts stay, no colour setting of this machine counts."""
    monkeypatch.setattr(LiveScreen, "now_ms", lambda self: self.snapshot.at_ms if self.snapshot else 0)
    told = TokentopApp.notify
    monkeypatch.setattr(
        TokentopApp, "notify", lambda self, *words, **how: told(self, *words, **{**how, "timeout": 600})
    )
    monkeypatch.setenv("TZ", "UTC")
    for name in ("NO_COLOR", "TEXTUAL_THEME", "TEXTUAL_FILTERS"):
        monkeypatch.delenv(name, raising=False)


async def go_there(app: TokentopApp, pilot: Pilot[str], shot: Shot) -> None:
    if shot.cursor:
        app.live.go_to(shot.cursor)
    for key in shot.keys:
        if key.startswith("see:"):  # a text that comes with an answer, before the next key is for it
            await until(pilot, lambda text=key[4:]: text in "\n".join(picture.take(app).text))  # type: ignore[misc]
            continue
        await until(pilot, lambda: not app.commander.asking or getattr(app.screen, "seen", False))
        await pilot.press(key)
    await until(pilot, lambda: shot.shows in "\n".join(picture.take(app).text))
    await settled(app, pilot)


async def settled(app: TokentopApp, pilot: Pilot[str]) -> picture.Picture:
    """What is on the screen once nothing changes any more."""
    before, same = picture.take(app), 0
    while same < 2:
        await pilot.pause(0.02)
        app.live.redraw()
        for field in app.screen.query(Input):
            field.cursor_blink, field._cursor_visible = False, field.has_focus
        await pilot.pause()
        now = picture.take(app)
        same = same + 1 if now == before else 0
        before = now
    return before


async def looks_of(shot: Shot, size: tuple[int, int]) -> dict[str, picture.Picture]:
    """The same screen dark, light, then without colours; changed while it is open, where that can happen."""
    found = {}
    for first in LOOKS if shot.apart else ["dark"]:
        options = replace(shot.options, theme=LOOKS[first], no_color=first == "mono")
        async with screen(shot.source(), size=size, options=options) as (app, pilot, _):
            shot.before(app)
            await go_there(app, pilot, shot)
            for look in [first] if shot.apart else LOOKS:
                if look == "mono" and not shot.apart:
                    app.to_monochrome()
                app.theme = LOOKS[look]
                await pilot.pause()
                found[look] = await settled(app, pilot)
    return found


def grounds(of: picture.Picture) -> set[str]:
    """The background colours in a picture."""
    return {run[1].rpartition(" on ")[2] for line in of.lines for run in line if " on " in run[1]}


def name_of(shot: Shot, size: tuple[int, int]) -> str:
    return f"{shot.name}-{size[0]}x{size[1]}"


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("shot", SHOTS, ids=lambda shot: shot.name)
async def test_the_screen_looks_as_it_did(shot: Shot, size: tuple[int, int]) -> None:
    found = await looks_of(shot, size)
    assert not grounds(found["dark"]) & grounds(found["light"]), "colours of the theme from before"
    name = name_of(shot, size)
    file = KEPT / f"{name}.txt"
    content = picture.write(found)
    assert picture.read(content) == found, "the text form loses something"
    if os.environ.get(UPDATE) == "write":
        file.write_text(content)
        return
    if not file.exists():
        pytest.fail(f"{name} has no snapshot: look at {drawn(name, 'new', found)}, then `make snapshots`")
    kept = picture.read(file.read_text())
    if kept != found:
        pytest.fail(complaint(name, kept, found), pytrace=False)


def complaint(name: str, kept: dict[str, picture.Picture], found: dict[str, picture.Picture]) -> str:
    """What differs, and where to look at it."""
    changed = [look for look in found if kept.get(look) != found[look]]
    lines = picture.differences(kept[changed[0]], found[changed[0]]) if changed[0] in kept else ["new look"]
    paths = [drawn(name, which, {changed[0]: each[changed[0]]}) for which, each in
             (("old", kept), ("new", found)) if changed[0] in each]  # fmt: skip
    return "\n".join(
        [
            f"{name} looks different ({', '.join(changed)}):",
            *lines,
            *paths,
            "if that is meant: make snapshots",
        ]
    )


def drawn(name: str, which: str, pictures: dict[str, picture.Picture]) -> str:
    """The SVGs of these pictures; returns the path of the first."""
    SEEN.mkdir(parents=True, exist_ok=True)
    paths = []
    for look, each in pictures.items():
        paths.append(SEEN / f"{name}-{look}.{which}.svg")
        paths[-1].write_text(picture.svg(each, f"{name} {look}"))
    return str(paths[0])


def test_every_kept_snapshot_belongs_to_a_screen() -> None:
    wanted = {f"{name_of(shot, size)}.txt" for shot in SHOTS for size in SIZES}
    spare = {path.name for path in KEPT.glob("*.txt")} - wanted
    if os.environ.get(UPDATE) == "write":
        for name in spare:
            (KEPT / name).unlink()
        return
    assert not spare, "no screen of this name; `make snapshots` removes it"


def test_a_difference_is_named_by_line_and_by_style() -> None:
    old = picture.Picture(((("abc", "bold"),), (("x", "none"), ("y", "red"))))
    new = picture.Picture(((("abd", "bold"),), (("x", "none"), ("y", "green"))))
    found = picture.differences(old, new)
    assert found == ["line 1 was 'abc'", "line 1 is  'abd'", "line 2, 'y': was red, is green"]
    assert picture.read(picture.write({"dark": old, "light": new})) == {"dark": old, "light": new}
    assert picture.svg(old, "t") == picture.svg(old, "t") != picture.svg(new, "t")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for kept_file in sorted(KEPT.glob("*.txt")):
        for shown, one in picture.read(kept_file.read_text()).items():
            (folder / f"{kept_file.stem}-{shown}.svg").write_text(
                picture.svg(one, f"{kept_file.stem} {shown}")
            )
