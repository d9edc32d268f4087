"""Every role can be read in every theme, and states stay apart without colours and for colour-blind eyes."""

from __future__ import annotations

from itertools import combinations

import pytest
from rich.style import Style
from textual.color import Color
from textual.theme import BUILTIN_THEMES

from tests.ui import build
from tests.ui.colour import EYES, Linear, contrast, distance, seen_by
from tests.ui.pilot import lines, screen
from tokentop.nouns.sessions import State
from tokentop.ui.glyphs import LOOKS
from tokentop.ui.paint import palette_of
from tokentop.ui.run import for_terminal
from tokentop.ui.source import UiOptions
from tokentop.ui.theme import DEFAULT_THEME, THEMES, Palette

CALM = (
    "dim",
    "faint",
    "head",
    "idle",
    "unknown",
    "done",
    "inferred",
    "spark",
    "graph0",
    "graph1",
    "graph2",
    "graph3",
)
TEXT = ("", "strong", "muted", "title", "permission", "input", "error", "limited", "orphan", "tool", "working",
        "frozen", "warm", "hot", "key", "good")  # fmt: skip
OWN = tuple(theme.name for theme in THEMES)
COLOUR_BLIND = ("okabe-ito-dark", "okabe-ito-light")
APART = 10.0  # CIE 1976; 2.3 is just noticeable
SHOWN = tuple(state for state in LOOKS if state not in (State.IDLE, State.UNKNOWN, State.DONE))


def seen(style: Style) -> tuple[Color, Color]:
    """Colour of the letters and of the ground."""
    assert style.color is not None
    assert style.bgcolor is not None
    front, back = Color.from_rich_color(style.color), Color.from_rich_color(style.bgcolor)
    return (back, front) if style.reverse else (front, back)


async def palettes(theme: str) -> list[Palette]:
    """The palettes of the grounds that text stands on: screen, drawer and dialogs, footer."""
    async with screen(options=UiOptions(theme=theme)) as (app, pilot, _):
        await pilot.pause()
        live = app.live
        await pilot.press("enter")
        await pilot.pause()
        return [palette_of(widget) for widget in (live.table, live.detail, live.key_footer)]


@pytest.mark.parametrize("theme", [*OWN, *sorted(set(BUILTIN_THEMES) - {"ansi-dark", "ansi-light"})])
async def test_every_role_has_contrast_on_every_ground_and_on_the_cursor_line(theme: str) -> None:
    least_text = 7.0 if theme.startswith("high-contrast") else 4.5
    for palette in await palettes(theme):
        for role in (*TEXT, *CALM):
            least = 3.0 if role in CALM else least_text
            if role in ("", "strong", "title") and theme not in OWN:
                continue  # the theme's own foreground on its own ground
            for style in (palette[role], palette.selected(role)):
                assert contrast(*seen(style)) >= least - 0.005, (theme, role, str(style))


def what_stands_out(style: Style) -> tuple[bool, Color]:
    """A state is told by its letters, or by its ground where it has one of its own."""
    front, back = seen(style)
    dark_ground = style.reverse or contrast(front, Color.parse("#1C1C1C")) < 1.3
    return dark_ground, back if dark_ground else front


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("theme", COLOUR_BLIND)
async def test_states_stay_apart_for_colour_blind_eyes(theme: str, eyes: str) -> None:
    """Orphan and error share their colour on purpose; the orphan is underlined."""
    for palette in await palettes(theme):
        found: dict[State, tuple[tuple[object, ...], Linear]] = {}
        for state in SHOWN:
            style = palette[state.value]
            filled, colour = what_stands_out(style)
            found[state] = (filled, bool(style.underline)), seen_by(eyes, colour)
        for one, other in combinations(SHOWN, 2):
            same_form = found[one][0] == found[other][0]
            apart = distance(found[one][1], found[other][1])
            assert not same_form or apart >= APART, (theme, one, other, apart)


def test_a_colour_means_one_thing_and_red_is_for_errors_and_orphans_only() -> None:
    from tokentop.ui import theme as own

    for colours in (own._DARK, own._LIGHT, own._ANSI, own._ANSI_LIGHT):
        reds = {role for role, text in colours.items() if text.split(" ")[-1] == colours["error"]}
        assert reds == {"error", "orphan"}


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("theme", [*OWN, "ansi-dark", "ansi-light", "no colour"])
async def test_every_state_is_told_by_glyph_and_word(theme: str, ascii_only: bool) -> None:
    """Conformance 10."""
    rows = tuple(build.row(f"r{at:02d}", state=state, title=f"agent {at}") for at, state in enumerate(LOOKS))
    options = UiOptions(
        theme="" if theme == "no colour" else theme, no_color=theme == "no colour", ascii=ascii_only
    )
    async with screen(build.FakeSource(build.snapshot(rows)), options=options) as (app, _, _):
        shown = lines(app)
        told = set()
        for at, (_state, look) in enumerate(LOOKS.items()):
            line = next(line for line in shown if f"agent {at} " in line)
            glyph = look.ascii if ascii_only else look.glyph
            assert line[2:].startswith(f"{glyph} {look.word}"), line
            told.add(line[2:14])
        assert len(told) == len(LOOKS)
        if ascii_only:
            assert all(line.isascii() for line in shown)


async def test_a_theme_of_the_users_environment_is_kept_and_ours_is_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TEXTUAL_THEME", raising=False)
    async with screen() as (app, _, _):
        assert app.theme == DEFAULT_THEME
    async with screen(options=UiOptions(theme="no-such-theme")) as (app, _, _):
        assert app.theme in app.available_themes


def test_a_linux_console_gets_its_own_sixteen_colours_and_7_bits() -> None:
    """Conformance 12."""
    console = for_terminal(UiOptions(), {"TERM": "linux", "LANG": "C.UTF-8"})
    assert (console.theme, console.ascii) == ("ansi-dark", True)
    assert for_terminal(UiOptions(theme="nord"), {"TERM": "linux"}).theme == "nord"
    plain = for_terminal(UiOptions(), {"TERM": "xterm-256color", "LANG": "C"})
    assert (plain.theme, plain.ascii) == ("", True)
