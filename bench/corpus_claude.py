"""Claude Code logs of the corpus, in the form of 2.1.5 to 2.1.60, with traps that a reader must survive."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from corpus_base import Book, Counts, Log
from corpus_text import PROJECTS, WORDS, base62, hexid, iso, pick, result_size, uuid

MODELS = [
    ("claude-opus-4-5-20251101", 0.55),
    ("claude-sonnet-4-5-20250929", 0.33),
    ("claude-haiku-4-5-20251001", 0.12),
]

ASSISTANT = (
    b'{"parentUuid":%s,%s"message":{"model":"%s","id":"%s","type":"message","role":"assistant","content":[%s],'
    b'"stop_reason":%s,"stop_sequence":null,"usage":{"input_tokens":%d,"cache_creation_input_tokens":%d,'
    b'"cache_read_input_tokens":%d,"cache_creation":{"ephemeral_5m_input_tokens":%d,'
    b'"ephemeral_1h_input_tokens":%d},"output_tokens":%d,"service_tier":"standard",'
    b'"inference_geo":"not_available"}},"requestId":"%s","type":"assistant","uuid":"%s","timestamp":"%s"}\n'
)
SNAPSHOT = (
    b'{"type":"file-history-snapshot","messageId":"%s","snapshot":{"messageId":"%s","trackedFileBackups":{},'
    b'"timestamp":"%s"},"isSnapshotUpdate":false}\n'
)
PROMPT = (
    b'{"parentUuid":%s,%s"type":"user","message":{"role":"user","content":"%s"},'
    b'"uuid":"%s","timestamp":"%s"}\n'
)
COMPACTED = (
    b'{"parentUuid":null,%s"type":"system","subtype":"compact_boundary","content":"Conversation compacted",'
    b'"level":"info","compactMetadata":{"trigger":"auto","preTokens":165000},"uuid":"%s","timestamp":"%s"}\n'
)
PROGRESS = (
    b'{"parentUuid":%s,%s"type":"progress","data":{"type":"bash_progress","output":"%s","fullOutput":"%s",'
    b'"elapsedTimeSeconds":%d,"totalLines":%d},"toolUseID":"bash-progress-%d","parentToolUseID":"%s",'
    b'"uuid":"%s","timestamp":"%s"}\n'
)
RESULT = (
    b'{"parentUuid":%s,%s"type":"user","message":{"role":"user","content":[{"tool_use_id":"%s",'
    b'"type":"tool_result","content":"%s"}]},"uuid":"%s","timestamp":"%s","toolUseResult":%s,'
    b'"sourceToolAssistantUUID":%s}\n'
)
CHILD_RESULT = (
    b'{"status":"completed","prompt":"%s","agentId":"%s","totalDurationMs":%d,"totalTokens":%d,'
    b'"totalToolUseCount":%d,"usage":{"input_tokens":%d,"cache_creation_input_tokens":%d,'
    b'"cache_read_input_tokens":%d,"output_tokens":%d,"service_tier":"standard"}}'
)
SYNTHETIC = (
    b'{"parentUuid":%s,%s"message":{"model":"<synthetic>","id":"%s","type":"message","role":"assistant",'
    b'"content":[{"type":"text","text":"API Error: 529 Overloaded"}],"stop_reason":"stop_sequence",'
    b'"stop_sequence":"","usage":{"input_tokens":0,"output_tokens":0,"cache_creation_input_tokens":0,'
    b'"cache_read_input_tokens":0,"server_tool_use":{"web_search_requests":0},"service_tier":null}},'
    b'"type":"assistant","uuid":"%s","timestamp":"%s","isApiErrorMessage":true}\n'
)
DENSE = (
    b'{"parentUuid":null,%s"message":{"model":"%s","id":"msg_01%s","type":"message","role":"assistant",'
    b'"content":[],"stop_reason":"tool_use","usage":{"input_tokens":%d,"cache_creation_input_tokens":%d,'
    b'"cache_read_input_tokens":%d,"cache_creation":{"ephemeral_5m_input_tokens":%d,'
    b'"ephemeral_1h_input_tokens":0},"output_tokens":%d,"service_tier":"standard"}},"requestId":"req_011%s",'
    b'"type":"assistant","uuid":"%s","timestamp":"%s"}\n'
)


@dataclass(frozen=True)
class Owner:
    session: str
    cwd: str
    agent: str = ""  # "" = not a sub-agent


def count_naive(totals: Counts, inp: int, out: int, read: int, write: int) -> None:
    """What a reader finds that counts every line."""
    totals["naive_input"] += inp
    totals["naive_output"] += out
    totals["naive_cache_read"] += read
    totals["naive_cache_creation"] += write


def count_event(
    totals: Counts, day: Counts, inp: int, out: int, read: int, write_5m: int, write_1h: int, first_out: int
) -> None:
    """One response, as it must be counted; `first_out` = what a reader finds that takes its first line."""
    totals["events"] += 1
    totals["input"] += inp
    totals["output"] += out
    totals["first_wins_output"] += first_out
    totals["cache_read"] += read
    totals["cache_5m"] += write_5m
    totals["cache_1h"] += write_1h
    day["claude"] += inp + out + read + write_5m + write_1h


def write_sessions(book: Book, sizes: list[int]) -> None:
    """Session files and sub-agent files, of these sizes."""
    rng = book.rng
    owner, start, slug = None, 0, ""
    for size in sizes:
        if owner is None or rng.random() < 0.45:
            name = rng.choice(PROJECTS)
            slug = f"-home-dev-src-{name}"
            owner = Owner(uuid(rng), f"/home/dev/src/{name}")
            start = book.start_time()
            path = book.out / ".claude/projects" / slug / f"{owner.session}.jsonl"
            Transcript(book, path, owner, start).write(size)
        else:
            agent = hexid(rng, 7)
            start += rng.randrange(10_000, 600_000)
            folder = book.out / ".claude/projects" / slug / owner.session / "subagents"
            child = Owner(owner.session, owner.cwd, agent)
            Transcript(book, folder / f"agent-{agent}.jsonl", child, start).write(size)


class Transcript:
    """One session file, turn by turn, until it has its size."""

    def __init__(self, book: Book, path: Path, owner: Owner, start: int) -> None:
        rng = book.rng
        self.book, self.rng, self.take, self.owner = book, rng, book.text.take, owner
        self.log = Log(book, path, "claude")
        self.model = pick(rng, MODELS)
        version = f"2.1.{rng.randrange(5, 60)}"
        branch = rng.choice(("main", "feat/retry", "fix/flaky-test"))
        agent = f'"agentId":"{owner.agent}",' if owner.agent else ""
        self.head = (
            f'"isSidechain":{"true" if owner.agent else "false"},"userType":"external","cwd":"{owner.cwd}",'
            f'"sessionId":"{owner.session}","version":"{version}","gitBranch":"{branch}",{agent}'
        ).encode()
        self.ms, self.parent, self.cached = start, b"null", rng.randrange(12_000, 24_000)
        self.replay: list[bytes] = []

    def stamp(self) -> bytes:
        return iso(self.ms).encode()

    def uuid(self) -> bytes:
        return uuid(self.rng).encode()

    def write(self, target: int) -> None:
        rng, log = self.rng, self.log
        if not self.owner.agent:
            log.line(SNAPSHOT % (self.uuid(), self.uuid(), self.stamp()))
            if self.book.pending_fork and rng.random() < 0.5:
                self.fork()
        while log.size < target:
            u = self.uuid()
            text = self.take(rng, rng.randrange(40, 3000))
            log.line(PROMPT % (self.parent, self.head, text, u, self.stamp()))
            self.parent = b'"%s"' % u
            for _ in range(1 + int(rng.expovariate(1 / 12))):
                if log.size >= target:
                    break
                for tool in self.response():
                    self.result(tool)
            if rng.random() < 0.01:
                log.line(SYNTHETIC % (self.parent, self.head, self.uuid(), self.uuid(), self.stamp()))
                self.book.stats["claude_usage_lines"] += 1
                self.book.stats["claude_synthetic"] += 1
            self.ms += rng.randrange(2000, 600_000)
        log.close(self.ms)
        if not self.owner.agent and len(self.replay) >= 20 and rng.random() < 0.04:
            self.book.pending_fork = self.replay

    def fork(self) -> None:
        """A forked session begins with the lines of an earlier one, verbatim."""
        for data in self.book.pending_fork:
            self.log.line(data)
            self.book.stats["claude_usage_lines"] += 1
            self.book.stats["claude_replayed_usage_lines"] += 1
            message = json.loads(data)["message"]
            u = message["usage"]
            totals = self.book.models["claude"][message["model"]]
            read, written = u["cache_read_input_tokens"], u["cache_creation_input_tokens"]
            count_naive(totals, u["input_tokens"], u["output_tokens"], read, written)
        self.book.pending_fork = []

    def response(self) -> list[bytes]:
        """One API response over several lines; returns the ids of its tool calls."""
        rng = self.rng
        self.ms += rng.randrange(1500, 25_000)
        mid, rid = "msg_01" + base62(rng, 22), "req_011" + base62(rng, 21)
        blocks, tools = self.shape()
        fresh = rng.randrange(150, 9000)
        inp, out = rng.randrange(1, 12), rng.randrange(60, 2600)
        write_1h = fresh if rng.random() < 0.25 else 0
        write_5m = fresh - write_1h
        first_out = rng.randrange(1, 9)
        totals, day = self.book.models["claude"][self.model], self.book.days[iso(self.ms)[:10]]
        ids: list[bytes] = []
        for i, kind in enumerate(blocks):
            last = i == len(blocks) - 1
            seen_out = out if last else first_out
            content = self.block(kind, ids)
            stop = (b'"tool_use"' if tools else b'"end_turn"') if last else b"null"
            u = self.uuid()
            front = (self.parent, self.head, self.model.encode(), mid.encode(), content, stop)
            counted = (inp, fresh, self.cached, write_5m, write_1h, seen_out)
            data = ASSISTANT % (*front, *counted, rid.encode(), u, self.stamp())
            self.log.line(data)
            self.parent = b'"%s"' % u
            self.book.stats["claude_usage_lines"] += 1
            count_naive(totals, inp, seen_out, self.cached, fresh)
            if not self.owner.agent and len(self.replay) < 60:
                self.replay.append(data)
            self.ms += rng.randrange(80, 900)
        first = first_out if len(blocks) > 1 else out
        count_event(totals, day, inp, out, self.cached, write_5m, write_1h, first)
        self.cached += fresh
        if self.cached > 165_000:
            self.cached = rng.randrange(14_000, 30_000)
            self.log.line(COMPACTED % (self.head, self.uuid(), self.stamp()))
        return ids

    def shape(self) -> tuple[list[str], int]:
        """The kinds of a response's blocks, and how many are tool calls."""
        rng = self.rng
        blocks: list[str] = []
        if rng.random() < 0.45:
            blocks.append("thinking")
        if rng.random() < 0.4:
            blocks.append("text")
        tools = rng.choice((1, 1, 1, 1, 2, 3)) if rng.random() < 0.93 else 0
        blocks += ["tool_use"] * tools
        return blocks or ["text"], tools

    def block(self, kind: str, ids: list[bytes]) -> bytes:
        rng, take = self.rng, self.take
        if kind == "thinking":
            thought = take(rng, rng.randrange(100, 2500))
            signature = base62(rng, 8).encode() * rng.randrange(40, 200)
            return b'{"type":"thinking","thinking":"%s","signature":"%s"}' % (thought, signature)
        if kind == "text":
            return b'{"type":"text","text":"%s"}' % take(rng, rng.randrange(60, 1800))
        ids.append(b"toolu_01" + base62(rng, 22).encode())
        big = rng.random() < 0.15
        word = rng.choice(WORDS).encode()
        content = take(rng, rng.randrange(2000, 20_000) if big else rng.randrange(40, 400))
        name = b"Write" if big else b"Bash"
        return (
            b'{"type":"tool_use","id":"%s","name":"%s","input":{"file_path":"%s/src/%s.py","content":"%s"}}'
        ) % (ids[-1], name, self.owner.cwd.encode(), word, content)

    def result(self, tool: bytes) -> None:
        """Hook and shell progress, then the result of one tool call."""
        rng, take = self.rng, self.take
        for _ in range(rng.choice((2, 2, 3, 4, 6))):
            self.ms += rng.randrange(20, 700)
            shown = (take(rng, 60), take(rng, rng.randrange(40, 500)))
            numbers = (rng.randrange(200), rng.randrange(400), rng.randrange(200))
            ends = (tool, self.uuid(), self.stamp())
            self.log.line(PROGRESS % (self.parent, self.head, *shown, *numbers, *ends))
        self.ms += rng.randrange(50, 4000)
        body, u, r = take(rng, result_size(rng)), self.uuid(), rng.random()
        if r < 0.03:  # a finished sub-agent: a real usage object on a user line, which must not be counted
            front = (take(rng, 400), hexid(rng, 7).encode(), rng.randrange(9**6), rng.randrange(9**5))
            tail = CHILD_RESULT % (*front, rng.randrange(40), 5, 900, 40_000, 700)
            self.book.stats["claude_tooluseresult_usage_lines"] += 1
        elif r < 0.75:
            tail = b'{"stdout":"%s","stderr":"","interrupted":false,"isImage":false}' % body
        else:
            tail = b'"%s"' % body[:200].split(b"\\")[0]
        self.log.line(RESULT % (self.parent, self.head, tool, body, u, self.stamp(), tail, self.parent))
        self.parent = b'"%s"' % u


def write_dense(book: Book, events: int, per_file: int = 250, *, subagents: bool = False) -> None:
    """One line per response, no content. With `subagents`, every second file is one of the session before."""
    rng = book.rng
    made = files = start = 0
    folder, session, name, model = book.out, "", "", ""
    while made < events:
        n = min(per_file, events - made)
        if subagents and files % 2:
            agent = hexid(rng, 7)
            path = folder / session / "subagents" / f"agent-{agent}.jsonl"
            extra = f'"isSidechain":true,"agentId":"{agent}",'
        else:
            name, session, model = rng.choice(PROJECTS), uuid(rng), pick(rng, MODELS)
            folder, extra = book.out / f".claude/projects/-home-dev-src-{name}", '"isSidechain":false,'
            path, start = folder / f"{session}.jsonl", book.start_time()
        head = f'{extra}"cwd":"/home/dev/src/{name}","sessionId":"{session}","version":"2.1.50",'
        _dense_file(book, path, n, head.encode(), model, start)
        made += n
        files += 1


def _dense_file(book: Book, path: Path, n: int, head: bytes, model: str, ms: int) -> None:
    rng, totals, log = book.rng, book.models["claude"][model], Log(book, path, "claude")
    cached = rng.randrange(12_000, 24_000)
    for _ in range(n):
        ms += rng.randrange(1500, 25_000)
        fresh, inp, out = rng.randrange(150, 9000), rng.randrange(1, 12), rng.randrange(60, 2600)
        mid, rid = base62(rng, 22).encode(), base62(rng, 21).encode()
        front = (head, model.encode(), mid, inp, fresh, cached, fresh, out, rid)
        log.line(DENSE % (*front, uuid(rng).encode(), iso(ms).encode()))
        book.stats["claude_usage_lines"] += 1
        count_naive(totals, inp, out, cached, fresh)
        count_event(totals, book.days[iso(ms)[:10]], inp, out, cached, fresh, 0, out)
        cached = cached + fresh if cached < 165_000 else rng.randrange(14_000, 30_000)
    log.close(ms)
