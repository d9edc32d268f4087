"""What Copilot's cumulative records hold beyond what was counted call by call. Pure.

A vector is what Copilot counts of one model: prompt with everything cached, output, cache reads, cache writes,
reasoning, nano AI units.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokentop.agents.decoding import MAX_COUNT, count, label, obj

Vector = list[int]
FIELDS = ("inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens", "reasoningTokens")
_SIZE = len(FIELDS) + 1
_MAX_NANO = MAX_COUNT * 1000
_MAX_MODELS = 50


def nano_of(value: object) -> int:
    """Nano AI units, 1e9 to the credit; 0 where none are told."""
    if isinstance(value, int | float) and value == value and 0 <= value <= _MAX_NANO:
        return int(value)
    return 0


def vector_of(usage: Mapping[str, Any], nano: int) -> Vector:
    return [*(count(usage.get(field)) or 0 for field in FIELDS), nano]


def add(known: dict[str, Vector], model: str, vector: Vector) -> None:
    """Note what was counted of a model."""
    old = known.get(model)
    if old is not None or len(known) < _MAX_MODELS:
        known[model] = [a + b for a, b in zip(old, vector, strict=True)] if old else list(vector)


def rest(metrics: object, known: Mapping[str, Vector]) -> dict[str, Vector]:
    """What `modelMetrics` hold beyond `known`, by model, never below 0.

    All models together have no more than their sum: a model may be counted under another name than the metrics'.
    """
    found: dict[str, Vector] = {}
    left = [-sum(counts) for counts in zip(*known.values(), strict=True)] or [0] * _SIZE
    for name, metric in list(obj(metrics).items())[:_MAX_MODELS]:
        about = obj(metric)
        total = vector_of(obj(about.get("usage")), nano_of(about.get("totalNanoAiu")))
        model = label(str(name))
        found[model] = [max(0, a - b) for a, b in zip(total, known.get(model, [0] * _SIZE), strict=True)]
        left = [a + b for a, b in zip(left, total, strict=True)]
    for vector in found.values():
        for index, value in enumerate(vector):
            vector[index] = max(0, min(value, left[index]))
            left[index] -= vector[index]
    return {model: vector for model, vector in found.items() if any(vector)}
