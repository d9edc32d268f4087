"""The clients of `make e2e-agents`: how each is installed, configured and started, and what its logs leave out.

`{port}`, `{home}` and `{project}` in configurations and variables are filled in; the key, which the provider writes
into its ledger, tells the clients of one world apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SONNET = "claude-sonnet-4-5"
COST = {"input": 3, "output": 15, "cacheRead": 0.3, "cacheWrite": 3.75}


@dataclass(frozen=True)
class Client:
    """`program` below the cache; `arguments` go before those of the run, `run(prompt)` makes a headless one."""

    program: str
    run: Callable[[str], list[str]]
    arguments: tuple[str, ...] = ()
    on_node: bool = False  # the program is a script that wants the Node of the cache
    env: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)  # below HOME, written once
    first: tuple[str, ...] = ()  # arguments of a run that makes the settings, once
    tools: bool = True  # it offers a shell to the model
    # What its logs do not hold, with the reason; see docs/clients.md.
    unlogged: Callable[[dict[str, Any]], bool] = lambda _row: False  # calls without any record
    no_reasoning: bool = False
    estimated: bool = False  # figures that are rounded or guessed: only the number of calls is compared
    in_project: bool = False  # its log lies in the project, which an open tokentop learns of from the process
    # A call whose tool runs when the client is killed: "unknown", "nothing" (not even that); "" = counted.
    lost_in_tool: str = ""

    @property
    def key(self) -> str:
        return f"fake-{Path(self.program).parts[0]}-key-0000000000000000000000"


def compact(value: object) -> str:
    return json.dumps(value)


def _node(agent: str, binary: str = "") -> str:
    return f"{agent}/node_modules/.bin/{binary or agent}"


def _open(label: str, package: str = "@ai-sdk/anthropic") -> str:
    """Configuration of OpenCode and its fork."""
    model = {"name": label, "tool_call": True, "limit": {"context": 200_000, "output": 32_000}}
    prices = {"input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75}
    options = {"baseURL": "http://127.0.0.1:{port}/v1", "apiKey": "{key}"}
    provider = {
        "npm": package,
        "name": label,
        "options": options,
        "models": {SONNET: {**model, "cost": prices}},
    }
    head = {"autoupdate": False, "share": "disabled", "permission": "allow", "model": f"fake/{SONNET}"}
    return compact({**head, "provider": {"fake": provider}})


def _anthropic(base: str) -> dict[str, Any]:
    """A provider in the style of pi and OpenClaw."""
    model = {"id": SONNET, "name": "Fake", "input": ["text"], "contextWindow": 200_000, "maxTokens": 32_000}
    return {
        "baseUrl": base,
        "api": "anthropic-messages",
        "apiKey": "{key}",
        "models": [{**model, "reasoning": False, "cost": COST}],
    }


KIMI = """\
default_model = "fake"
telemetry = false
[models.fake]
provider = "fake"
model = "kimi-k2"
max_context_size = 200000
[providers.fake]
type = "kimi"
base_url = "http://127.0.0.1:{port}/v1"
api_key = "{key}"
"""
VIBE = """\
active_model = "fake"
enable_telemetry = false
enable_update_checks = false
enable_auto_update = false
[[providers]]
name = "fake"
api_base = "http://127.0.0.1:{port}/v1"
api_key_env_var = "FAKE_API_KEY"
api_style = "openai"
backend = "generic"
[[models]]
name = "fake-model"
provider = "fake"
alias = "fake"
input_price = 1.0
output_price = 10.0
"""
CONTINUE = """\
name: fake
version: 1.0.0
schema: v1
models:
  - name: fake
    provider: anthropic
    model: claude-sonnet-4-5
    apiKey: {key}
    apiBase: http://127.0.0.1:{port}/v1/
    roles: [chat]
    capabilities: [tool_use]
"""
OPENCLAW = {
    "agents": {"defaults": {"model": {"primary": f"fake/{SONNET}"}, "workspace": "{project}"}},
    "models": {"mode": "merge", "providers": {"fake": _anthropic("http://127.0.0.1:{port}")}},
}
DROID = {
    "model": SONNET,
    "displayName": "fake",
    "id": "custom:fake",
    "provider": "anthropic",
    "baseUrl": "http://127.0.0.1:{port}",
    "apiKey": "{key}",
    "maxOutputTokens": 32_000,
}
GEMINI = {
    "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "general": {"enableAutoUpdate": False, "disableAutoUpdate": True},
}
QWEN = {
    "security": {"auth": {"selectedType": "openai"}},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "general": {"enableAutoUpdate": False, "disableAutoUpdate": True},
}

TABLE = {
    "gemini": Client(
        _node("gemini"),
        lambda prompt: ["-y", "-m", "gemini-2.5-pro", "-p", prompt],
        on_node=True,
        env={
            "GEMINI_API_KEY": "{key}",
            "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:{port}",
            "GEMINI_CLI_TRUST_WORKSPACE": "true",
        },
        files={".gemini/settings.json": compact(GEMINI)},
    ),
    "qwen": Client(
        _node("qwen"),
        lambda prompt: ["-y", "-p", prompt],
        on_node=True,
        env={
            "OPENAI_API_KEY": "{key}",
            "OPENAI_BASE_URL": "http://127.0.0.1:{port}/v1",
            "OPENAI_MODEL": "qwen3-coder-plus",
        },
        files={".qwen/settings.json": compact(QWEN)},
    ),
    "opencode": Client(
        _node("opencode"),
        lambda prompt: ["run", prompt],
        env={f"OPENCODE_DISABLE_{name}": "1" for name in ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD")},
        files={".config/opencode/opencode.json": _open("Fake")},
        unlogged=lambda row: row["tools"] == 0,  # the call that makes the title of a session
        lost_in_tool="unknown",
    ),
    "kilo": Client(
        _node("kilo"),
        lambda prompt: ["run", "--auto", prompt],
        env={
            "KILO_DISABLE_AUTOUPDATE": "1",
            "KILO_DISABLE_MODELS_FETCH": "1",
            "KILO_TELEMETRY_LEVEL": "off",
        },
        files={".config/kilo/kilo.json": _open("Fake")},
        lost_in_tool="unknown",
    ),
    "copilot": Client(
        _node("copilot"),
        lambda prompt: ["--allow-all-tools", "-p", prompt],
        env={
            "COPILOT_OFFLINE": "true",
            "COPILOT_AUTO_UPDATE": "false",
            "COPILOT_PROVIDER_TYPE": "anthropic",
            "COPILOT_PROVIDER_BASE_URL": "http://127.0.0.1:{port}",
            "COPILOT_PROVIDER_API_KEY": "{key}",
            "COPILOT_MODEL": SONNET,
        },
    ),
    "pi": Client(
        _node("pi"),
        lambda prompt: ["-p", f"go {prompt}"],  # a prompt that begins with @ is taken for a file name
        arguments=("--provider", "fake", "--model", SONNET),
        env={"PI_SKIP_VERSION_CHECK": "1", "PI_OFFLINE": "1", "PI_TELEMETRY": "0"},
        files={
            ".pi/agent/models.json": compact({"providers": {"fake": _anthropic("http://127.0.0.1:{port}")}})
        },
    ),
    "kimi-code": Client(
        _node("kimi-code", "kimi"),
        lambda prompt: ["-p", prompt],
        env={"KIMI_CLI_NO_AUTO_UPDATE": "1", "KIMI_DISABLE_TELEMETRY": "1"},
        files={".kimi-code/config.toml": KIMI},
        no_reasoning=True,
    ),
    "kimi-cli": Client(
        "kimi-cli/bin/kimi",
        lambda prompt: ["--print", "-y", "-p", prompt],
        env={"KIMI_CLI_NO_AUTO_UPDATE": "1"},
        files={".kimi/config.toml": KIMI},
        no_reasoning=True,
    ),
    "droid": Client(
        "droid/node_modules/@factory/cli-linux-x64/bin/droid",
        lambda prompt: ["exec", "--auto", "high", "-m", "custom:fake", prompt],
        env={"FACTORY_API_KEY": "fk-fake", "DROID_DISABLE_AUTO_UPDATE": "1"},
        files={".factory/settings.json": compact({"customModels": [DROID]})},
    ),
    "openclaw": Client(
        _node("openclaw"),
        lambda prompt: ["agent", "--local", "--agent", "main", "-m", prompt],
        on_node=True,
        env={"OPENCLAW_SKIP_UPDATE_CHECK": "1"},
        files={".openclaw/openclaw.json": compact(OPENCLAW)},
    ),
    "cline": Client(
        _node("cline"),
        lambda prompt: [prompt],
        arguments=("-P", "openai-compatible", "-m", "fake-model"),
        env={"CLINE_TELEMETRY_DISABLED": "1", "CLINE_NO_AUTO_UPDATE": "1"},
        first=(
            *("auth", "-p", "openai-compatible", "-k", "{key}"),
            *("-m", "fake-model", "-b", "http://127.0.0.1:{port}/v1"),
        ),
        no_reasoning=True,
    ),
    "continue": Client(
        _node("continue", "cn"),
        lambda prompt: ["--auto", "-p", prompt],
        arguments=("--config", "{home}/.continue/config.yaml"),
        on_node=True,
        env={"CONTINUE_TELEMETRY_ENABLED": "0", "CONTINUE_METRICS_ENABLED": "0"},
        files={".continue/config.yaml": CONTINUE},
        lost_in_tool="nothing",  # its file is written at the end of a turn
    ),
    "vibe": Client(
        "vibe/bin/vibe",
        lambda prompt: ["--agent", "auto-approve", "--trust", "-p", prompt],
        env={"FAKE_API_KEY": "{key}", "MISTRAL_API_KEY": "{key}"},
        files={".vibe/config.toml": VIBE},
        no_reasoning=True,
    ),
    "aider": Client(
        "aider/bin/aider",
        lambda prompt: ["--message", prompt],
        arguments=(
            *("--model", "openai/gpt-5", "--no-analytics", "--no-check-update", "--no-show-release-notes"),
            *("--no-show-model-warnings", "--yes-always", "--no-pretty"),
        ),
        env={
            "OPENAI_API_KEY": "{key}",
            "OPENAI_API_BASE": "http://127.0.0.1:{port}/v1",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        },
        tools=False,
        estimated=True,
        in_project=True,
    ),
}


def fill(text: str, values: dict[str, str]) -> str:
    """`text` with {port}, {home}, {project} and {key} replaced; other braces stay."""
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    return text


def prepare(client: Client, home: Path, values: dict[str, str]) -> None:
    """Write the client's configuration, if it is not there."""
    for name, text in client.files.items():
        path = home / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(fill(text, values))
