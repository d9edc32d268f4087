"""Names of an invented year of work: projects, titles, branches, tools and files; deterministic by `rng`."""

from __future__ import annotations

import random


def _parts(text: str, between: str) -> list[str]:
    return text.split(between)


AGENTS: tuple[tuple[str, str, tuple[str, ...], int], ...] = (  # agent, provider, models, weight
    ("claude", "anthropic", ("claude-opus-4-5-20251101", "claude-sonnet-4-5", "claude-haiku-4-5"), 45),
    ("codex", "openai", ("gpt-5.2-codex", "gpt-5.1-codex-mini", "gpt-5.2"), 20),
    ("gemini", "google", ("gemini-3-pro-preview", "gemini-2.5-flash"), 8),
    ("opencode", "", ("glm-4.6", "claude-sonnet-4-5"), 7),
    ("copilot", "", ("gpt-5.1", "claude-sonnet-4-5"), 5),
    ("qwen", "", ("glm-4.6",), 4),
    ("kimi-cli", "moonshot", ("kimi-k2-thinking",), 3),
    ("pi", "anthropic", ("claude-sonnet-4-5", "claude-opus-4-5-20251101"), 3),
    ("vibe", "mistral", ("devstral-medium-2507",), 2),
    ("droid", "anthropic", ("claude-opus-4-5-20251101",), 2),
    ("goose", "local", ("house-model-v3",), 1),  # has no price
)
STEMS = _parts(
    "api-gateway billing-core web-frontend ml-pipeline infra-terraform mobile-app docs-site data-lake "
    "auth-service search-index payments cli-tools notifications scheduler image-proxy design-system "
    "feature-flags ledger warehouse-etl chat-server edge-router metrics-store invoice-pdf onboarding "
    "partner-portal sdk-python sdk-go sdk-typescript log-shipper secrets-vault rate-limiter "
    "session-replay load-tests release-bot localisation event-bus graph-explorer map-tiles "
    "voice-gateway fraud-rules recommender catalog inventory shipping tax-engine support-inbox "
    "admin-console status-page backup-agent device-fleet firmware simulator compiler-plugin dotfiles "
    "homelab blog thesis-notes advent-of-code game-prototype synth-plugin",
    " ",
)
VERBS = _parts(
    "fix add remove refactor speed_up explain test document split rename migrate upgrade investigate port "
    "simplify cache batch retry validate review harden measure revert extract inline replace wire_up "
    "clean_up back_out type-check lint paginate deduplicate encrypt",
    " ",
)
THINGS = _parts(
    "flaky retry test|connection pool|login form|token refresh|invoice rounding|webhook signature|"
    "search ranking|CSV export|date picker|migration script|rate limiter|feature flag|dark mode|"
    "error boundary|S3 upload|background job|cron schedule|Docker image|Helm chart|Terraform plan|"
    "GraphQL resolver|OpenAPI schema|pagination cursor|websocket reconnect|cache invalidation|"
    "null pointer|memory leak|slow query|N+1 query|race condition|deadlock|time zone handling|"
    "currency conversion|e-mail template|push notification|audit log|permission check|password reset|"
    "OAuth callback|session cookie|CORS preflight|thumbnail worker|PDF renderer|checkout flow|refund path|"
    "tax table|shipping label|stock counter|map projection|tile server|embedding job|training loop|"
    "eval harness|prompt cache|vector index|tokenizer|parser|lexer|type checker|linter rule|build cache|"
    "CI workflow|release notes|changelog|README|benchmark|profiler hook|metrics endpoint|trace span|"
    "log rotation|config loader|CLI flag|shell completion|man page|keyboard shortcut|drag and drop|"
    "scroll position|virtual list|colour palette|contrast check|screen reader label|translation file|"
    "plural rule|unicode width|regular expression|binary search|bloom filter|ring buffer|lock-free queue|"
    "thread pool|signal handler|file watcher|inode reuse|fsync order|WAL checkpoint|schema version|"
    "foreign key|partial index|soft delete|tenant isolation|quota reset|usage meter|billing cycle|"
    "proration|coupon code|trial period|SSO mapping",
    "|",
)
PLACES = _parts(
    "in the {p} service|for the mobile client|on Safari|under load|after the upgrade|behind the proxy|"
    "for large tenants|in staging|on Windows|when offline|at midnight|for empty input|with two workers|"
    "in the nightly build|for guests|across regions|before the release|in the importer|on ARM|"
    "for the demo",
    "|",
)
ROLES = ("explore", "plan", "review", "test-runner", "search", "summarise", "docs", "debug")
LAYERS = _parts(
    "src lib app core internal pkg server client web api tests scripts tools docs deploy",
    " ",
)
PARTS = _parts(
    "auth billing cache client config cursor db email events export flags forms handlers hooks http "
    "import index invoice jobs ledger limits login mail metrics middleware migrate models orders pages "
    "parser payments pdf permissions pool push queue rates refund render reports retry router schema "
    "search session shipping sign sockets stock storage stream sync tax templates tenant theme tiles "
    "timer tokens trace upload usage users validate vector views watch webhook workers",
    " ",
)
ENDINGS = (
    ".py",
    ".ts",
    ".tsx",
    ".go",
    ".rs",
    ".sql",
    ".md",
    ".yaml",
    "_test.go",
    ".test.ts",
    ".toml",
    ".css",
)
TOOLS = {
    "claude": "Bash Read Edit Write Grep Glob Task TodoWrite WebFetch WebSearch NotebookEdit mcp__github__get_issue",
    "codex": "shell apply_patch update_plan view_image web_search",
    "gemini": "run_shell_command read_file replace write_file search_file_content glob web_fetch",
    "opencode": "bash read edit write grep glob list task webfetch",
    "copilot": "bash view edit create report_intent",
    "qwen": "run_shell_command read_file edit write_file grep_search todo_write",
}
PROGRAMS = _parts(
    "git pytest npm cargo go make docker kubectl psql rg",
    " ",
)
OTHER_TOOLS = "bash read edit write search"


ONSETS, VOWELS, CODAS = (
    [
        "b",
        "br",
        "c",
        "d",
        "dr",
        "f",
        "g",
        "gr",
        "k",
        "l",
        "m",
        "n",
        "p",
        "pr",
        "r",
        "s",
        "st",
        "t",
        "tr",
        "v",
        "w",
        "z",
    ],
    ["a", "e", "i", "o", "u", "ai", "ea"],
    (["n", "r", "l", "s", "t", "x", "nd", "rk", "st", "th"]),
)


def name(rng: random.Random) -> str:
    """A word that only this user has: a module, a customer, a machine."""
    return "".join(
        rng.choice(ONSETS) + rng.choice(VOWELS) for _ in range(rng.choice((2, 2, 3)))
    ) + rng.choice(CODAS)


class Project:
    """One folder that agents work in: its files, its branches."""

    def __init__(self, project: str, rng: random.Random) -> None:
        self.name = project
        self.names = [name(rng) for _ in range(rng.randrange(20, 160))]
        self.files = sorted({self._file(rng) for _ in range(rng.randrange(60, 420))})

    def _file(self, rng: random.Random) -> str:
        part = rng.choice(PARTS) if rng.random() < 0.7 else rng.choice(self.names)
        more = "" if rng.random() < 0.5 else "_" + rng.choice(PARTS)
        return f"{rng.choice(LAYERS)}/{part}{more}{rng.choice(ENDINGS)}"

    def touched(self, rng: random.Random) -> list[str]:
        """Files of one session, of one corner of the project mostly."""
        at, count = rng.randrange(len(self.files)), min(len(self.files), int(rng.paretovariate(0.9)) + 1, 60)
        return [self.files[(at + rng.randrange(0, 30)) % len(self.files)] for _ in range(count)]


def projects(rng: random.Random) -> list[Project]:
    return [Project(name, rng) for name in STEMS]


def title(project: Project, rng: random.Random) -> str:
    """What somebody typed to begin a session."""
    verb, thing = rng.choice(VERBS).replace("_", " "), rng.choice(THINGS)
    text = f"{verb} the {thing}"
    if rng.random() < 0.6:
        text += " " + rng.choice(PLACES).replace("{p}", project.name)
    elif rng.random() < 0.4:
        text += f" for {rng.choice(project.names)}"
    if rng.random() < 0.15:
        text += f" (#{rng.randrange(100, 9000)})"
    return text if rng.random() < 0.5 else text[0].upper() + text[1:]


def branch(rng: random.Random) -> str:
    if rng.random() < 0.45:
        return "main"
    return f"{rng.choice(('fix', 'feat', 'chore', 'perf'))}/{rng.choice(THINGS).replace(' ', '-').lower()}"


def tools(agent: str, rng: random.Random) -> list[str]:
    names = TOOLS.get(agent, OTHER_TOOLS).split()
    return rng.sample(names, rng.randrange(1, len(names) + 1))
