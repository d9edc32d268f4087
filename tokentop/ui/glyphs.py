"""Glyphs and words of the screen, with an ASCII twin for each. Pure."""

from __future__ import annotations

from msgspec import Struct

from tokentop.nouns.sessions import State
from tokentop.text import clean


class Look(Struct, frozen=True):
    """How a state is shown: never by colour alone. `rank` orders the table; equal ranks mix."""

    glyph: str
    ascii: str
    word: str
    short: str  # at most 6 cells
    rank: int
    help: str


LOOKS: dict[State, Look] = {
    State.PERMISSION: Look("!", "!", "permission", "perm", 1, "waits for your permission"),
    State.INPUT: Look("?", "?", "input", "input", 2, "waits for your answer"),
    State.ERROR: Look("✗", "x", "error", "error", 3, "its last call failed"),
    State.LIMITED: Look("◷", "%", "limited", "limit", 4, "stopped by a rate or plan limit"),
    State.ORPHAN: Look("⊘", "o", "orphan", "orphan", 5, "its owner is gone, it runs on"),
    State.TOOL: Look("▶", ">", "tool", "tool", 6, "runs a tool; the word is the tool's name"),
    State.WORKING: Look("●", "*", "work", "work", 6, "the model produces"),
    State.FROZEN: Look("‖", "=", "frozen", "frozen", 8, "stopped by a signal, can be thawed"),
    State.IDLE: Look("○", ".", "idle", "idle", 9, "nothing to do"),
    State.UNKNOWN: Look("·", "_", "unknown", "?", 10, "no evidence"),
    State.DONE: Look("✓", "-", "done", "done", 11, "ended; stays 10 s, a parent's last 2 sub-agents 15 min"),
}

RESTING = frozenset({State.IDLE, State.DONE, State.UNKNOWN})

TAG = "◆"

SPARKS = "▁▂▃▄▅▆▇█"


def safe(text: str, limit: int = 400) -> str:
    """The guard at the exit: foreign text is clean already, what is not becomes visible marks."""
    return clean(text, limit)


def sparkline(samples: tuple[float, ...], width: int) -> str:
    """The newest `width` samples as block characters on a scale from 0 to their maximum."""
    newest = samples[-width:]
    top = max(newest, default=0.0)
    if top <= 0:
        return (SPARKS[0] * len(newest)).rjust(width)
    steps = len(SPARKS) - 1
    return "".join(SPARKS[min(steps, max(0, int(v / top * steps + 0.5)))] for v in newest).rjust(width)
