"""Which table entries a logged (provider, model) may mean, best first. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Names that agents log for a host -> the host's name in the table.
_HOST_NAMES = {
    "anthropic": "anthropic claude claude-code firstparty",
    "openai": "openai codex chatgpt openai-codex openai-responses openai-native text-completion-openai",
    "google": "google gemini google-ai google-ai-studio google-generative-ai google-gemini-cli gemini-api-key"
    " google-gemini google-code-assist",
    "vertex": "vertex vertex-ai google-vertex google-vertex-ai google-vertex-anthropic gcp-vertex vertexai",
    "bedrock": "bedrock amazon-bedrock aws-bedrock aws bedrock-converse amazon bedrock-mantle",
    "azure": "azure azure-ai azure-openai azure-foundry foundry microsoft-foundry azure-cognitive-services",
    "xai": "xai x-ai grok x.ai",
    "deepseek": "deepseek",
    "moonshot": "moonshot moonshotai moonshot-ai moonshotai-cn kimi kimi-for-coding kimi-code kimi-coding",
    "zai": "zai z-ai z.ai zai-coding-plan zai-org glm",
    "zhipu": "zhipu zhipuai bigmodel zhipuai-coding-plan",
    "mistral": "mistral mistralai codestral mistral-ai",
    "dashscope": "dashscope qwen alibaba alibaba-cn qwen-oauth qwen-code qwencloud modelstudio bailian",
    "minimax": "minimax minimaxi minimax-cn minimaxai minimax-coding-plan",
    "groq": "groq",
    "cerebras": "cerebras",
    "fireworks": "fireworks fireworks-ai",
    "together": "together together-ai togetherai togethercomputer",
    "openrouter": "openrouter open-router",
    "copilot": "copilot github-copilot copilot-chat github-copilot-enterprise githubcopilot",
    "opencode": "opencode opencode-go opencode-zen zen",
    "cursor": "cursor",
    "meta": "meta meta-llama meta-models",
    "xiaomi": "xiaomi xiaomi-mimo xiaomimimo",
    "cognition": "cognition",
    "zed": "zed zed.dev zed-dev",
}
HOST_BY_NAME = {name: host for host, names in _HOST_NAMES.items() for name in names.split()}

# Makers that sell their own models come first: a bare id means their list price.
HOMES: tuple[str, ...] = (
    "anthropic",
    "openai",
    "google",
    "xai",
    "deepseek",
    "moonshot",
    "zai",
    "mistral",
    "dashscope",
    "minimax",
    "zhipu",
    "meta",
    "xiaomi",
    "cognition",
    "cursor",
)
RESELLERS: tuple[str, ...] = (
    "vertex",
    "bedrock",
    "azure",
    "groq",
    "cerebras",
    "fireworks",
    "together",
    "openrouter",
    "opencode",
    "copilot",
)

# They run on the user's own machine and send no bill.
_LOCAL_NAMES = (
    "ollama lmstudio lm-studio llama.cpp llamacpp llama-cpp llama-server llamafile mlx vllm localai jan"
    " lemonade gpt4all koboldcpp docker-model-runner oss"
)
LOCAL = frozenset(_LOCAL_NAMES.split())

# Hosts that resell at the maker's list price times a factor (thousandths). Zed: list price + 10 %.
HOST_FACTORS = {"zed": 1100}

_CLAUDE_DOT = re.compile(r"(?<=\d)\.(?=\d)")
_WINDOW_MARK = re.compile(r"\[\d+[km]\]$")
_BEDROCK = re.compile(r"^(?:(?:global|us-gov|us|eu|apac|au|jp|ca|sa)\.)?[a-z0-9]+\.(?=[a-z])")
# A data region (not `global`) in a Bedrock or Azure id: it usually costs a tenth more.
_DEARER = re.compile(r"(?:^|/)((?:us-gov|us|eu|apac|au|jp|ca|sa)[./])")
_REGION = re.compile(r"^(?:global|us-gov|us|eu|apac|au|jp|ca|sa)\.")
_TAILS = (
    re.compile(r"-20\d{6}(?=$|-v\d+|@)"),
    re.compile(r"-20\d\d-\d\d-\d\d$"),
    re.compile(r"@[a-z0-9-]+$"),
    re.compile(r"-v\d+:\d+$|(?<=\d)-v\d+$"),
    re.compile(r"(?::(?:thinking|none|minimal|low|medium|high|xhigh|max)|-thinking|-tee)$"),
    re.compile(r"(?<=\d)-(?:minimal|low|medium|high|xhigh)$|(?<=codex)-(?:minimal|low|medium|high|xhigh)$"),
)
# Words that make another model of the same version: a prefix that drops one of them is another price.
_MOST_FORMS = 32  # real ids have fewer than 10; a hostile one must not cost time
_CLASSES = (
    "mini nano micro lite small medium large xl flash flashx fast turbo ultrafast highspeed lightning pro max"
    " ultra plus air airx spark instant free batch distill vision image audio tts live embed embedding deep"
    " research search realtime transcribe cyber robotics express premier cloud opus sonnet haiku fable mythos"
    " sol terra luna astra argon contributor computer guard safeguard rerank ocr"
)
_CLASS_WORDS = frozenset(_CLASSES.split())


def normal(model: str) -> str:
    """The form in which ids are compared: lower case, no window mark, no dots in Claude versions."""
    name = _WINDOW_MARK.sub("", model.strip().lower())
    return _CLAUDE_DOT.sub("-", name) if "claude" in name else name


def host_of(provider: str) -> str:
    """The table's name of a logged provider; "" = a name that is not known."""
    return HOST_BY_NAME.get(provider.strip().lower().replace("_", "-"), "")


def is_local(provider: str, model: str) -> bool:
    """True where the model runs on the user's machine; Ollama's `-cloud` models do not."""
    name = provider.strip().lower().replace("_", "-")
    if not name and "/" in model:
        name = model.split("/", 1)[0].strip().lower().replace("_", "-")
    return name in LOCAL and not normal(model).endswith(("-cloud", ":cloud"))


def is_hosted_by_ollama(provider: str, model: str) -> bool:
    """Ollama's cloud models are sold as a subscription: no list has a price per token."""
    where = f"{provider}/{model}".lower()
    return "ollama" in where and normal(model).endswith(("-cloud", ":cloud"))


def forms(model: str) -> list[str]:
    """The normal id, then the id without provider prefixes, dates, revisions and effort suffixes."""
    found = [normal(model)]
    for name in found:
        if "/" in name:
            _add(found, name.split("/", 1)[1])
        elif _BEDROCK.match(name):
            _add(found, _REGION.sub("", name))
            _add(found, _BEDROCK.sub("", name))
    for tail in _TAILS:
        for name in tuple(found):
            _add(found, tail.sub("", name))
    return found


def _add(found: list[str], name: str) -> None:
    if name and name not in found and len(found) < _MOST_FORMS:
        found.append(name)


def candidates(provider: str, model: str) -> Iterator[tuple[str, bool]]:
    """Yield (table key, estimated) in the order of preference.

    `estimated`: the entry is another host's, another region's, or only a prefix at a version boundary.
    """
    host = host_of(provider)
    names = forms(model)
    if host in HOST_FACTORS:
        host = ""
    own = [host] if host else []
    if not own and "/" in names[0] and (named := host_of(names[0].split("/", 1)[0])):
        own.append(named)
    if _BEDROCK.match(names[0]) and "bedrock" not in own:
        own.insert(0, "bedrock")
    region = _DEARER.search(names[0])
    for place in own:
        for name in names:
            yield f"{place}/{name}", region is not None and region[1] not in name
    for name in names:
        for place in HOMES:
            yield f"{place}/{name}", region is not None or (bool(host) and place != host)
    for name in names:
        for place in RESELLERS:
            yield f"{place}/{name}", place != host
    for name in names:
        for head in _heads(name):
            for place in (*own, *HOMES):
                yield f"{place}/{head}", True


def _heads(name: str) -> Iterator[str]:
    """Prefixes that end at a version boundary, longest first: never a lower version, never another size."""
    for index in range(len(name) - 1, 0, -1):
        if name[index] not in "-:@":
            continue
        head, tail = name[:index], name[index + 1 :]
        if tail[:1].isdigit() or _CLASS_WORDS & set(re.split(r"[-:@.]", tail)):
            return
        if any(c.isdigit() for c in head):
            yield head
