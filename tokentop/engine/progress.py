"""How long an agent has worked, and what it has spent, since it last changed a file. Pure.

Two witnesses: calls of editing tools in the log, and git. Where git looks after a folder it has the last word: an
edit that failed, or was refused, is a call of a tool and no change. The clock starts anew when the agent rests:
it measures one stretch of work, not the night before it.
"""

from __future__ import annotations

from msgspec import Struct

from tokentop.engine.live import LiveState
from tokentop.engine.rates import HOUR_MS
from tokentop.engine.tree import Node
from tokentop.nouns.looks import FolderChange
from tokentop.nouns.sessions import State

BUSY = frozenset({State.WORKING, State.TOOL, State.PERMISSION})


class Unchanged(Struct, frozen=True):
    """Since when nothing has changed; 0 = the agent does not work, or it is not known."""

    since_ms: int = 0
    nusd: int | None = None  # spent since then, with everything below
    at_least: bool = False  # it may be longer ago, or more
    source: str = ""  # git, tools


def last_change(edit_ms: int, folder: FolderChange | None) -> tuple[int, str]:
    """(when a file last changed or 0, who says so). An edit newer than git's look counts until git has looked."""
    if folder is None or folder.source != "git":
        return edit_ms, "tools"
    return (max(edit_ms, folder.changed_ms) if edit_ms > folder.looked_ms else folder.changed_ms), "git"


def unchanged(live: LiveState, node: Node, at_ms: int) -> Unchanged:
    """Judge one agent with all its sub-agents."""
    track = node.track
    if track is None or node.proc is None or node.status.state not in BUSY:
        return Unchanged()
    keys, edit_ms, todo = [], 0, [node]
    while todo:
        one = todo.pop()
        todo += one.below
        keys.append(one.key)
        if one.track is not None:
            edit_ms = max(edit_ms, one.track.edit_ms)
    changed_ms, source = last_change(edit_ms, live.changes.get(node.proc.cwd))
    known_ms = track.seen_ms if source == "tools" else node.proc.started_ms
    since_ms = max(changed_ms, track.resumed_ms, known_ms, node.proc.started_ms)
    if not known_ms or since_ms > at_ms:
        return Unchanged()
    if since_ms <= track.session.first_ms:  # all of it; the sums of times are shared out within half a minute
        spent = node.tree.cost_nusd
    else:
        spent = sum(live.rates.spent_since(key, since_ms) for key in keys)
    # What was before the oldest known record has not been seen, in a log that was read from its end.
    short = source == "tools" and changed_ms < since_ms == track.seen_ms > node.proc.started_ms
    partial = at_ms - since_ms > HOUR_MS or node.tree.unpriced_tokens > 0 or node.tree.unknown_calls > 1
    unknown = not spent and (partial or node.tree.unknown_calls > 0)
    return Unchanged(since_ms, None if unknown else spent, short or partial, source)
