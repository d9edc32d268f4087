"""Settings as TOML with their meaning: the generated config.toml. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from msgspec import Meta, Struct

from .config import Settings, TelemetrySettings
from .edit import to_toml
from .rulebook import Notify, Rules
from .spending import Budgets

_EXAMPLES = {
    "budgets": "# day = 200\n# week = 800\n# month = 3000\n# projects = { api = 50, web = { month = 400 } }\n"
    "# agents = { claude = 100 }",
    "plans": '# agent = "claude"\n# name = "Max 5x"\n# fee_usd = 100\n# windows = { 5h = 35, 7d = 300 }',
    "roots": 'claude = ["~/.claude-work"]',
    "prices": '"my-model" = { input = 3.0, output = 15.0, cache_read = 0.3 }',
    "providers": 'anthropic = { on = true, key_command = ["pass", "show", "anthropic-admin"] }',
}


def render_default() -> str:
    """Return a config.toml with every setting, commented out, with its meaning and default."""
    blocks = ["# Settings of tokentop. Every line shows a default: take the # away to change it."]
    tables = []
    for field, text, default in fields_of(Settings()):
        if isinstance(default, Rules):
            tables += [f"# {text}\n# [{field}]", *_rule_tables(default)]
        elif isinstance(default, Notify | TelemetrySettings):
            tables.append(f"# {text}\n# [{field}]\n" + "\n".join(_lines_of(default)))
        elif isinstance(default, tuple):
            tables.append(f"# {text}\n# [[{field}]]\n{_EXAMPLES[field]}")
        elif isinstance(default, Budgets):
            tables.append(f"# {text}\n# [{field}]\n{_EXAMPLES[field]}")
        elif isinstance(default, dict):
            tables.append(f"# {text}\n# [{field}]\n# {_EXAMPLES[field]}")
        else:
            blocks.append(f"# {text}\n# {field} = {to_toml(default)}")
    return "\n\n".join(blocks + tables) + "\n"


def _rule_tables(rules: Rules) -> Iterator[str]:
    """Every rule with its own limits; what all share is written out once, at the first."""
    from .rulebook import settings_of

    for at, (name, rule) in enumerate(rules.items()):
        own = settings_of(rule)
        lines = [f"# {' '.join((type(rule).__doc__ or '').split())}", f"# [rules.{name}]"]
        brief = ["# on = false", *(f"# {field} = {to_toml(value)}" for field, value in own.items())]
        yield "\n".join([*lines, *(_lines_of(rule) if at == 0 else brief)])


def _lines_of(settings: Struct) -> Iterator[str]:
    for field, text, default in fields_of(settings):
        yield f"# {field} = {to_toml(default)}" + (f"  # {text}" if text else "")


def fields_of(defaults: Struct) -> Iterator[tuple[str, str, Any]]:
    """Yield (name, description, default) of each setting."""
    hints = get_type_hints(type(defaults), include_extras=True)
    for field in defaults.__struct_fields__:
        hint = hints[field]
        metas = (
            [m for m in get_args(hint)[1:] if isinstance(m, Meta)] if get_origin(hint) is Annotated else []
        )
        description = next((m.description for m in metas if m.description), "")
        yield field, description, getattr(defaults, field)
