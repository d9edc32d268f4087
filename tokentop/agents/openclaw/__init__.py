"""OpenClaw: pi entries in an SQLite database for each of its agents; archives; older versions in JSON lines. Pure.

    <state>/agents/<agent>/agent/openclaw-agent.sqlite
        transcript_events(session_id, seq, event_json | event_zstd)          one of the two is set
        session_windows(session_id, session_key, reason, created_at, updated_at, spawned_by ...)
        session_nodes(session_key, current_session_id, fork_source_session_id, label ...)
        session_transcript_archives(encoding: identity|zstd, archive_blob)    deleted and reset sessions
        session_transcript_cold_archives(storage: file|sqlite, archive_blob)  sessions that were quiet for long
    <state>/agents/<agent>/sessions/{<id>.jsonl, <id>.jsonl.deleted.<time>, <id>.jsonl.reset.<time>[.<n>].zst}
    <state>/agents/<agent>/sessions/cold/*.jsonl.zst: lines `{"kind": "event", "row": {"event_json"}}`

Response ids keep what stands in several of them from being counted twice. Answers of agents that OpenClaw drives
(`api` "cli") are in those agents' own logs.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokentop.agents._pi import PiLines, session_of
from tokentop.agents.base import Agent, Database, JsonLines, LogFile, Roots
from tokentop.agents.processes import Processes, is_helper, stem
from tokentop.nouns.processes import ProcRole

from .database import newest_records, page, read, signs
from .entries import AGENT_ID, COLD, cold_entry, is_foreign


class Lines(PiLines):
    """Decoder of a transcript file, current or set aside."""

    def __init__(self, file: LogFile, state: bytes = b"") -> None:
        super().__init__(AGENT_ID, file, state, is_foreign)


class ColdLines(Lines):
    """Decoder of a cold archive: each entry is a text inside a record."""

    @property
    def needles(self) -> tuple[bytes, ...]:
        return (COLD,)

    def line(self, line: bytearray | bytes) -> None:
        entry = cold_entry(line)
        super().line(entry.encode("utf-8", "replace") if entry is not None else line)


def role_of(argv: Sequence[str]) -> ProcRole | None:
    """Workers set their title to their command (`openclaw-agent`); what is still called `openclaw` started one."""
    command = stem(argv[0]).partition("-")[2]
    if not command:
        return None if is_helper(argv) else ProcRole.WRAPPER
    if command == "gateway":
        return ProcRole.DAEMON
    return ProcRole.AGENT if command in _WORKERS and not is_helper(argv) else None


_WORKERS = ("agent", "chat", "terminal", "tui")
AGENT = Agent(
    id=AGENT_ID,
    label="OpenClaw",
    version=1,
    roots=Roots(env="OPENCLAW_STATE_DIR", dirs=("~/.openclaw", "~/.clawdbot", "~/.moltbot", "~/.moldbot")),
    sources=(
        Database(
            folder="agents", suffixes=("openclaw-agent.sqlite",), levels=("*", "agent"), read=read, signs=signs,
            records=newest_records, page=page,
        ),
        # Names of transcripts that were set aside end with a time (UTC: "Z").
        JsonLines(
            folder="agents", suffixes=(".jsonl", "Z", ".zst"), levels=("*", "sessions"), decoder=Lines,
            file_id=session_of,
        ),
        JsonLines(
            folder="agents", suffixes=(".jsonl.zst",), levels=("*", "sessions", "cold"), decoder=ColdLines,
            file_id=session_of,
        ),
    ),
    processes=Processes(
        agent=AGENT_ID,
        label="OpenClaw",
        names=("openclaw", *(f"openclaw-{name}" for name in (*_WORKERS, "gateway"))),
        package_dirs=("/node_modules/openclaw/",),
        root_env="OPENCLAW_STATE_DIR",
        root_dirs=(".openclaw", ".clawdbot", ".moltbot", ".moldbot"),
        role_of=role_of,
        any_directory=True,
        one_shot=lambda argv: stem(argv[0]) == "openclaw-agent",
        interrupt_keys=("Escape",),
    ),
    resume="openclaw agent --session-id {session_id}",
    start_hint="run `openclaw agent -m <text>`, or its gateway",
    missing="compactions; streams that were cut",
    tried=("2026.9.6",),
)  # fmt: skip
