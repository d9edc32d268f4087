"""Bytes -> the few lines that matter: a byte search for needles, only the hit lines are cut out."""

from __future__ import annotations

from collections.abc import Callable

try:
    from stringzilla import find as _find_simd
except ImportError:
    _find_simd = None

Find = Callable[[bytearray, bytes, int, int], int]


def _find_builtin(buffer: bytearray, needle: bytes, start: int, end: int) -> int:
    return buffer.find(needle, start, end)


find: Find = _find_simd if _find_simd is not None else _find_builtin


def each_line(
    buffer: bytearray, start: int, end: int, needles: tuple[bytes, ...], give: Callable[[bytearray], None]
) -> None:
    """Give every line of `buffer[start:end]` that holds a needle, in order; `end` lies behind a newline."""
    hits = [find(buffer, needle, start, end) for needle in needles]
    floor = start
    count = len(needles)
    while True:
        hit = end
        for position in hits:
            if 0 <= position < hit:
                hit = position
        if hit == end:
            return
        line_start = buffer.rfind(b"\n", floor, hit) + 1 or floor
        floor = buffer.find(b"\n", hit, end) + 1
        give(buffer[line_start : floor - 1])
        for index in range(count):
            if 0 <= hits[index] < floor:
                hits[index] = find(buffer, needles[index], floor, end) if floor < end else -1


def without_nuls(line: bytearray) -> bytearray:
    """A line without the NULs that a crash leaves at its start."""
    return line.lstrip(b"\0") if line[:1] == b"\0" else line
