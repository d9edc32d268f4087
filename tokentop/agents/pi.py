"""pi coding agent (also omp, a descendant that keeps the same sessions in `~/.omp`). Pure.

Sessions: `<agent folder>/sessions/--<cwd with dashes>--/<time>_<id>.jsonl`, or flat in the folder that
`PI_CODING_AGENT_SESSION_DIR` names. Nothing is on disk before the first answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ._pi import PiLines, session_of
from .base import Agent, JsonLines, Roots
from .processes import Processes, before_dashes, flag_value

AGENT_ID = "pi"


def one_shot(argv: Sequence[str]) -> bool:
    return bool({"-p", "--print"} & set(before_dashes(argv))) or flag_value(argv, "--mode") == "json"


def argv_session(argv: Sequence[str]) -> str:
    """The session of `--session`, an id or a path. Node clients hide it: they set their title to `pi`."""
    return session_of(flag_value(argv, "--session").replace("\\", "/").rpartition("/")[2])


_LINES = partial(PiLines, AGENT_ID)

AGENT = Agent(
    id=AGENT_ID,
    label="pi",
    version=1,
    roots=Roots(
        env="PI_CODING_AGENT_DIR", dirs=("~/.pi/agent", "~/.omp/agent", "$PI_CODING_AGENT_SESSION_DIR")
    ),
    sources=(
        JsonLines(folder="sessions", suffixes=(".jsonl",), decoder=_LINES, file_id=session_of),
        JsonLines(suffixes=(".jsonl",), levels=(), decoder=_LINES, file_id=session_of),
    ),
    processes=Processes(
        agent=AGENT_ID,
        label="pi",
        names=("pi", "omp"),
        package_dirs=(
            "/node_modules/@mariozechner/pi-coding-agent",
            "/node_modules/@oh-my-pi/pi-coding-agent",
        ),
        entry_names=("cli",),
        common_name=True,
        root_env="PI_CODING_AGENT_DIR",
        root_dirs=(".pi/agent", ".omp/agent"),
        one_shot=one_shot,
        argv_session=argv_session,
        interrupt_keys=("Escape",),
        resume="pi --session {session_id}",
    ),
    resume="pi --session {session_id}",
    start_hint="run `pi` in a project folder",
    missing="compaction and branch summaries; the lifetime of cache writes; streams ended by a signal",
    tried=("0.73.1",),
)
