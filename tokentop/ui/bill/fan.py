"""The day's curve: what is spent from midnight until now, then the projection as a fan, with axes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tokentop import text
from tokentop.engine.statement import Day
from tokentop.nouns.money import Forecast
from tokentop.ui.bill.frame import Line, Lines
from tokentop.ui.paint import fit

_HALF_HOUR_MS = 1_800_000
_STEPS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_LABEL = 7  # cells of the scale, the space behind it included
_TAIL = 8  # cells of the figures at the right end
_FAR = 1.6  # a budget that is that many times the day's high end would press the curve to the ground
_NO_TAIL = 50  # cells: narrower, the figures at the right end are left out

# Dots of a braille cell by (column, row from the top).
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_SPENT, _OUTER, _INNER, _MIDDLE = "spent", "outer", "inner", "middle"
_RANK = (_MIDDLE, _INNER, _OUTER, _SPENT)  # what gives a cell its colour, the first one that is in it
_ROLES = {_SPENT: "graph1", _OUTER: "graph0", _INNER: "graph2", _MIDDLE: "strong"}
_ASCII = {_SPENT: "#", _OUTER: ".", _INNER: "=", _MIDDLE: "*"}


class Band(NamedTuple):
    """The projection at one moment, nano-dollars."""

    low: float
    low_half: float
    middle: float
    high_half: float
    high: float


class _Plane:
    """Which dots are set and for what; row 0 is at the bottom."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.dots: dict[tuple[int, int], str] = {}

    def put(self, x: int, y: int, kind: str) -> None:
        if 0 <= x < self.columns and 0 <= y < self.rows:
            self.dots[x, y] = kind


def top_of(day: Day, forecast: Forecast | None, budgets: Sequence[tuple[str, int]]) -> float:
    """The upper end of the scale: above all that is drawn, and no more than a fifth or so."""
    values = [float(day.spent[-1][1])] if day.spent else [0.0]
    if forecast is not None:
        values += [float(forecast.high_nusd), float(forecast.today_nusd)]
    high = max(values)
    high = max([high, *(nusd for _, nusd in budgets if nusd <= high * _FAR)])
    if high <= 0:
        return 1e9
    power = 1.0
    while power * 10 < high:
        power *= 10
    return next(power * step for step in _STEPS if power * step >= high * 1.02 or step == _STEPS[-1])


def curve(
    day: Day, forecast: Forecast | None, budgets: Sequence[tuple[str, int]], width: int, height: int,
    ascii_only: bool,
) -> Lines:  # fmt: skip
    """`height` lines with the two lines of the hours; `budgets` = (label, nano-dollars) of the day."""
    tail = _TAIL if width >= _NO_TAIL and forecast is not None and forecast.method != "none" else 0
    columns, rows = max(4, width - _LABEL - tail), max(2, height - 1)
    top = top_of(day, forecast, budgets)
    plane = _Plane(columns * (1 if ascii_only else 2), rows * (2 if ascii_only else 4))
    _draw(plane, day, forecast, top)
    marks = {_row(nusd, top, rows): label for label, nusd in budgets if nusd <= top}
    ends = _ends(forecast, top, rows) if tail else {}
    out: Lines = []
    for at in range(rows):
        label = _scale(top, at, rows)
        line: Line = [(fit(label, _LABEL - 1, right=True) + " ", "dim")]
        line += _cells(plane, rows - 1 - at, columns, ascii_only, marks.get(at))
        if tail:
            shown, role = ends.get(at, ("", ""))
            line.append((fit(" " + shown, tail), role))
        out.append(line)
    out.append([(" " * _LABEL, ""), (_hours(day, columns), "dim")])
    return out


def _scale(top: float, at: int, rows: int) -> str:
    if at == 0:
        return _short(top)
    if at == rows - 1:
        return "$0"
    return _short(top / 2) if rows >= 7 and at == rows // 2 and rows % 2 == 1 else ""


def _short(nusd: float) -> str:
    return text.trimmed(text.money(round(nusd)))


def _row(nusd: float, top: float, rows: int) -> int:
    """The line from the top in which an amount lies."""
    return min(rows - 1, max(0, rows - 1 - int(nusd / top * rows)))


def _ends(forecast: Forecast | None, top: float, rows: int) -> dict[int, tuple[str, str]]:
    """The figures at the right end, by line from the top; those that would stand in one line give way."""
    if forecast is None:
        return {}
    middle = _row(forecast.projected_nusd, top, rows)
    found = {middle: (text.money(forecast.projected_nusd), "strong")}
    high, low = _row(forecast.high_nusd, top, rows), _row(forecast.low_nusd, top, rows)
    if high < middle:
        found[high] = (text.money(forecast.high_nusd), "dim")
    if low > middle:
        found[low] = (text.money(forecast.low_nusd), "dim")
    return found


# ---------------------------------------------------------------- dots


def _draw(plane: _Plane, day: Day, forecast: Forecast | None, top: float) -> None:
    now_ms = day.spent[-1][0] if day.spent else day.start_ms
    length = day.end_ms - day.start_ms
    bands = _Bands(forecast) if forecast is not None and forecast.method != "none" else None
    scale = plane.rows / top
    before = None
    for x in range(plane.columns):
        at_ms = day.start_ms + length * (x + 0.5) / plane.columns
        if at_ms <= now_ms:
            nusd = _between(day.spent, at_ms)
            for y in range(max(1, round(nusd * scale)) if nusd > 0 else 0):
                plane.put(x, y, _SPENT)
        elif bands is not None:
            before = _fan(plane, x, bands.at(at_ms), scale, before)


def _fan(plane: _Plane, x: int, band: Band, scale: float, before: int | None) -> int:
    """One column: the 80 % band in sparse dots, the 50 % band in denser ones, the median as a line."""

    def row(nusd: float) -> int:
        return min(plane.rows - 1, max(0, round(nusd * scale) - 1))

    for y in range(row(band.low), row(band.high) + 1):
        inner = row(band.low_half) <= y <= row(band.high_half)
        if inner and (x + y) % 2 == 0:
            plane.put(x, y, _INNER)
        elif not inner and x % 2 == 0 and (y + x // 2) % 2 == 0:
            plane.put(x, y, _OUTER)
    middle = row(band.middle)
    first = min(middle, middle if before is None else before + (1 if before < middle else 0))
    for y in range(first, middle + 1):
        plane.put(x, y, _MIDDLE)
    return middle


class _Bands:
    """The intervals between now and midnight: as wide as the share of the rest that is expected by then."""

    def __init__(self, forecast: Forecast) -> None:
        self._forecast = forecast
        self._curve = forecast.curve or (
            (forecast.at_ms, forecast.today_nusd), (forecast.at_ms + 1, forecast.projected_nusd)
        )  # fmt: skip

    def at(self, at_ms: float) -> Band:
        told, first, last = self._forecast, self._curve[0], self._curve[-1]
        middle = _between(self._curve, at_ms)
        rest = last[1] - first[1]
        share = (middle - first[1]) / rest if rest > 0 else (at_ms - first[0]) / max(1, last[0] - first[0])
        share = min(1.0, max(0.0, share))

        def by_then(end_nusd: int) -> float:
            return told.today_nusd + share * (end_nusd - told.today_nusd)

        return Band(
            by_then(told.low_nusd), by_then(told.low_half_nusd or told.low_nusd), middle,
            by_then(told.high_half_nusd or told.high_nusd), by_then(told.high_nusd),
        )  # fmt: skip


def _between(points: Sequence[tuple[int, int]], at_ms: float) -> float:
    """The value of a line through the points; flat beyond its ends."""
    if not points or at_ms <= points[0][0]:
        return float(points[0][1]) if points else 0.0
    low, high = 0, len(points) - 1
    if at_ms >= points[high][0]:
        return float(points[high][1])
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if points[middle][0] <= at_ms else (low, middle)
    (from_ms, before), (to_ms, after) = points[low], points[high]
    return before + (after - before) * (at_ms - from_ms) / (to_ms - from_ms)


# ---------------------------------------------------------------- cells


def _cells(plane: _Plane, row: int, columns: int, ascii_only: bool, mark: str | None) -> Line:
    """One line of cells, neighbours of one role together; a budget's line where nothing else is drawn."""
    out: Line = []
    label = f" {mark} " if mark else ""
    for column in range(columns):
        char, role = _cell(plane, column, row, ascii_only)
        if char == " " and mark is not None:
            role = "warm"
            char = label[column - 1] if 0 < column <= len(label) else ("-" if ascii_only else "─")
        if out and out[-1][1] == role:
            out[-1] = (out[-1][0] + char, role)
        else:
            out.append((char, role))
    return out


def _cell(plane: _Plane, column: int, row: int, ascii_only: bool) -> tuple[str, str]:
    wide, high = (1, 2) if ascii_only else (2, 4)
    bits, kinds = 0, set()
    for dx in range(wide):
        for dy in range(high):
            kind = plane.dots.get((column * wide + dx, row * high + dy))
            if kind is not None:
                kinds.add(kind)
                bits += 0 if ascii_only else _DOTS[dx][high - 1 - dy]
    if not kinds:
        return " ", ""
    first = next(kind for kind in _RANK if kind in kinds)
    return (_ASCII[first] if ascii_only else chr(0x2800 + bits)), _ROLES[first]


def _hours(day: Day, columns: int) -> str:
    """The hours of the local day below the plot; a day of 23 or 25 hours shows them where they are."""
    out = [" "] * (columns + 2)
    step = 3 if columns >= 40 else 6 if columns >= 20 else 12
    for at_ms in range(day.start_ms, day.end_ms, _HALF_HOUR_MS):  # clocks may change by as little
        clock = text.clock(at_ms)
        place = round((at_ms - day.start_ms) / (day.end_ms - day.start_ms) * columns)
        if clock[3:] == "00" and int(clock[:2]) % step == 0 and place + 2 <= columns:
            out[place : place + 2] = clock[:2]
    out[columns - 2 : columns] = "24"
    return "".join(out[:columns])
