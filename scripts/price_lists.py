"""Read the price lists `litellm` and `genai-prices` from their wheels, as micro-dollars per million tokens.

The wheels are downloaded with pip and read as zip files; nothing of them is imported or run. Money is
Decimal until it is a whole number.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import zipfile
from collections import Counter
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

from tokentop.pricing import names

ALWAYS = "1970-01-01"
BUCKETS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
VARIANTS = {"batches": "batch"}
KNOWN_VARIANTS = {"priority", "flex", "batch", "balanced", "ultrafast", "decisions"}
WEB_USUAL = 10_000

# litellm_provider -> (our host, prefix to take off the key)
LITELLM_HOSTS = {
    "anthropic": ("anthropic", ""),
    "openai": ("openai", ""),
    "gemini": ("google", "gemini/"),
    "azure": ("azure", "azure/"),
    "azure_ai": ("azure", "azure_ai/"),
    "bedrock": ("bedrock", ""),
    "bedrock_converse": ("bedrock", ""),
    "bedrock_mantle": ("bedrock", "bedrock_mantle/"),
    "xai": ("xai", "xai/"),
    "deepseek": ("deepseek", "deepseek/"),
    "moonshot": ("moonshot", "moonshot/"),
    "zai": ("zai", "zai/"),
    "bigmodel": ("zhipu", "bigmodel/"),
    "mistral": ("mistral", "mistral/"),
    "dashscope": ("dashscope", "dashscope/"),
    "minimax": ("minimax", "minimax/"),
    "groq": ("groq", "groq/"),
    "cerebras": ("cerebras", "cerebras/"),
    "together_ai": ("together", "together_ai/"),
    "fireworks_ai": ("fireworks", "fireworks_ai/"),
    "github_copilot": ("copilot", "github_copilot/"),
    "opencode_go": ("opencode", "opencode_go/"),
    "meta": ("meta", "meta/"),
    "xiaomi_mimo": ("xiaomi", "xiaomi_mimo/"),
    "cognition": ("cognition", "cognition/"),
}
GENAI_HOSTS = {
    "anthropic": "anthropic",
    "openai": "openai",
    "google": "google",
    "x-ai": "xai",
    "deepseek": "deepseek",
    "moonshotai": "moonshot",
    "zai": "zai",
    "zhipuai": "zhipu",
    "mistral": "mistral",
    "minimax": "minimax",
    "groq": "groq",
    "cerebras": "cerebras",
    "openrouter": "openrouter",
    "github-copilot": "copilot",
    "cursor": "cursor",
    "together": "together",
    "meta": "meta",
}
RESELLERS = {"fireworks", "together", "bedrock", "azure", "vertex"}
LITELLM_BUCKETS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write_5m",
    "output_cost_per_reasoning_token": "reasoning",
}
LITELLM_FIELD = re.compile(
    r"^(input_cost_per_token|output_cost_per_token|output_cost_per_reasoning_token|cache_read_input_token_cost"
    r"|cache_creation_input_token_cost)(_above_(?:1|12)hr)?(?:_above_(\d+)k_tokens)?(?:_([a-z]+))?$"
)
GENAI_BUCKETS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
}
SINGLE_REGION = re.compile(r"^(bedrock/|bedrock_mantle/[^/]+/|azure/(eu|us|global|global-standard)/)")
NOT_TEXT = re.compile(
    r"image|audio|embed|tts|whisper|transcribe|realtime|-live|veo-|imagen|moderation|rerank|^ft:|lyria"
)


class Report:
    """What the reviewer of the diff has to know."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.notes: list[str] = []

    def note(self, kind: str, text: str) -> None:
        self.counts[kind] += 1
        self.notes.append(f"{kind}: {text}")


def micro(usd: Decimal, per: int, where: str, report: Report) -> int:
    """USD per `per` tokens as whole micro-dollars per million tokens."""
    exact = usd * 1_000_000 * (1_000_000 // per)
    whole = exact.to_integral_value()
    if abs(exact - whole) > Decimal("0.000001"):  # more digits than float noise: a converted currency
        report.note("rounded", f"{where} = {usd}")
    return int(whole)


def quotes(found: dict[str, dict[str, int]], claude: bool) -> dict[str, list[int | None]]:
    """Turn {tier key: {bucket: rate}} into the rows' shape; rates without a base are ignored."""
    base = found.get("", {})
    if "input" not in base or "output" not in base:
        return {}
    out: dict[str, list[int | None]] = {}
    for key in sorted(found, key=lambda k: (k.partition(">")[0], int(k.partition(">")[2] or 0))):
        rates = {bucket: rate for bucket, rate in found[key].items() if bucket in base}
        tier, _, above = key.partition(">")
        if "input" not in rates or "output" not in rates or (above and tier not in out):
            continue
        if claude and base["input"]:  # Anthropic's own rules, where a list leaves a field out
            rates.setdefault("cache_read", rates["input"] // 10)
            rates.setdefault("cache_write_5m", rates["input"] * 5 // 4)
            ratio = (rates["input"], base["input"])
            rates.setdefault(
                "cache_write_1h", base.get("cache_write_1h", base["input"] * 2) * ratio[0] // ratio[1]
            )
        elif rates.get("cache_write_5m", 0) < rates["input"]:
            rates.pop(
                "cache_write_5m", None
            )  # no fee for the write (or a read's rate): plain input, see rates.py
        line: list[int | None] = [rates.get(bucket) for bucket in BUCKETS[:5]]
        if rates.get("reasoning") not in (None, rates["output"]):
            line.append(rates["reasoning"])
        out[key] = line
    return out


def from_litellm(entries: dict[str, dict], report: Report) -> dict[str, dict]:
    """{our key: {"window", "rates", "factors", "web_search"?, "off_peak"?}} of our hosts' chat models."""
    found: dict[str, dict] = {}
    for key, entry in sorted(
        entries.items(), key=lambda item: item[0].startswith(("azure_ai/", "bedrock_mantle/"))
    ):
        provider = str(entry.get("litellm_provider"))
        host, prefix = LITELLM_HOSTS.get(
            provider, ("vertex", "vertex_ai/") if provider.startswith("vertex_ai") else ("", "")
        )
        if not host or entry.get("mode") not in ("chat", "responses") or NOT_TEXT.search(key):
            continue
        if SINGLE_REGION.match(key):
            continue
        if host in RESELLERS and not entry.get("supports_function_calling"):
            continue  # no agent can work with it
        name = f"{host}/{names.normal(key.removeprefix(prefix).removeprefix('accounts/fireworks/models/'))}"
        row = litellm_row(key, entry, report)
        if row is None:
            continue
        if name in found and found[name]["rates"] != row["rates"]:
            report.note("litellm has two prices", f"{name} ({key}): the first is kept")
        found.setdefault(name, row)
    return found


def litellm_row(key: str, entry: dict, report: Report) -> dict | None:
    tiers: dict[str, dict[str, int]] = {}
    for field, value in entry.items():
        if field == "input_cost_per_token_cache_hit":  # another name of the cache-read rate
            field = "cache_read_input_token_cost"
        match = LITELLM_FIELD.match(field)
        if not match or isinstance(value, (dict, list)) or value is None:
            continue
        stem, hours, thousands, variant = match.groups()
        bucket = LITELLM_BUCKETS[stem]
        if hours:
            if hours == "_above_12hr":  # longer retention that no log tells apart
                continue
            bucket = "cache_write_1h"
        tier = VARIANTS.get(variant, variant) if variant else ""
        if tier and tier not in KNOWN_VARIANTS:
            report.note("unknown suffix", f"{key}: {field}")
        rate = micro(Decimal(value), 1, f"{key}: {field}", report)
        tiers.setdefault(tier + (f">{int(thousands) * 1000}" if thousands else ""), {})[bucket] = rate
    for step in entry.get("tiered_pricing") or []:
        if "range" in step:
            low = int(step["range"][0])
            step_rates = tiers.setdefault(f">{low}" if low else "", {})
            for field, bucket in LITELLM_BUCKETS.items():
                if field in step:
                    step_rates[bucket] = micro(Decimal(step[field]), 1, f"{key}: {field}", report)
    claude = "claude" in key
    rates = quotes(tiers, claude)
    if not rates or not any(rates[""]):  # without a price, or free of charge in the list only: not a price
        return None
    row: dict = {"window": int(entry.get("max_input_tokens") or 0), "rates": rates, "source": "litellm"}
    row["factors"] = litellm_factors(entry)
    row |= litellm_extras(entry, key, report)
    return row


def litellm_factors(entry: dict) -> dict[str, int]:
    special = entry.get("provider_specific_entry") or {}
    factors = {}
    for name, field in (("fast", special.get("fast")), ("geo:us", special.get("us"))):
        if field is not None:
            factors[name] = int(Decimal(field) * 1000)
    for region in ("us", "eu"):
        if field := entry.get(f"regional_processing_uplift_multiplier_{region}"):
            factors[f"geo:{region}"] = int(Decimal(field) * 1000)
    return factors


def litellm_extras(entry: dict, key: str, report: Report) -> dict:
    extras: dict = {}
    web = (entry.get("search_context_cost_per_query") or {}).get("search_context_size_medium")
    if web is not None and int(Decimal(web) * 1_000_000) != WEB_USUAL:
        extras["web_search"] = int(Decimal(web) * 1_000_000)
    if off := entry.get("off_peak_pricing"):
        off_rates = {
            b: micro(Decimal(off[f]), 1, key, report) for f, b in LITELLM_BUCKETS.items() if f in off
        }
        windows = []
        for window in off["windows"]:
            hours = window["hours_utc"]
            for span in [hours] if isinstance(hours, str) else hours:
                start, end = (int(t[:2]) * 60 + int(t[3:]) for t in span.split("-"))
                windows.append(["".join(str(d) for d in window["weekdays"]), start, end or 1440])
        extras["off_peak"] = {"rates": [off_rates.get(b) for b in BUCKETS[:5]], "windows": windows}
    return extras


def literal(node: ast.expr) -> object:
    """The data literals of genai-prices as plain values: a call becomes a dict with its name under "_"."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple)):
        return [literal(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        return {literal(k): literal(v) for k, v in zip(node.keys, node.values, strict=True) if k}
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        args = [literal(arg) for arg in node.args]
        if name == "Decimal":
            return Decimal(str(args[0]))
        if name == "datetime.date":
            return "{:04}-{:02}-{:02}".format(*args)
        return {"_": name, "args": args} | {k.arg: literal(k.value) for k in node.keywords}
    return ast.unparse(node)


def matches(clause: dict, text: str) -> bool:
    kind = clause["_"]
    if kind == "ClauseOr":
        return any(matches(c, text) for c in clause["or_"])
    if kind == "ClauseAnd":
        return all(matches(c, text) for c in clause["and_"])
    if kind == "ClauseEquals":
        return text == clause["equals"].lower()
    if kind == "ClauseStartsWith":
        return text.startswith(clause["starts_with"].lower())
    if kind == "ClauseEndsWith":
        return text.endswith(clause["ends_with"].lower())
    if kind == "ClauseContains":
        return clause["contains"].lower() in text
    return re.search(clause["regex"], text) is not None


def exact_names(clause: dict) -> set[str]:
    """Ids that a match clause names in full."""
    if clause["_"] == "ClauseOr":
        return set().union(*(exact_names(c) for c in clause["or_"]))
    text = clause.get("equals") or clause.get("starts_with") or ""
    return set() if not text or re.search(r"(-20\d\d|@|-)$", text) else {names.normal(text)}


def genai_rates(
    price: dict, variants: list, claude: bool, where: str, report: Report
) -> dict[str, list[int | None]]:
    tiers: dict[str, dict[str, int]] = {}
    wanted = [("", price)]
    for variant in variants:
        tier = variant["when"].get("processing") or variant["when"].get("service_tier")
        if tier in KNOWN_VARIANTS:
            wanted.append((tier, variant["prices"]))
    for tier, rates in wanted:
        for field, value in rates.items():
            bucket = GENAI_BUCKETS.get(field)
            if not bucket:
                continue
            steps = [(0, value)]
            if isinstance(value, dict):
                steps = [(0, value["base"]), *((s["start"], s["price"]) for s in value["tiers"])]
            for above, usd in steps:
                rate = micro(Decimal(usd), 1_000_000, f"{where}: {field}", report)
                tiers.setdefault(tier + (f">{above}" if above else ""), {})[bucket] = rate
    return quotes(tiers, claude)


def from_genai(providers: list[dict], today: str, report: Report) -> dict[str, list[dict]]:
    """{our host: [{"id", "match", "window", "rows": [(since, rates)], "factors"}]}."""
    found: dict[str, list[dict]] = {}
    for provider in providers:
        host = GENAI_HOSTS.get(provider["id"])
        if not host:
            continue
        for model in provider["models"]:
            where, claude = f"{host}/{model['id']}", "claude" in model["id"]
            variants = model.get("price_variants") or []
            listed = model["prices"] if isinstance(model["prices"], list) else [{"prices": model["prices"]}]
            limits = [c.get("constraint") or {} for c in listed]
            starts = [limit.get("start_date", ALWAYS) for limit in limits]
            if any("start_time" in limit for limit in limits):
                report.note("by time of day in genai-prices", f"{where} (left out, litellm's row is used)")
                continue
            valid = max((s for s in starts if s <= today), default="")  # the tiers are listed for the present
            rows = []
            for price, since in zip(listed, starts, strict=True):
                rates = genai_rates(
                    price["prices"], variants if since == valid else [], claude, where, report
                )
                if rates:
                    rows.append((since, rates))
            rows.sort(key=lambda row: row[0])
            old = model.get("deprecated") and host == "openrouter"
            if rows and not old and not NOT_TEXT.search(model["id"]) and not model["id"].endswith(":batch"):
                fast = any(v["when"].get("speed") == "fast" for v in variants)
                window = model.get("context_window") or 0
                found.setdefault(host, []).append(
                    {
                        "id": names.normal(model["id"]),
                        "match": model["match"],
                        "rows": rows,
                        "window": window,
                        "fast": fast,
                    }
                )
    return found


def wheels(folder: Path) -> dict[str, Path]:
    """Return {"litellm": path, "genai-prices": path}; they are downloaded if `folder` has no wheels."""
    if not list(folder.glob("*.whl")):
        python = (
            [sys.executable] if find_spec("pip") else ["uv", "run", "--no-project", "--with", "pip", "python"]
        )
        command = [*python, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*command, "--dest", str(folder), "litellm", "genai-prices"], check=True)
    return {
        name: next(folder.glob(f"{name.replace('-', '_')}-*.whl")) for name in ("litellm", "genai-prices")
    }


def read_wheels(paths: dict[str, Path]) -> tuple[dict, list, dict[str, str]]:
    sources = {name: path.name.split("-")[1] for name, path in paths.items()}
    with zipfile.ZipFile(paths["litellm"]) as archive:
        text = archive.read("litellm/model_prices_and_context_window_backup.json")
    entries = json.loads(text, parse_float=Decimal)
    with zipfile.ZipFile(paths["genai-prices"]) as archive:
        tree = ast.parse(archive.read("genai_prices/data.py"))
    for statement in tree.body:
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and statement.target.id == "providers"
            and statement.value
        ):
            return entries, literal(statement.value), sources
    raise SystemExit("genai-prices has no `providers` any more: look at its data.py")
