"""Full-height pages of text over the live screen: help, problems."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from tokentop.advice import ADVICE
from tokentop.nouns.facts import Diagnostic
from tokentop.ui import filtering
from tokentop.ui.columns import COLUMNS
from tokentop.ui.gate import guard
from tokentop.ui.glyphs import LOOKS, safe
from tokentop.ui.keys import BY_ID, KEYS, Key, shown_as
from tokentop.ui.over import Over
from tokentop.ui.paint import fit, palette_of
from tokentop.ui.screens.leafing import LEAVES, Leafing

Lines = Sequence[Sequence[tuple[str, str]]]  # lines of (text, role)


class Page(Over[str | None], Leafing[str | None]):
    """A scrollable text. Esc, q, Enter or the key that opened it closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "close", "close", show=False),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]
    DEFAULT_CSS = """
    Page { align: center middle; background: $background 55%; }
    Page VerticalScroll {
        width: 94%; max-width: 110; height: 94%; padding: 0 1; background: $surface;
        border: round $primary; scrollbar-size-vertical: 1;
    }
    Page Static { height: auto; }
    """

    def __init__(self, opener: str, build: Callable[[int], Lines]) -> None:
        """`opener` is the id of its key; `build` gives the lines for a width in cells."""
        super().__init__()
        self._bindings.bind(BY_ID[opener].keys, "close", show=False)
        self._build = build

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(id="page", markup=False)

    def on_mount(self) -> None:
        self._show()
        self.app.theme_changed_signal.subscribe(self, lambda _: self._show())

    def on_resize(self) -> None:
        self._show()

    def _show(self) -> None:
        width = max(20, min(110, int(self.app.size.width * 0.94)) - 5)
        palette = palette_of(self.query_one(VerticalScroll))
        out = Text(no_wrap=True, overflow="crop")
        for line in self._build(width):
            for piece, role in line:
                out.append(guard(piece), style=palette[role])
            out.append("\n")
        self.query_one("#page", Static).update(out)

    def action_close(self) -> None:
        self.dismiss(None)


class LongPage(Page):
    """A page that is more than one screen as a rule."""

    BINDINGS: ClassVar[list[BindingType]] = [*LEAVES]


class HelpPage(LongPage):
    """The keys; one that does nothing to a process closes the page and does what it says.

    Returns the action of that key, None when the page was only closed.
    """

    def __init__(self, build: Callable[[int], Lines]) -> None:
        super().__init__("help", build)
        for key in KEYS:
            if key.id != "help" and key.palette and not key.acts:
                self._bindings.bind(key.keys, f"leave('{key.id}')", show=False)

    def action_leave(self, key_id: str) -> None:
        self.dismiss(BY_ID[key_id].action)


def help_lines(keys: Sequence[Key], width: int, ascii_only: bool) -> Lines:
    """Keys, states, columns and the filter, from the lists that drive the screen."""
    lines: list[list[tuple[str, str]]] = [
        [
            ("Keys", "title"),
            ("   press one; w explains each column; Space scrolls, Esc closes", "dim"),
        ],
        [],
    ]
    for group, title in (("time", "time"), ("move", "move"), ("look", "look"), ("sort", "sort"), ("act", "act"),
                         ("program", "program")):  # fmt: skip
        entries = [(shown_as(key.shown, ascii_only), key.help) for key in keys if key.group == group]
        lines += [list(line) for line in _columns(title, entries, 12, width)]
    lines += [[("States", "title"), ("   ~ marks what was inferred", "dim")], []]
    for state, look in LOOKS.items():
        lines.append(
            [(f"  {look.glyph} ", state.value), (f"{look.word:<12}", state.value), (look.help, "muted")]
        )
    lines += [[], [("Columns", "title"), ("   narrow screens show fewer, w chooses", "dim")], []]
    for column in COLUMNS:
        name = column.header or "(graph)"
        lines.append([(f"  {name:<10}", "key"), (f"{column.unit:<11}", "dim"), (column.help, "muted")])
    lines += [[], [("Filter", "title")], []]
    for term, meaning in filtering.HELP:
        lines.append([(f"  {term}", "key")])
        lines.append([(f"      {meaning}", "muted")])
    lines += [
        [],
        [("Figures", "title")],
        [],
        [("  ? unknown   – does not apply   $? no price   ≈ estimated   ≥ at least   0 zero", "muted")],
        [("  today $212 → $388 ($341–447): spent, projected to midnight, 80 % interval", "muted")],
        [("  Shift + drag selects text while the mouse is on; --no-mouse switches it off", "muted")],
    ]
    return lines


def _columns(title: str, entries: Sequence[tuple[str, str]], key_width: int, width: int) -> Lines:
    """Entries in two columns where there is room."""
    half = (width - 2) // 2
    count = 2 if half >= 46 else 1
    room = half if count == 2 else width - 2
    height = -(-len(entries) // count)
    lines: list[list[tuple[str, str]]] = []
    for at in range(height):
        line: list[tuple[str, str]] = [("  ", "")]
        for shown, meaning in entries[at::height]:
            line += [(fit(shown, key_width), "key"), (fit(meaning, room - key_width - 1) + " ", "muted")]
        lines.append(line)
    return [[(f"  {title}", "dim")], *lines, []] if entries else []


def problem_page(health: Sequence[Diagnostic], width: int) -> Lines:
    """What could not be read, what that means, and what can be done."""
    lines: list[list[tuple[str, str]]] = [
        [("Problems", "title"), ("   tokentop doctor tells them too; Esc closes", "dim")],
        [],
    ]
    if not health:
        lines.append([("everything that was found could be read", "good")])
    for item in health:
        lines.append(
            [
                (f"{item.count:>6} ", "strong"),
                (f"{fit(safe(item.kind, 30), 18)} ", "warm"),
                (safe(item.source, 160), "muted"),
            ]
        )
        if item.detail:
            lines.append([(f"       {safe(item.detail, 300)}", "dim")])
        if advice := ADVICE.get(item.kind):
            lines += [[(f"       {part}", "muted")] for part in wrap(advice, max(20, width - 7))]
    return lines
