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
    found = [(find(buffer, needle, start, end), needle) for needle in needles]
    alive = [(hit, needle) for hit, needle in found if hit >= 0]
    floor = start
    while len(alive) > 1:
        alive.sort()
        hit = alive[0][0]
        line_start = buffer.rfind(b"\n", floor, hit) + 1 or floor
        floor = buffer.find(b"\n", hit, end) + 1
        give(buffer[line_start : floor - 1])
        alive = [
            (hit, needle)
            if hit >= floor
            else (find(buffer, needle, floor, end) if floor < end else -1, needle)
            for hit, needle in alive
        ]
        alive = [pair for pair in alive if pair[0] >= 0]
    if alive:
        _each_of_one(buffer, alive[0][0], floor, end, alive[0][1], give)


def _each_of_one(
    buffer: bytearray, hit: int, floor: int, end: int, needle: bytes, give: Callable[[bytearray], None]
) -> None:
    """The common case: only one needle is left in the block."""
    while hit >= 0:
        line_start = buffer.rfind(b"\n", floor, hit) + 1 or floor
        floor = buffer.find(b"\n", hit, end) + 1
        give(buffer[line_start : floor - 1])
        hit = find(buffer, needle, floor, end) if floor < end else -1
