"""What a closer look at an invented agent tells: its steps, its process, its log."""

from __future__ import annotations

from tokentop.demo.actor import Actor
from tokentop.engine.habits import Habits
from tokentop.nouns.looks import Inside, LogTail, Look, Minutes, Port
from tokentop.nouns.picture import Row


def look(row: Row, actor: Actor, habits: Habits, minutes: Minutes, now_ms: int) -> Look:
    """What a log and a process table would tell; `minutes` are its tokens by minute."""
    return Look(
        row.key, now_ms, tuple(actor.steps), log="invented", ports=_ports(actor), minutes=minutes,
        compactions=habits.all_compactions, compacted_ms=habits.compacted_ms, seen_ms=habits.seen_ms,
        quality="exact", price=f"{row.model}: invented" if not row.own.unpriced_tokens else "",
    )  # fmt: skip


def inside(row: Row | None, actor: Actor | None) -> Inside:
    """The process of a row, if it has one."""
    if row is None or actor is None or row.pid is None:
        return Inside(0, 0, "no process of it is known on this machine: it is seen in its log only")
    env = (
        ("ANTHROPIC_API_KEY", "***", False), ("HOME", "/home/dev", True), ("LANG", "en_US.UTF-8", True),
        ("PATH", "/usr/local/bin:/usr/bin:/bin", True), ("SHELL", "/bin/bash", True),
        ("TERM", "xterm-256color", True),
    )  # fmt: skip
    argv = tuple(row.command.split())
    return Inside(actor.pid, actor.ident.start_ticks, "", argv, row.cwd, env, ports=_ports(actor))


def tail(actor: Actor | None, now_ms: int) -> LogTail:
    """The end of a log."""
    if actor is None:
        return LogTail(note="no log of this session is known")
    steps = tuple(actor.steps)
    lines = tuple(
        f'{{"at": {step.at_ms}, "type": "{step.kind}", "name": "{step.name}", "text": "{step.detail}"}}'
        for step in steps
    )
    return LogTail(lines, steps, state=(1, now_ms, now_ms))


def _ports(actor: Actor) -> tuple[Port, ...]:
    serves = actor.has_tool_process() and ("npm" in actor.command or "docker" in actor.command)
    return (Port(5173, "127.0.0.1", actor.tool_ident.pid, actor.command),) if serves else ()
