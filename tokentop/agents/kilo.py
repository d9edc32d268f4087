"""Kilo: the CLI and, from 7.2, the editor extension that drives it. OpenCode's database under another name. Pure."""

from __future__ import annotations

from ._opencode import roots, sources
from .base import Agent
from .opencode import argv_session, one_shot, role_of
from .processes import Processes

AGENT = Agent(
    id="kilo",
    label="Kilo",
    version=1,
    roots=roots("kilo", "KILO_DB"),
    sources=sources("kilo"),
    processes=Processes(
        agent="kilo",
        label="Kilo",
        # A node launcher, and below it the program itself, `.kilo`.
        names=("kilo", ".kilo", "kilocode"),
        package_dirs=("/node_modules/@kilocode/cli",),
        root_dirs=(".local/share/kilo",),
        pid_markers=("KILO_PID",),
        role_of=role_of,
        one_shot=one_shot,
        argv_session=argv_session,
        ladder=(("TERM", 5.0), ("KILL", 2.0)),
        one_shot_ladder=(("TERM", 5.0), ("KILL", 2.0)),
        interrupt_keys=("Escape", "Escape"),  # its footer after the first: "esc again to interrupt"
        resume="kilo -s {session_id}",
    ),
    resume="kilo -s {session_id}",
    start_hint="run `kilo` in a project folder",
    missing="tokens of a step killed before its end; time to live of cache writes",
    tried=("7.7.7",),
)
