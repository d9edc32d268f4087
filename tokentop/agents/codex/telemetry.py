"""What Codex sends when its `[otel]` table names an exporter: `response.completed` of each call. Pure.

It comes twice for each response, and only one of the two has counts. They hold what is cached and what is reasoned,
like those of the rollout; `tool_token_count` is their sum and no count of tools. There is no id of the request.
"""

from __future__ import annotations

from tokentop.agents.decoding import identifier, label, text, tokens
from tokentop.nouns.facts import Fact
from tokentop.nouns.telemetry import Record, Telemetry
from tokentop.nouns.usage import Usage

from .records import AGENT_ID


def read_call(record: Record) -> Usage | None:
    """The call of a `response.completed` with counts."""
    values = record.values
    if record.name != "codex.sse_event" or values.get("event.kind") != "response.completed":
        return None
    session = identifier(text(values.get("conversation.id")))
    facts: list[Fact] = []
    used = tokens(
        AGENT_ID, facts, prompt=values.get("input_token_count"), cache_read=values.get("cached_token_count"),
        cache_write=values.get("cache_write_token_count"), output=values.get("output_token_count"),
        reasoning=values.get("reasoning_token_count"),
    )  # fmt: skip
    if facts or not session or not used.total:
        return None
    key = f"telemetry:{session}:{record.at_ms}:{used.prompt}:{used.output}"
    model = label(text(values.get("model")))
    return Usage(AGENT_ID, session, key, record.at_ms, model, used, "openai", telemetry=True)


TELEMETRY = Telemetry(
    services=("codex",),
    read=read_call,
    counters=(("codex.turn.token_usage", "token_type"),),
    where="in ~/.codex/config.toml; TOKEN = what {token_file} holds: values of this table are taken as they stand",
    setup="""[otel]
metrics_exporter = "none"
trace_exporter = "none"
[otel.exporter.otlp-http]
endpoint = "{url}/v1/logs"
protocol = "json"
headers = {{ Authorization = "Bearer TOKEN" }}""",
)
