"""What Qwen Code sends when its telemetry is on: the same event that its chat keeps, so that the keys are equal. Pure."""

from __future__ import annotations

from msgspec import structs

from tokentop.agents.base import LogFile
from tokentop.agents.decoding import identifier, text
from tokentop.nouns.facts import Fact
from tokentop.nouns.telemetry import Record, Telemetry
from tokentop.nouns.usage import Kind, Usage

from .records import Counts, usage_of


def read_call(record: Record) -> Usage | None:
    """The call of an `api_response`."""
    if record.name != "qwen-code.api_response":
        return None
    values = dict(record.values)
    session = identifier(text(values.get("session.id")))
    counts = Counts(
        values.get("input_token_count"), values.get("output_token_count"), values.get("cached_content_token_count"),
        values.get("thoughts_token_count"), values.get("total_token_count"), values.get("duration_ms"),
    )  # fmt: skip
    facts: list[Fact] = []
    name = f"telemetry:{session}:{record.at_ms}"
    usage = usage_of(facts, session, values, counts, record.at_ms, name, LogFile("", "", ()))
    if facts or not session or usage.kind is not Kind.RESPONSE:
        return None
    return structs.replace(usage, telemetry=True)


TELEMETRY = Telemetry(
    services=("qwen-code",),
    read=read_call,
    counters=(("qwen-code.token.usage", "type"),),
    setup="""export QWEN_TELEMETRY_ENABLED=true QWEN_TELEMETRY_TARGET=local QWEN_TELEMETRY_LOG_PROMPTS=false
export QWEN_TELEMETRY_OTLP_PROTOCOL=http QWEN_TELEMETRY_OTLP_ENDPOINT={url}
export OTEL_EXPORTER_OTLP_HEADERS="Authorization=Bearer $(cat {token_file})\"""",
)
