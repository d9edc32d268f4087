"""The transcript of one session, read from its agent's own log for who asks for it; stored nowhere."""

from __future__ import annotations

from tokentop.agents import all_agents
from tokentop.agents._spoken import Said, Spoken
from tokentop.ingest.wholelog import WholeLog
from tokentop.nouns.sessions import Session
from tokentop.text import plural


def transcript(session: Session) -> tuple[list[Said], str]:
    """(prompts, replies and tool calls in order, what is missing). Blocks while the log is read; raises nothing."""
    agent = next((one for one in all_agents() if one.id == session.agent), None)
    if agent is None:
        return [], "no log of this agent is known"
    log = WholeLog(agent, session, lambda: Spoken(session.id))
    spoken = log.finish()
    notes = list(log.notes)
    if spoken.dropped:
        notes.append(f"{plural(spoken.dropped, 'record')} before these are left out")
    found = spoken.said()
    return found, "; ".join(notes) or ("" if found else "its log tells no prompts and no replies")
