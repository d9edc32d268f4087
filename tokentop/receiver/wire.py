"""Bodies of OTLP/HTTP JSON requests -> calls and counters. Pure.

Records are decoded one by one, so that a broken one drops only itself. Nothing of a record is kept but what an
agent's own reader takes of it: texts of prompts, answers and arguments end here.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
from msgspec import Raw, Struct

from tokentop.agents import all_agents
from tokentop.agents.base import Agent
from tokentop.agents.decoding import DECODE_ERRORS, MAX_COUNT, epoch_ms, text
from tokentop.nouns.telemetry import Counter, Heard, Record
from tokentop.nouns.usage import Usage

MAX_RECORDS = 100_000  # of one request
_MAX_TEXT = 400  # of an attribute that is kept: ids and names
CUMULATIVE = 2


class BadBody(ValueError):
    """Not the JSON of an OTLP request; the message says what is wrong and quotes nothing."""


class _Any(Struct):
    stringValue: str | None = None
    intValue: int | str | None = None
    doubleValue: float | str | None = None
    boolValue: bool | None = None


class _Attribute(Struct):
    key: str = ""
    value: _Any | None = None


class _Resource(Struct):
    attributes: list[_Attribute] | None = None


class _Log(Struct):
    timeUnixNano: int | str | None = None
    observedTimeUnixNano: int | str | None = None
    eventName: str | None = None
    attributes: list[_Attribute] | None = None


class _ScopeLogs(Struct):
    logRecords: list[Raw] | None = None


class _ResourceLogs(Struct):
    resource: _Resource | None = None
    scopeLogs: list[_ScopeLogs] | None = None


class _Logs(Struct):
    resourceLogs: list[_ResourceLogs] | None = None


class _Point(Struct):
    attributes: list[_Attribute] | None = None
    startTimeUnixNano: int | str | None = None
    timeUnixNano: int | str | None = None
    asInt: int | str | None = None
    asDouble: float | str | None = None
    sum: float | str | None = None


class _Data(Struct):
    dataPoints: list[Raw] | None = None
    aggregationTemporality: int | str | None = None


class _Metric(Struct):
    name: str = ""
    sum: _Data | None = None
    histogram: _Data | None = None


class _ScopeMetrics(Struct):
    metrics: list[_Metric] | None = None


class _ResourceMetrics(Struct):
    resource: _Resource | None = None
    scopeMetrics: list[_ScopeMetrics] | None = None


class _Metrics(Struct):
    resourceMetrics: list[_ResourceMetrics] | None = None


_LOGS = msgspec.json.Decoder(_Logs)
_METRICS = msgspec.json.Decoder(_Metrics)
_LOG = msgspec.json.Decoder(_Log)
_POINT = msgspec.json.Decoder(_Point)


def logs(body: bytes) -> Heard:
    """What `/v1/logs` was sent. Raises BadBody."""
    calls: list[Usage] = []
    records = rejected = 0
    for batch in _decoded(body, _LOGS).resourceLogs or ():
        about = _values(batch.resource.attributes if batch.resource else None)
        agent = _agent(str(about.get("service.name", "")))
        for raw in (one for scope in batch.scopeLogs or () for one in scope.logRecords or ()):
            records += 1
            if records > MAX_RECORDS:
                raise BadBody("too many records in one request")
            try:
                record = _record(_LOG.decode(raw), about)
            except DECODE_ERRORS:
                rejected += 1
                continue
            if agent is not None and agent.telemetry is not None:
                call = agent.telemetry.read(record)
                if call is not None:
                    calls.append(call)
    return Heard(tuple(calls), records=records, rejected=rejected)


def metrics(body: bytes) -> Heard:
    """What `/v1/metrics` was sent: sums of tokens; all other metrics are passed over. Raises BadBody."""
    counters: list[Counter] = []
    records = rejected = 0
    for batch in _decoded(body, _METRICS).resourceMetrics or ():
        about = _values(batch.resource.attributes if batch.resource else None)
        agent = _agent(str(about.get("service.name", "")))
        names = dict(agent.telemetry.counters) if agent is not None and agent.telemetry is not None else {}
        for metric in (one for scope in batch.scopeMetrics or () for one in scope.metrics or ()):
            data = metric.sum or metric.histogram
            if agent is None or data is None or metric.name not in names:
                continue
            for raw in data.dataPoints or ():
                records += 1
                if records > MAX_RECORDS:
                    raise BadBody("too many points in one request")
                try:
                    point = _POINT.decode(raw)
                    cumulative = data.aggregationTemporality in (
                        CUMULATIVE,
                        "AGGREGATION_TEMPORALITY_CUMULATIVE",
                    )
                    counters.append(
                        _counter(agent.id, metric.name, names[metric.name], point, about, cumulative)
                    )
                except DECODE_ERRORS:
                    rejected += 1
    return Heard(counters=tuple(counters), records=records, rejected=rejected)


def _decoded(body: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    try:
        return decoder.decode(body)
    except DECODE_ERRORS:
        pass
    raise BadBody("not the JSON of an OTLP request")


@cache
def _agent(service: str) -> Agent | None:
    """The agent whose telemetry bears this `service.name`."""
    told = (agent for agent in all_agents() if agent.telemetry is not None)
    return next(
        (agent for agent in told if agent.telemetry and service.startswith(agent.telemetry.services)), None
    )


def _values(attributes: Iterable[_Attribute] | None) -> dict[str, object]:
    """Short texts, numbers and truth values by name; 64-bit integers may come as text."""
    found: dict[str, object] = {}
    for one in attributes or ():
        value = one.value
        if value is None:
            continue
        if value.stringValue is not None:
            if len(value.stringValue) <= _MAX_TEXT:
                found[one.key] = value.stringValue
        elif value.intValue is not None:
            found[one.key] = value.intValue
        elif value.doubleValue is not None:
            found[one.key] = value.doubleValue
        elif value.boolValue is not None:
            found[one.key] = value.boolValue
    return found


def _record(log: _Log, about: dict[str, object]) -> Record:
    values = _values(log.attributes)
    if "session.id" in about:
        values.setdefault("session.id", about["session.id"])
    name = values.get("event.name") or log.eventName or ""
    at_ms = _ms(log.timeUnixNano) or epoch_ms(values.get("event.timestamp")) or _ms(log.observedTimeUnixNano)
    if not at_ms:
        raise ValueError("a record without a time")
    return Record(str(name), at_ms, values)


def _counter(
    agent: str, name: str, kind: str, point: _Point, about: dict[str, object], cumulative: bool
) -> Counter:
    values = _values(point.attributes)
    given = next(one for one in (point.asInt, point.asDouble, point.sum, "") if one is not None)
    number = float(given)
    if not 0 <= number <= MAX_COUNT:
        raise ValueError("a count out of bounds")
    # Which machine or process sent it tells one sum from another.
    series = hash((agent, name, tuple(sorted((k, str(v)) for k, v in (*about.items(), *values.items())))))
    start_ns, at_ns = int(point.startTimeUnixNano or 0), int(point.timeUnixNano or 0)
    return Counter(agent, text(values.get(kind), 40), series, start_ns, at_ns, round(number), cumulative)


def _ms(nanoseconds: int | str | None) -> int:
    return epoch_ms(int(nanoseconds)) if nanoseconds else 0
