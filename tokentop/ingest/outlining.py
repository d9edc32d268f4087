"""The outline of one session from its whole log."""

from __future__ import annotations

from tokentop.agents._deeds import Deeds
from tokentop.agents.base import Agent
from tokentop.nouns.outline import Outline
from tokentop.nouns.sessions import Role, Session
from tokentop.text import plural

from .wholelog import WholeLog


class Outliner(WholeLog[Deeds]):
    """Call `step()` until it says that it is done, then `outline()`; what cannot be read is in its note."""

    def __init__(self, agent: Agent, session: Session, now_ms: int) -> None:
        since_ms = 0
        if session.parent_id and session.role is not Role.SUB_AGENT:
            since_ms = session.forked_at_ms or session.first_ms
        super().__init__(agent, session, lambda: Deeds(session.id, session.cwd, since_ms))
        self._now_ms = now_ms

    def whole(self) -> Outline:
        """Read to the end at once."""
        self.finish()
        return self.outline()

    def outline(self) -> Outline:
        deeds = self.sink
        deeds.end()
        if deeds.dropped:
            self.notes.append(f"{plural(deeds.dropped, 'step')} before the first one shown")
        size, mtime_ns = self.state
        return Outline(deeds.found_deeds(), "; ".join(self.notes), size, mtime_ns, self._now_ms)
