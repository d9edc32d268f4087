"""`tokentop hook show telemetry`: how agents are made to tell of themselves, and what has come in so far."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping

import msgspec

from tokentop.agents import all_agents
from tokentop.clock import now_ms
from tokentop.errors import Failure
from tokentop.nouns.telemetry import CHAPTER, Tally, Telemetry
from tokentop.receiver.secret import path_of, token
from tokentop.settings.config import Settings
from tokentop.settings.load import load
from tokentop.settings.zone import local_zone
from tokentop.store import reader
from tokentop.text import clock_near, plural

from . import access

OFF = (
    'Telemetry is off: put "on = true" below "[telemetry]" in the settings, and a running tokentop (the screen or'
    " `tokentop watch`) listens."
)


def show(environ: Mapping[str, str]) -> int:
    """Print what each agent needs, with the token's file, which is made if it is not there yet; never the token."""
    settings = load(environ)
    with access.opened(quiet=True) as store:
        try:
            token(store.folder)
        except OSError as error:
            raise Failure(str(error)) from None
        alone = reader.telemetry_alone(store.db)
        kept = reader.remembered(store.db, CHAPTER)
        file = str(path_of(store.folder))
    print("\n".join(_setup(settings, file)))
    print("\n".join(_come_in(settings, kept, alone)))
    return 0


def _setup(settings: Settings, file: str) -> Iterator[str]:
    url = f"http://127.0.0.1:{settings.telemetry.port}"
    for agent in all_agents():
        told = agent.telemetry
        if told is not None:
            yield f"# {agent.label}: {told.where.format(token_file=file)}"
            yield _filled(told, url, file) + "\n"


def _filled(told: Telemetry, url: str, file: str) -> str:
    return told.setup.format(url=url, token_file=shlex.quote(file))


def _come_in(settings: Settings, kept: str, alone: Mapping[str, int]) -> Iterator[str]:
    yield (
        f"It listens on 127.0.0.1:{settings.telemetry.port} while tokentop runs."
        if settings.telemetry.on
        else OFF
    )
    tally = msgspec.json.decode(kept, type=Tally) if kept else Tally()
    if tally.at_ms:
        zone, at_ms = local_zone(os.environ), now_ms()
        since, newest = (clock_near(ms, at_ms, zone) for ms in (tally.since_ms, tally.at_ms))
        yield f"Since {since}: {plural(tally.records, 'record')}, the newest at {newest}" + (
            f"; {tally.rejected:,} could not be read" if tally.rejected else ""
        )
    for agent in sorted({*tally.calls, *tally.tokens, *alone}):
        parts = []
        if calls := tally.calls.get(agent, 0):
            parts.append(f"{plural(calls, 'call')}, {tally.logged.get(agent, 0):,} of them in its logs too")
        if agent in alone:
            parts.append(f"{alone[agent]:,} in all that no log tells")
        if tokens := tally.tokens.get(agent):
            parts.append(
                "by its metrics " + ", ".join(f"{n:,} {kind}" for kind, n in sorted(tokens.items()) if n)
            )
        yield f"  {agent}: {'; '.join(parts)}"
