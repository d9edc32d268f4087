"""The sessions that the live state remembers, and how they hang below each other. Pure."""

from __future__ import annotations

from tokentop.engine.track import Track, parent_key, session_key
from tokentop.nouns.sessions import Session

MAX_TRACKS = 5_000  # beyond, the oldest without a process are dropped


class Tracks(dict[str, Track]):
    """Sessions by row key. `awake` may be lines of the screen; the others are old and nothing has come since."""

    __slots__ = ("_numbered", "awake", "kids")

    def __init__(self) -> None:
        super().__init__()
        self.awake: dict[str, Track] = {}
        self.kids: dict[str, dict[str, None]] = {}  # parent key -> keys of sessions with that parent
        self._numbered = 0

    def number(self) -> int:
        """The next place in the order in which sessions and processes were first seen."""
        self._numbered += 1
        return self._numbered

    def of(self, agent: str, session_id: str) -> Track:
        """The track of a session of which something is told now, made where it has none."""
        key = session_key(agent, session_id)
        track = self.get(key)
        if track is None:
            session = Session(agent, session_id)
            track = self[key] = Track(key, session, self.number())
            self.link(track, session)
        self.awake[key] = track
        return track

    def link(self, track: Track, session: Session) -> None:
        """Set what is stored of a session, and hang it below its parent."""
        old, new = track.parent, parent_key(session)
        track.session = session
        if new == old:
            return
        if old:
            self.kids[old].pop(track.key, None)
            if not self.kids[old]:
                del self.kids[old]
        if new:
            self.kids.setdefault(new, {})[track.key] = None
        track.parent = new

    def lineage(self, track: Track | None) -> list[tuple[str, str]]:
        """(agent, session id) of a session and of all that it is below, by its log or by its process."""
        found: list[tuple[str, str]] = []
        while track is not None and (name := (track.session.agent, track.session.id)) not in found:
            found.append(name)
            nested_in, above = track.nested_in, self.get(track.parent)
            if above is None and nested_in:
                above = next((t for t in self.values() if t.session.id == nested_in), None)
            track = above
        return found

    def trim(self) -> None:
        """Drop the oldest sessions that no process and no child keeps; the store still has them."""
        old = sorted((t for t in self.values() if t.proc is None), key=lambda t: t.record_ms)
        for track in old[: len(self) - MAX_TRACKS * 3 // 4]:
            if track.key not in self.kids:
                self.link(track, Session(track.session.agent, ""))
                del self[track.key]
                self.awake.pop(track.key, None)
