"""The totals strip: one line that answers who runs, how fast, what it costs today."""

from __future__ import annotations

import sys
from typing import NamedTuple

from textual import events
from textual.message import Message

from tokentop import text
from tokentop.nouns.facts import Progress
from tokentop.nouns.money import Forecast
from tokentop.nouns.picture import Snapshot
from tokentop.nouns.sessions import State
from tokentop.nouns.usage import Average, Figures
from tokentop.ui.columns import MINUTE, WINDOWS_MIN
from tokentop.ui.filtering import NO_PROGRESS
from tokentop.ui.glyphs import LOOKS, TAG, safe
from tokentop.ui.paint import Painted, Piece
from tokentop.ui.theme import Palette


class Part(NamedTuple):
    """A group of pieces that is shown whole or not at all; lower `rank` goes first when room lacks."""

    rank: int
    pieces: tuple[tuple[str, str], ...]  # text, role
    right: bool = False
    query: str = ""  # what a click on it filters by
    chip: bool = False  # a count of agents: they stand close together where room lacks

    @property
    def cells(self) -> int:
        return sum(len(piece) for piece, _ in self.pieces)


PROJECTED = 8  # the rank of today's bill and its projection
_COUNTED = (
    State.WORKING, State.TOOL, State.PERMISSION, State.INPUT, State.ERROR, State.LIMITED, State.ORPHAN,
    State.FROZEN, State.IDLE, State.UNKNOWN,
)  # fmt: skip


def progress_text(progress: Progress) -> str:
    """`reading 1.2 of 4.8 GB, 12 s left`."""
    total = text.size_bytes(progress.bytes_total)
    number, unit = total.split(" ")
    scale = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]
    done = progress.bytes_done / scale
    shown = f"{done:.1f}" if "." in number or done < 9.95 else f"{done:.0f}"
    left = "" if progress.seconds_left is None else f", {text.duration(progress.seconds_left)} left"
    return f"reading {shown} of {total}{left}"


def today_pieces(snapshot: Snapshot, room: str) -> tuple[tuple[str, str], ...]:
    """Today's bill and its projection; `room` is full, short, tight (no interval) or bare."""
    forecast = snapshot.forecast
    spent_nusd = snapshot.today.cost_nusd if forecast is None else forecast.today_nusd
    width = 8 if room == "full" else 6
    today = snapshot.today
    partial = snapshot.progress.reading or today.unpriced_tokens > 0 or today.unknown_calls > 0
    partial = partial or snapshot.mode.startswith("paused")  # what is new cannot be read
    mark = "≥" if partial else "≈" if today.estimated else ""
    if not snapshot.today_is_known:
        return ("today ", "muted"), (f"${text.UNKNOWN}", "dim")
    pieces = [("today ", "muted"), (text.money(spent_nusd, mark, width=width + len(mark)), "strong")]
    if forecast is not None and forecast.method != "none" and room != "bare":
        pieces += [(" → ", "dim"), (text.money(forecast.projected_nusd), "strong")]
        if room != "tight":
            pieces.append((interval(forecast), "dim"))
    return tuple(pieces)


def interval(forecast: Forecast) -> str:
    low = text.money(forecast.low_nusd)
    high = text.money(forecast.high_nusd, sign="")
    return f" ({low}–{high})"


class TotalsStrip(Painted):
    """Totals of the whole machine; parts that do not fit are left out, the least needed first."""

    class Picked(Message):
        """A count was clicked; `query` filters by what it counts."""

        def __init__(self, query: str) -> None:
            super().__init__()
            self.query = query

    DEFAULT_CSS = "TotalsStrip { height: 1; }"

    def __init__(self, label: str = "") -> None:
        super().__init__()
        self._label = label
        self.nothing = "starting"  # what stands there without a snapshot
        self._snapshot: Snapshot | None = None
        self._now_ms = 0
        self._pause = self._tags = ""
        self._window_min = MINUTE
        self._chips: list[tuple[int, int, str]] = []
        self._roomy = True

    def show(
        self, snapshot: Snapshot | None, now_ms: int, pause: str, tags: str, window_min: int = MINUTE
    ) -> None:
        """Draw anew; `pause` is the text of a paused view, `tags` how many rows are tagged, or empty.

        Rates are over `window_min`.
        """
        self._snapshot, self._now_ms, self._pause, self._tags = snapshot, now_ms, pause, tags
        self._window_min = window_min
        self.refresh()

    def line(self, y: int, width: int, palette: Palette) -> list[Piece]:
        parts = self._fitting(width)
        pieces: list[Piece] = [(" ", palette.base)]
        x, self._chips = 1, []
        left = [part for part in parts if not part.right]
        right = [part for part in parts if part.right]
        for at, part in enumerate(left):
            close = not self._roomy and part.chip and left[at - 1].chip
            gap = 0 if at == 0 else 1 if close else 2
            pieces.append((" " * gap, palette.base))
            x += gap
            if part.query:
                self._chips.append((x, x + part.cells, part.query))
            pieces += [(piece, palette[role]) for piece, role in part.pieces]
            x += part.cells
        tail = sum(part.cells + 2 for part in right)
        pieces.append((" " * max(0, width - x - tail - (1 if right else 0)), palette.base))
        for part in right:
            pieces.append(("  ", palette.base))
            pieces += [(piece, palette[role]) for piece, role in part.pieces]
        return pieces

    def _fitting(self, width: int) -> list[Part]:
        rates = _rates(self._snapshot, self._window_min) if self._snapshot is not None else []
        for room in ("full", "short", "tight", "bare"):
            self._roomy = room == "full"
            parts = self._parts(room, rates)
            if _cells(parts, self._roomy) <= width:
                return parts
            if room == "tight":  # the projection is what one looks for: all that is less gives way to it
                kept = _cut(parts, width, PROJECTED)
                if _cells(kept, self._roomy) <= width:
                    return kept
        return _cut(parts, width)

    def _parts(self, room: str, rates: list[Part]) -> list[Part]:
        name = [Part(3, (("tokentop", "title"),))] if room == "full" else []
        snapshot = self._snapshot
        if snapshot is None:
            return [*name, Part(9, ((self.nothing, "muted"),))]
        return [
            *name,
            *self._modes(snapshot),
            *_counts(snapshot, " " if room == "full" else ""),
            *rates,
            Part(PROJECTED, today_pieces(snapshot, room)),
            *self._right(snapshot, room),
        ]

    def _modes(self, snapshot: Snapshot) -> list[Part]:
        parts = []
        if self._pause:
            parts.append(Part(10, ((self._pause, "hot"),)))
        if self._tags:
            parts.append(Part(10, ((f"{TAG} ", "key"), (self._tags, "strong"))))
        if snapshot.mode not in ("live", self._label):
            parts.append(Part(9, ((safe(snapshot.mode, 40), "warm"),)))
        if self._label:
            parts.append(Part(3, ((safe(self._label, 30), "muted"),)))
        if snapshot.progress.reading:
            parts.append(Part(9, ((progress_text(snapshot.progress), "tool"),)))
        return parts

    def _right(self, snapshot: Snapshot, room: str) -> list[Part]:
        parts = []
        problems = sum(item.count for item in snapshot.health)
        if problems:
            parts.append(Part(5, ((text.plural(problems, "problem"), "error"),), right=True))
        if room == "full" and snapshot.own_rss_bytes:
            own = f"{text.percent_fine(snapshot.own_cpu_pct)} {text.memory(snapshot.own_rss_bytes)}"
            parts.append(Part(1, ((own, "dim"),), right=True))
        clock = text.clock(self._now_ms, seconds=room == "full")
        parts.append(Part(2, ((clock, "muted"),), right=True))
        return parts

    def on_click(self, event: events.Click) -> None:
        for start, end, query in self._chips:
            if start <= event.x < end:
                event.stop()
                self.post_message(self.Picked(query))


def _counts(snapshot: Snapshot, gap: str) -> list[Part]:
    counts = dict(snapshot.counts)
    parts = []
    for state in _COUNTED:
        count = counts.get(state, 0)
        if count:
            look = LOOKS[state]
            rank = 9 if look.rank <= 5 else 4 if state is State.IDLE else 6
            chip = ((f"{look.glyph}{gap}{count}", state.value),)
            parts.append(Part(rank, chip, query=f"state:{state.value}", chip=True))
    stuck = sum(alert.kind == "no-progress" for alert in snapshot.alerts)
    if stuck:
        parts.append(Part(9, ((f"∅{gap}{stuck}", "hot"),), query=NO_PROGRESS, chip=True))
    return parts or [Part(6, (("no agent runs", "dim"),))]


def _rates(snapshot: Snapshot, window_min: int) -> list[Part]:
    rate, burn, over = *_window_figures(snapshot, window_min), ""
    if window_min != MINUTE:
        over = f" {WINDOWS_MIN[window_min]}"
    return [
        Part(7, ((rate, "strong"), (f" tok/min{over}", "muted"))),
        Part(7, ((burn, "strong"), (f"/h{over}", "muted"))),
    ]


def _window_figures(snapshot: Snapshot, window_min: int) -> tuple[str, str]:
    """tok/min and $/h of everything over the window; `?` while they are not known."""
    now: Figures | Average | None = snapshot.totals
    unpriced = snapshot.burn_is_partial
    if window_min != MINUTE:
        now = snapshot.average if snapshot.window_min == window_min else None
        unpriced = any(row.own.unpriced_tokens for row in snapshot.rows)
    if now is None:
        return text.UNKNOWN, f"${text.UNKNOWN}"
    return text.rate(now.tokens_per_min), ("≥" if unpriced else "") + text.money(now.burn_nusd_per_h)


def _cut(parts: list[Part], width: int, rank: int = sys.maxsize) -> list[Part]:
    """What is left when parts below `rank` go, the least needed first, until the rest fits; one always stays."""
    kept = list(parts)
    while len(kept) > 1 and _cells(kept, roomy=False) > width:
        least = min(kept, key=lambda part: part.rank)
        if least.rank >= rank:
            break
        kept.remove(least)
    return kept


def _cells(parts: list[Part], roomy: bool) -> int:
    chips = sum(part.chip for part in parts)
    return 1 + sum(part.cells + 2 for part in parts) - (0 if roomy else max(0, chips - 1))
