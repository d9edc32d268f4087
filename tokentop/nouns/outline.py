"""What a session did, as the whole of its log tells it: the nouns of outlines.

An outline holds names of tools, paths of files and programs of commands, and of a prompt only that there was one:
never a text, an argument or an output. Times are UTC epoch milliseconds, 0 = the log gives none. Pure.
"""

from __future__ import annotations

from msgspec import Struct

VERSION = 1  # grows when more is read than before: outlines of logs that still exist are then made anew


_STARTERS = frozenset({
    "agent", "task", "spawnagent", "invokeagent", "newtask", "subagent", "delegate", "runsubagent", "spawn",
})  # fmt: skip


def starts_agents(tool: str) -> bool:
    """Whether a tool starts sub-agents, as far as its name tells."""
    return tool.lower().replace("_", "").replace("-", "").rpartition(".")[2] in _STARTERS


class Deed(Struct, frozen=True, gc=False, array_like=True):
    """One thing that a session did, or that happened to it.

    `kind` = tool, prompt, compaction, permission (somebody was asked), error, limit, interrupt.
    """

    kind: str
    name: str = ""  # the tool; the class of an error: `429`, `overloaded`
    # Of a tool that takes a file its path, relative to the session's folder where inside, several on a line each; of
    # one that runs a command the program and at most its subcommand: `pytest`, `git commit`.
    target: str = ""
    at_ms: int = 0
    result: str = ""  # ok, failed, denied, open (the log has no result), "" = the log does not tell
    took_ms: int | None = None
    call_id: str = ""  # of a tool that starts agents: what it started may name it
    added: int | None = None  # lines, where the log counts them; None = it does not
    removed: int | None = None
    tests: str = ""  # passed, failed or unknown for a run of tests, "" = it was none
    takes: str = ""  # what `target` is: file, program
    commits: str = ""  # hashes that git printed, a space between; "?" = it ran `git commit` and printed none
    pulls: str = ""  # pull requests that it opened, by the address that was printed: `owner/name#12`
    again: int = 0  # so many calls directly before it had the same tool and arguments


class Outline(Struct, frozen=True, gc=False):
    """All deeds of a session by time of record. `note` says what is missing of it, "" = nothing is."""

    deeds: tuple[Deed, ...] = ()
    note: str = ""
    log_size: int = 0
    log_mtime_ns: int = 0
    read_ms: int = 0  # when it was read, 0 = it was not

    @property
    def tools(self) -> tuple[str, ...]:
        """The distinct names of tools and programs, in order of their first use."""
        names: dict[str, None] = {}
        for deed in self.deeds:
            if deed.kind == "tool":
                names[deed.name] = None
                if deed.takes == "program":
                    names[deed.target] = None
        return tuple(names)

    @property
    def files(self) -> tuple[str, ...]:
        """The distinct paths that tools were given, in order of their first use."""
        return tuple(
            {path: None for deed in self.deeds if deed.takes == "file" for path in deed.target.split("\n")}
        )
