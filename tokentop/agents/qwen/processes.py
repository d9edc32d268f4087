"""Qwen Code as the operating system shows it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tokentop.agents.decoding import document, identifier, obj, text
from tokentop.agents.processes import Processes, RegistryEntry, before_dashes, flag_value, session_uuid
from tokentop.text import clean

from .records import AGENT_ID


def parse_registry(name: str, data: bytes) -> RegistryEntry | None:
    """Read `sessions/<pid>.json`. Raises ValueError on damaged bytes."""
    entry = obj(document(data))
    pid, start, space = entry.get("pid"), text(entry.get("procStart")), entry.get("pidNs")
    if type(pid) is not int or pid <= 1 or name.rsplit("/", 1)[-1] != f"{pid}.json":
        return None
    boot_id, _, ticks = start.rpartition(":")
    return RegistryEntry(
        pid, session_id=identifier(text(entry.get("sessionId"))), start=ticks, boot_id=boot_id,
        pid_ns=f"pid:[{space}]" if type(space) is int else "", cwd=clean(str(entry.get("cwd") or ""), 400),
    )  # fmt: skip


def one_shot(argv: Sequence[str]) -> bool:
    return any(word in {"-p", "--prompt"} or word.startswith("--prompt=") for word in before_dashes(argv))


def argv_session(argv: Sequence[str]) -> str:
    """The session that argv names; a fork gets an id of its own."""
    named = flag_value(argv, "--session-id")
    if not named and "--fork-session" not in argv:
        named = flag_value(argv, "--resume", "-r")
    return session_uuid(named)


PROCESSES = Processes(
    agent=AGENT_ID,
    label="Qwen Code",
    names=("qwen",),
    package_dirs=("/node_modules/@qwen-code/qwen-code",),
    entry_names=("cli", "cli-entry", "index"),
    root_env="QWEN_HOME",
    root_dirs=(".qwen",),
    session_markers=("QWEN_CODE_SESSION_ID",),
    registry=("sessions/*.json",),
    parse_registry=parse_registry,
    one_shot=one_shot,
    argv_session=argv_session,
    interrupt_keys=("Escape",),
    resume="qwen --resume {session_id}",
)
