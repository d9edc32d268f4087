"""Fixtures of the end-to-end tests, and a loud word on what had to be left out."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from typing import Any

import clients
import pytest
from harness import AGENTS_DIR, World

_left_out: list[str] = []


def _missing(agents: tuple[str, ...] = ("claude", "codex")) -> str:
    """Why the real clients cannot be driven here; "" if they can."""
    if sys.platform != "linux":
        return "they look into /proc, so they need Linux"
    if not shutil.which("tmux"):
        return "tmux is not installed (it is the terminal that the clients and tokentop run in)"
    for agent in agents:
        if not clients.program(AGENTS_DIR, agent).exists():
            return f"no {agent} under {AGENTS_DIR}: `make e2e` installs the clients, with npm"
    return ""


@pytest.fixture
def any_world() -> Iterator[World]:
    """A world for whichever clients are installed."""
    yield from _world(_missing(()))


@pytest.fixture
def world() -> Iterator[World]:
    yield from _world(_missing())


def _world(reason: str) -> Iterator[World]:
    if reason:
        _left_out.append(reason)
        pytest.skip(f"LEFT OUT: {reason}")
    made = World()
    try:
        yield made
    finally:
        made.close()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _left_out:
        reasons = "; ".join(sorted(set(_left_out)))
        terminalreporter.write_line(f"LEFT OUT: {len(_left_out)} end-to-end tests: {reasons}", red=True)
