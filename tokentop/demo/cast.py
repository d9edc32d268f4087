"""The invented fleet: names, titles and prices. Nothing here exists."""

from __future__ import annotations

import random

from msgspec import Struct

from tokentop.nouns.usage import Tokens


def dice(seed: str) -> random.Random:
    """Return the dice of one part of the world: equal seeds throw the same."""
    return random.Random(seed)  # noqa: S311 - a play, no secret


class Model(Struct, frozen=True):
    """A model with plausible list prices in US dollars per million tokens; None = unpriced."""

    name: str
    provider: str
    window: int
    speed: float  # output tokens per second
    usd: tuple[float, float, float, float, float] | None  # input, output, cache read, write 5m, write 1h

    def cost_nusd(self, tokens: Tokens) -> int | None:
        if self.usd is None:
            return None
        fresh, out, read, write_5m, write_1h = self.usd
        usd_per_million = (
            tokens.input * fresh
            + tokens.output * out
            + tokens.cache_read * read
            + tokens.cache_write_5m * write_5m
            + tokens.cache_write_1h * write_1h
        )
        return round(usd_per_million * 1000)


OPUS = Model("claude-opus-5-5", "anthropic", 200_000, 62.0, (5.0, 25.0, 0.5, 6.25, 10.0))
SONNET = Model("claude-sonnet-5", "anthropic", 200_000, 85.0, (3.0, 15.0, 0.3, 3.75, 6.0))
HAIKU = Model("claude-haiku-5", "anthropic", 200_000, 150.0, (1.0, 5.0, 0.1, 1.25, 2.0))
GPT = Model("gpt-5.6", "openai", 400_000, 78.0, (1.75, 14.0, 0.175, 1.75, 1.75))
MINI = Model("gpt-5.6-mini", "openai", 400_000, 160.0, (0.3, 2.4, 0.03, 0.3, 0.3))
GEMINI = Model("gemini-3-pro", "google", 1_000_000, 95.0, (2.0, 12.0, 0.2, 2.0, 2.0))
GLM = Model("glm-5", "zai", 200_000, 70.0, (1.0, 3.2, 0.2, 1.0, 1.0))
HOUSE = Model("inhouse-coder-2", "local", 128_000, 40.0, None)

# (agent, model) of each place in the fleet, dealt out in turn
PLACES = (
    ("claude", OPUS),
    ("codex", GPT),
    ("claude", SONNET),
    ("claude", OPUS),
    ("gemini", GEMINI),
    ("codex", GPT),
    ("claude", OPUS),
    ("opencode", GLM),
    ("claude", SONNET),
    ("codex", MINI),
)

MODELS = {model.name: model for model in (OPUS, SONNET, HAIKU, GPT, MINI, GEMINI, GLM, HOUSE)}

PROJECTS = (
    ("api", "main"),
    ("web", "vite"),
    ("infra", "staging"),
    ("billing", "main"),
    ("docs", "guide-2"),
    ("mobile", "release/4.2"),
    ("search", "hnsw"),
    ("ingest", "main"),
    ("auth", "passkeys"),
    ("admin", "main"),
    ("etl", "backfill"),
    ("sdk", "next"),
)

TITLES = (
    "fix the flaky retry test",
    "move the build to vite",
    "terraform plan for staging",
    "rewrite the guide",
    "explain the cache layer",
    "drop the N+1 in the invoice list",
    "passkey login behind a flag",
    "why does the backfill skip rows",
    "split the payments module",
    "upgrade to Python 3.14",
    "port the CLI to clap 5",
    "bisect the memory leak in ingest",
    "type the event bus",
    "add cursor pagination to /orders",
    "make the date picker accessible",
    "tests for the tax rounding",
    "replace moment with Temporal",
    "shrink the docker image",
    "index tuning for search",
    "review the retry policy",
    "dark mode for the admin tables",
    "generate the OpenAPI client",
    "idempotency keys for webhooks",
    "CI: cache the wheels",
    "trace the slow cold start",
    "delete the legacy feature flags",
    "stream the CSV export",
    "rate limits per tenant",
    "crash on rotate in the camera view",
    "migrate sessions to Redis 8",
    "property tests for the parser",
    "backoff with jitter in the SDK",
    "fix time zones in the reports",
    "sort out circular imports",
    "schema for audit events",
    "make search typo tolerant",
    "prune unused translations",
    "p99 of the checkout endpoint",
    "release notes for 4.2",
    "extract the mailer service",
    "lint rules for the monorepo",
    "write the on-call runbook",
    "deduplicate contact imports",
    "sign the macOS build",
    "flaky Playwright: login spec",
    "retire the cron host",
    "compress the event archive",
    "validate webhooks at the edge",
)

SUB_TASKS = (
    "explore: call sites of retry",
    "explore: where sessions are stored",
    "review: error handling",
    "review: SQL migrations",
    "search: usages of the old client",
    "write: unit tests for pagination",
    "write: fixtures",
    "check: public API diff",
    "summarise: CI failures of the week",
    "plan: module boundaries",
    "explore: how errors are logged",
    "review: the new migration path",
    "check: licences of new packages",
    "search: dead feature flags",
    "write: changelog entry",
    "explore: who reads the queue",
)

# (tool as the log names it, command of its process; "" = no process of its own)
TOOLS = (
    ("Bash", "python -m pytest -x -q"),
    ("Bash", "npm run build"),
    ("Bash", "cargo test --workspace"),
    ("Bash", "rg --json retry src"),
    ("Bash", "make lint"),
    ("Bash", "docker compose up -d db"),
    ("Bash", "go test ./..."),
    ("Bash", "git diff --stat main"),
    ("Edit", ""),
    ("Read", ""),
    ("Grep", ""),
    ("Write", ""),
)
PROGRAMS = {  # of commands, as outlines name them
    "python -m pytest -x -q": "pytest", "npm run build": "npm run", "cargo test --workspace": "cargo test",
    "rg --json retry src": "rg", "make lint": "make lint", "docker compose up -d db": "docker compose", "go test ./...": "go test",
    "git diff --stat main": "git diff",
}  # fmt: skip
TESTING = frozenset({"pytest", "cargo test", "go test"})
IN_A_LOOP = tuple(tool for tool in TOOLS if tool[0] not in ("Edit", "Write"))  # works and changes nothing

ASKED = ("terraform apply -auto-approve", "git push --force-with-lease", "rm -rf build/", "psql -f 042.sql")

FILES = (
    "src/retry.py", "src/server/handlers.go", "tests/test_upload.py", "package.json", "lib/cache/store.ts",
    "docs/guide.md", "cmd/worker/main.go", "infra/modules/vpc/main.tf", "src/index.ts", "crates/core/src/lib.rs",
)  # fmt: skip
SAID = (
    "The failing test waits for a lock that the retry still holds.", "I will look at the call sites first.",
    "Two of them pass the wrong timeout; fixing both.", "That works. Running the whole suite again.",
    "The cache key misses the tenant, so results mix.", "Let me check how the build picks the config.",
    "The error comes from the mock, not from the code.", "Done; next is the migration of the old rows.",
)  # fmt: skip
