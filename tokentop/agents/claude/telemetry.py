"""What Claude Code sends when its telemetry is on: the event `api_request` of each call. Pure.

`input_tokens` excludes what is cached; `cache_creation_tokens` includes both lifetimes. `request_id` is the
`requestId` of the transcript's lines.
"""

from __future__ import annotations

from tokentop.agents.decoding import count, identifier, label, text, tokens
from tokentop.nouns.facts import Fact
from tokentop.nouns.telemetry import Record, Telemetry
from tokentop.nouns.usage import Usage

from .content import AGENT_ID


def read_call(record: Record) -> Usage | None:
    """The call of an `api_request`; what else is sent is not needed."""
    if record.name.removeprefix("claude_code.") != "api_request":
        return None
    values = record.values
    session, request = identifier(text(values.get("session.id"))), text(values.get("request_id"))
    facts: list[Fact] = []
    used = tokens(
        AGENT_ID, facts, fresh=values.get("input_tokens"), cache_read=values.get("cache_read_tokens"),
        cache_write=values.get("cache_creation_tokens"), cache_write_1h=values.get("cache_creation_1h_tokens"),
        output=values.get("output_tokens"),
    )  # fmt: skip
    if facts or not session or not used.total:
        return None
    took_ms = count(values.get("duration_ms")) or 0
    key = request or f"{session}:{record.at_ms}:{count(values.get('event.sequence')) or 0}"
    return Usage(
        AGENT_ID, session, f"telemetry:{key}", record.at_ms, label(text(values.get("model"))), used, "anthropic",
        took_ms, "fast" if values.get("speed") == "fast" else "", start_ms=record.at_ms - took_ms if took_ms else 0,
        request_id=request, telemetry=True,
    )  # fmt: skip


TELEMETRY = Telemetry(
    services=("claude-code",),
    read=read_call,
    counters=(("claude_code.token.usage", "type"),),
    setup="""export CLAUDE_CODE_ENABLE_TELEMETRY=1 OTEL_LOGS_EXPORTER=otlp
export OTEL_EXPORTER_OTLP_PROTOCOL=http/json OTEL_EXPORTER_OTLP_ENDPOINT={url}
export OTEL_EXPORTER_OTLP_HEADERS="Authorization=Bearer $(cat {token_file})\"""",
)
