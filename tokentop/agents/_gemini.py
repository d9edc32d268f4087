"""What Gemini CLI's chats and its telemetry share: the counts of one response; and what it sends. Pure."""

from __future__ import annotations

from typing import Any

from tokentop.agents.decoding import count, identifier, label, text, tokens
from tokentop.nouns.facts import Fact
from tokentop.nouns.telemetry import Record, Telemetry
from tokentop.nouns.usage import Tokens, Usage

AGENT_ID = "gemini"
PROVIDER = "google"


def tokens_of(facts: list[Fact], counts: dict[str, Any]) -> Tokens:
    """`input` holds what is cached, unless `total` is the sum of all: then it is what is new already."""
    prompt, tool = counts.get("input"), count(counts.get("tool")) or 0
    given, cached = count(prompt), count(counts.get("cached")) or 0
    rest = sum(count(counts.get(name)) or 0 for name in ("output", "thoughts")) + tool
    if given is not None:
        prompt = given + tool
        if cached and count(counts.get("total")) == given + cached + rest:
            prompt += cached
    return tokens(
        AGENT_ID, facts, prompt=prompt, cache_read=counts.get("cached"),
        output=counts.get("output"), thoughts=counts.get("thoughts"),
    )  # fmt: skip


_NAMES = {
    "input": "input_token_count", "cached": "cached_content_token_count", "output": "output_token_count",
    "thoughts": "thoughts_token_count", "tool": "tool_token_count", "total": "total_token_count",
}  # fmt: skip


def read_call(record: Record) -> Usage | None:
    """The call of an `api_response`. It has no id; texts of prompts and answers beside it are not taken."""
    if record.name != "gemini_cli.api_response":
        return None
    values = record.values
    session = identifier(text(values.get("session.id")))
    facts: list[Fact] = []
    used = tokens_of(facts, {name: values.get(sent) for name, sent in _NAMES.items()})
    if facts or not session or not used.total:
        return None
    took_ms = count(values.get("duration_ms")) or 0
    return Usage(
        AGENT_ID, session, f"telemetry:{session}:{record.at_ms}:{used.prompt}:{used.output}", record.at_ms,
        label(text(values.get("model"))), used, PROVIDER, took_ms,
        start_ms=record.at_ms - took_ms if took_ms else 0, telemetry=True,
    )  # fmt: skip


TELEMETRY = Telemetry(
    services=("gemini-cli",),
    read=read_call,
    counters=(("gemini_cli.token.usage", "type"),),
    setup="""export GEMINI_TELEMETRY_ENABLED=true GEMINI_TELEMETRY_TARGET=local GEMINI_TELEMETRY_LOG_PROMPTS=false
export GEMINI_TELEMETRY_OTLP_PROTOCOL=http GEMINI_TELEMETRY_OTLP_ENDPOINT={url}
export OTEL_EXPORTER_OTLP_HEADERS="Authorization=Bearer $(cat {token_file})\"""",
)
