"""The deeds of a session from all records of its log: what `_steps` recognises, without a word of what was said. Pure."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from msgspec.structs import replace

from tokentop.nouns.looks import Step
from tokentop.nouns.outline import Deed, starts_agents
from tokentop.nouns.sessions import Activity, State
from tokentop.text import clean, one_line

from ._changed import lines_of_patch, lines_of_result, output_tail
from ._programs import Ran, ending_of, program_of, program_of_words
from ._published import Publishes, commits_in, printed, publishes, pulls_in
from ._step_parts import arguments_of, identity, is_prompt, patched_files, text_of, time_of
from ._steps import Steps
from .decoding import obj, string

DEEDS_MAX = 100_000
_PATHS = (
    "file_path", "filePath", "filepath", "absolute_path", "AbsolutePath", "notebook_path", "target_file", "TargetFile",
    "path", "paths", "files",
)  # fmt: skip
_COMMANDS = ("command", "cmd", "commands", "script", "CommandLine")
_PATHS_MAX = 20
_TWIN_MS = 2_000
_ABORTED = frozenset({
    "turn_aborted", "abort", "interrupt", "stepinterrupted", "turninterrupted", "session.interrupted",
})  # fmt: skip
_DENIED = "The user doesn't want to"
_CLASSES = re.compile(
    r"\b[45]\d\d\b|overloaded|rate.?limit|quota|timed? ?out|connection|network|context.{0,20}(?:long|limit|exceed)",
    re.IGNORECASE,
)


class Deeds(Steps):
    """Takes all records of one session, oldest first; `found_deeds()` gives what they tell.

    `cwd` is the session's folder: paths inside it are told from there. What a fork repeats of its parent, before
    `since_ms`, is left out.
    """

    kept = DEEDS_MAX
    details = False

    def __init__(self, session_id: str = "", cwd: str = "", since_ms: int = 0) -> None:
        super().__init__(session_id, texts=True)
        self._since_ms = since_ms
        self._cwd = cwd.rstrip("/")
        self._record: dict[str, Any] = {}
        self._more: dict[object, Deed] = {}  # what a step does not tell, by the same key
        self._runs: dict[object, Ran] = {}
        self._publishes: dict[object, Publishes] = {}
        self._same: dict[object, int] = {}  # hash of tool and arguments
        self._said_last = (0, 0)  # hash and time of the last prompt: it stands in two records of some logs
        self._events: list[tuple[int, Deed]] = []
        self._order: dict[object, int] = {}  # of deeds without a time
        self._next = 0
        self._asked: Deed | None = None

    def feed(self, record: dict[str, Any]) -> None:
        self._record = record
        super().feed(record)

    def found_deeds(self) -> tuple[Deed, ...]:
        """All deeds by time; those without a time stay behind the one that the log has before them."""
        calls = [
            replace(
                self._more.get(key, Deed(step.kind)), kind=step.kind, name=step.name, at_ms=step.at_ms,
                result=self._denied(key, step.result), took_ms=step.took_ms,
                call_id=clean(str(key), 100) if starts_agents(step.name) else "",
            )
            for key, step in self._steps.items()
        ]  # fmt: skip
        numbered = [
            (self._order.get(key, 0), deed, self._same.get(key))
            for key, deed in zip(self._steps, calls, strict=True)
        ]
        events = [(order, deed, None) for order, deed in self._events]
        last, placed = 0, []
        for _, deed, same in sorted([*numbered, *events], key=lambda one: one[0]):
            last = deed.at_ms or last
            if last >= self._since_ms or not last:
                placed.append((last, deed, same))
        return _counted([(deed, same) for _, deed, same in sorted(placed, key=lambda one: one[0])])

    def activity(self, told: Activity) -> None:
        """Errors, limits and questions to a person, as the agent's own reader names them."""
        if told.state is State.PERMISSION:
            if self._asked is None:
                self._asked = Deed("permission", clean(told.tool, 40), at_ms=told.at_ms)
            return
        if self._asked is not None:
            took_ms = told.at_ms - self._asked.at_ms if told.at_ms >= self._asked.at_ms else None
            self._event(replace(self._asked, took_ms=took_ms))
            self._asked = None
        if told.state in {State.ERROR, State.LIMITED}:
            kind = "limit" if told.state is State.LIMITED else "error"
            self._event(Deed(kind, class_of(told.detail), at_ms=told.at_ms))

    def end(self) -> None:
        """The log has ended: a question that nobody answered stays one."""
        if self._asked is not None:
            self._event(replace(self._asked, result="open"))
            self._asked = None

    # ------------------------------------------------------------ records

    def _visit(self, value: dict[str, Any], at_ms: int, role: str, model: str, depth: int) -> None:
        kind = string(value.get("type")).lower()
        if kind == "subagentevent":
            return  # of a sub-agent, which has a log of its own
        if kind == "turnbegin" and value.get("payload"):
            self._event(Deed("prompt", at_ms=at_ms))
        if kind in _ABORTED or value.get("stopReason") == "aborted":
            self._event(Deed("interrupt", at_ms=time_of(value) or at_ms))
        elif (
            (failed := obj(value.get("error")))
            and string(failed.get("name"))
            and value.get("role") == "assistant"
        ):
            name = string(failed["name"])
            status = obj(failed.get("data")).get("statusCode")
            aborted = "abort" in name.lower()
            told = "interrupt" if aborted else "limit" if status == 429 else "error"
            shown = "" if aborted else class_of(str(status)) or clean(name, 40)
            self._event(Deed(told, shown, at_ms=time_of(value) or at_ms))
        super()._visit(value, at_ms, role, model, depth)

    def _call(self, value: dict[str, Any], name: str, arguments: object, at_ms: int) -> None:
        super()._call(value, name, arguments, at_ms)
        self._said_last = (0, 0)
        key = identity(value)
        known = self._more.get(key)
        if known is None or not known.target:
            self._more[key] = self._about(key, arguments)
            self._same[key] = hash((name, str(arguments)))
            if key not in self._publishes and (found := publishes(name, "")) is not None:
                self._publishes[key] = found

    def _end(self, value: dict[str, Any], at_ms: int, result: str, took: object = None) -> None:
        super()._end(value, at_ms, result, took)
        key = identity(value)
        step, deed = self._steps.get(key), self._more.get(key)
        if step is None or deed is None or step.kind != "tool":
            return
        changed = lines_of_result(value, self._record)
        if changed is not None:
            deed = replace(deed, added=changed[0], removed=changed[1])
        ran = self._runs.get(key)
        if ran is not None and result != "open":
            deed = replace(deed, tests=ending_of(ran, step.result, output_tail(value)))
        made = self._publishes.get(key)
        if made is not None and result != "open" and step.result != "failed":
            text = printed(value)
            commits = commits_in(text) if made.commits else ""
            deed = replace(
                deed, commits=deed.commits if commits == "?" and deed.commits else commits,
                pulls=(pulls_in(text) if made.pulls else "") or deed.pulls,
            )  # fmt: skip
        if step.result == "failed":
            deed = replace(deed, added=None, removed=None)
        self._more[key] = deed
        if text_of(value).startswith(_DENIED):
            self._more[key] = replace(deed, result="denied")
        self._decision(step.name, key)

    def _said(self, value: dict[str, Any], at_ms: int, role: str, model: str) -> None:  # noqa: ARG002
        said = text_of(value)
        if not said:
            return
        if role != "user":
            self._said_last = (0, 0)
            return
        said = said.lstrip()
        if said.startswith("[Request inter"):
            self._event(Deed("interrupt", at_ms=at_ms))
        if not is_prompt(said):
            return
        (last, last_ms), self._said_last = self._said_last, (hash(said), at_ms)
        if hash(said) == last and at_ms - last_ms < _TWIN_MS:
            return
        self._event(Deed("prompt", at_ms=at_ms))

    # ------------------------------------------------------------ parts

    def _about(self, key: object, arguments: object) -> Deed:
        """Target of a call, by the names of its arguments alone."""
        given = arguments_of(arguments)
        if isinstance(given, str):
            files = patched_files(given)
            added, removed = lines_of_patch(given)
            return self._of_files(files, added, removed) if files else Deed("tool")
        for name in _PATHS:
            found = given.get(name)
            paths = [found] if isinstance(found, str) else found if isinstance(found, list) else []
            named = [path for path in paths if isinstance(path, str) and path.strip()]
            if named:
                return self._of_files(named)
        for name in _COMMANDS:
            found = given.get(name)
            if isinstance(found, str) and found.strip():
                return self._of_command(key, found, program_of(found))
            if isinstance(found, list) and found:
                words = [part for part in found if isinstance(part, str)]
                if name == "commands":
                    return self._of_command(key, "\n".join(words), program_of("\n".join(words)))
                return self._of_command(key, "\n".join(words), program_of_words(words))
        patch = given.get("input", given.get("patch"))
        if isinstance(patch, str) and (files := patched_files(patch)):
            return self._of_files(files, *lines_of_patch(patch))
        return Deed("tool")

    def _of_command(self, key: object, command: str, ran: Ran) -> Deed:
        if "*** Begin Patch" in command:
            patch = command[command.index("*** Begin Patch") :]
            if files := patched_files(patch):
                return self._of_files(files, *lines_of_patch(patch))
        if ran.tests:
            self._runs[key] = ran
        if (made := publishes("", command)) is not None:
            self._publishes[key] = made
        return Deed(
            "tool", target=ran.program, tests="unknown" if ran.tests else "",
            takes="program" if ran.program else "",
        )  # fmt: skip

    def _of_files(self, paths: list[str], added: int | None = None, removed: int | None = None) -> Deed:
        shown = dict.fromkeys(self._from_folder(path) for path in paths[:_PATHS_MAX])
        return Deed(
            "tool", target="\n".join(shown), added=added, removed=removed, takes="file"
        )  # fmt: skip

    def _from_folder(self, path: str) -> str:
        path = path.strip().replace("\\", "/")
        if path.startswith("/"):
            path = posixpath.normpath(path)
        if self._cwd and path.startswith(self._cwd + "/"):
            path = path[len(self._cwd) + 1 :]
        elif path == self._cwd:
            path = "."
        return one_line(path, 300)

    def _decision(self, tool: str, key: object) -> None:
        """What a person answered when the tool asked, where the log tells that one was asked."""
        told = obj(self._record.get("permissionDecision"))
        source = string(told.get("source"))
        if not source.startswith("user") or told.get("reasonType") == "rule":
            return
        result = "ok" if told.get("decision") == "accept" else "denied"
        self._event(Deed("permission", tool, at_ms=self._begun.get(key, 0), result=result))

    def _denied(self, key: object, result: str) -> str:
        deed = self._more.get(key)
        return "denied" if deed is not None and deed.result == "denied" else result

    def _put(self, key: object, step: Step) -> None:
        self._next += 1
        self._order[key] = self._next
        super()._put(key, step)

    def _event(self, deed: Deed) -> None:
        if any(deed == known for _, known in self._events[-3:]):
            return
        if len(self._events) >= DEEDS_MAX:
            self.dropped += 1
            return
        self._next += 1
        self._events.append((self._next, deed))


def _counted(placed: list[tuple[Deed, int | None]]) -> tuple[Deed, ...]:
    """The deeds, each tool call with the number of equal ones directly before it."""
    found, last, again = [], None, 0
    for deed, same in placed:
        if same is not None:
            again = again + 1 if same == last else 0
            last = same
        found.append(replace(deed, again=again) if same is not None and again else deed)
    return tuple(found)


def class_of(detail: str) -> str:
    """The class of an error from its message: a status, or one of a few known words; never the message."""
    found = _CLASSES.search(detail)
    return clean(" ".join(found.group().lower().split()), 24) if found else ""
