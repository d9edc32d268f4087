"""Codex rollouts of the corpus, in the form of 0.98."""

from __future__ import annotations

import datetime as dt

from corpus_base import Book, Log
from corpus_text import PROJECTS, base62, hexid, iso, pick, result_size, uuid

MODELS = [("gpt-5.2-codex", 0.7), ("gpt-5.1-codex-max", 0.3)]

META = (
    b'{"id":"%s","timestamp":"%s","cwd":"/home/dev/src/%s","originator":"codex_cli_rs","cli_version":"0.98.0",'
    b'"source":"cli","model_provider":"openai","base_instructions":{"text":"%s"},'
    b'"git":{"commit_hash":"%s","branch":"main"}}'
)
TURN = (
    b'{"cwd":"/home/dev/src/%s","approval_policy":"never","sandbox_policy":{"type":"workspace-write"},'
    b'"model":"%s","effort":"high","summary":"auto"}'
)
REASONING = (
    b'{"type":"reasoning","summary":[{"type":"summary_text","text":"%s"}],"content":null,'
    b'"encrypted_content":"%s"}'
)
CALL = (
    b'{"type":"function_call","name":"exec_command","arguments":"{\\"cmd\\":\\"%s\\"}","call_id":"call_%s"}'
)
LIMITS = (
    b'{"type":"token_count","info":%s,"rate_limits":{"primary":{"used_percent":%.1f,"window_minutes":300,'
    b'"resets_at":%d},"secondary":{"used_percent":%.1f,"window_minutes":10080,"resets_at":%d},"credits":null,'
    b'"plan_type":"pro"}}'
)
USAGE = (
    b'{"input_tokens":%d,"cached_input_tokens":%d,"output_tokens":%d,"reasoning_output_tokens":%d,'
    b'"total_tokens":%d}'
)


class Rollout:
    """One session file, turn by turn, until it has its size."""

    def __init__(self, book: Book) -> None:
        rng = book.rng
        self.book, self.rng, self.take = book, rng, book.text.take
        self.id, self.name, self.model = uuid(rng), rng.choice(PROJECTS), pick(rng, MODELS)
        self.ms = book.start_time()
        day = dt.datetime.fromtimestamp(self.ms / 1000, dt.UTC)
        name = f"rollout-{day:%Y-%m-%dT%H-%M-%S}-{self.id}.jsonl"
        self.log = Log(book, book.out / f".codex/sessions/{day:%Y/%m/%d}" / name, "codex")
        self.total, self.last = [0] * 5, [0] * 5
        self.totals = book.models["codex"][self.model]
        self.percent_5h, self.percent_week = rng.random() * 30, rng.random() * 60
        self.context = 0

    def record(self, kind: bytes, payload: bytes) -> None:
        stamp = iso(self.ms).encode()
        self.log.line(b'{"timestamp":"%s","type":"%s","payload":%s}\n' % (stamp, kind, payload))

    def token_count(self, *, empty: bool = False) -> None:
        info = b"null"
        if not empty:
            total, last = USAGE % tuple(self.total), USAGE % tuple(self.last)
            info = b'{"total_token_usage":%s,"last_token_usage":%s,"model_context_window":272000}' % (
                total,
                last,
            )
        seconds = self.ms // 1000
        limits = (self.percent_5h, seconds + 9000, self.percent_week, seconds + 400_000)
        self.record(b"event_msg", LIMITS % (info, *limits))
        self.book.stats["codex_token_count_lines"] += 1

    def write(self, target: int) -> None:
        rng, take = self.rng, self.take
        instructions = take(rng, min(12_000, target // 3))
        front = (self.id.encode(), iso(self.ms).encode(), self.name.encode(), instructions)
        self.record(b"session_meta", META % (*front, hexid(rng, 40).encode()))
        self.context = rng.randrange(9_000, 16_000)
        while self.log.size < target:
            prompt = take(rng, rng.randrange(40, 1500))
            self.record(b"event_msg", b'{"type":"user_message","message":"%s","images":[]}' % prompt)
            self.record(b"turn_context", TURN % (self.name.encode(), self.model.encode()))
            if self.total[4] == 0:
                self.token_count(empty=True)
            for _ in range(1 + int(rng.expovariate(1 / 10))):
                if self.log.size >= target:
                    break
                self.response()
            answer = take(rng, rng.randrange(80, 1500))
            self.record(b"event_msg", b'{"type":"agent_message","message":"%s"}' % answer)
            self.ms += rng.randrange(2000, 400_000)
        self.log.close(self.ms)

    def response(self) -> None:
        """Reasoning, tool calls with their results, and the token counts of one API response."""
        rng, take, totals = self.rng, self.take, self.totals
        self.ms += rng.randrange(1500, 20_000)
        if self.total[4] and rng.random() < 0.3:  # a rate-limit refresh: unchanged totals, not to be counted
            self.token_count()
            self.book.stats["codex_repeat_token_counts"] += 1
            totals["naive_input"] += self.last[0]
            totals["naive_output"] += self.last[2]
        thought = take(rng, rng.randrange(60, 400))
        self.record(
            b"response_item", REASONING % (thought, base62(rng, 16).encode() * rng.randrange(40, 260))
        )
        thought = take(rng, rng.randrange(60, 400))
        self.record(b"event_msg", b'{"type":"agent_reasoning","text":"%s"}' % thought)
        for _ in range(rng.choice((1, 1, 2))):
            call = base62(rng, 24).encode()
            self.record(b"response_item", CALL % (base62(rng, 60).encode(), call))
            self.ms += rng.randrange(50, 5000)
            output = take(rng, min(result_size(rng), 60_000))
            body = b'{"type":"function_call_output","call_id":"call_%s","output":"%s"}' % (call, output)
            self.record(b"response_item", body)
        self.count()
        if self.context > 220_000:
            self.context = rng.randrange(9_000, 20_000)
            self.record(b"compacted", b'{"message":"%s"}' % take(rng, 2000))

    def count(self) -> None:
        rng, totals = self.rng, self.totals
        new, out = rng.randrange(200, 6000), rng.randrange(50, 1800)
        reasoning = int(out * rng.random() * 0.7)
        cached = self.context - self.context % 128
        self.context += new
        self.last = [self.context, cached, out, reasoning, self.context + out]
        self.total = [a + b for a, b in zip(self.total, self.last, strict=True)]
        self.percent_5h = min(99, self.percent_5h + 0.02)
        self.percent_week = min(99, self.percent_week + 0.005)
        self.token_count()
        totals["events"] += 1
        totals["input_incl_cached"] += self.context
        totals["cached"] += cached
        totals["output"] += out
        totals["reasoning"] += reasoning
        totals["naive_input"] += self.context
        totals["naive_output"] += out
        self.book.days[iso(self.ms)[:10]]["codex"] += self.context + out
