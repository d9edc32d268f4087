"""The program that a shell command runs, without its arguments, and how a run of tests ended. Pure."""

from __future__ import annotations

import re

from msgspec import Struct

from tokentop.text import one_line

_LOOKED_AT = 2_000  # characters of a command
_TOKEN = re.compile(
    r"""(?P<word>(?:\$\(|'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\;&|<>()])+)|(?P<sign>\d?[<>]+&?\d?|[;&|()]+|\n)|(?P<open>['"])""",
    re.DOTALL,
)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_NAME = re.compile(r"[\w.+@-]{1,40}\Z")
_SUBCOMMAND = re.compile(r"[a-z][a-z0-9:_-]{0,24}\Z")
_AMOUNT = re.compile(r"\d+(?:\.\d+)?[smhd]?\Z")
_ASIDE = frozenset({"cd", "pushd", "popd", "export", "set", "source", ".", "unset", "ulimit", "true", ":"})
_BEFORE = frozenset(
    {"sudo", "env", "time", "nohup", "command", "exec", "nice", "timeout", "stdbuf", "xargs", "doas"}
)
_SHELLS = frozenset({"bash", "sh", "zsh", "dash", "fish"})
_RUNNERS = {
    "uv": "run",
    "poetry": "run",
    "pipenv": "run",
    "pdm": "run",
    "hatch": "run",
    "pnpm": "exec",
    "bundle": "exec",
}
_DIRECT = frozenset({"npx", "bunx", "uvx", "pnpx"})
_SCRIPTS = frozenset({"npm", "pnpm", "yarn", "bun"})
_WITH_SUBCOMMAND = frozenset({
    "git", "gh", "hg", "jj", "npm", "pnpm", "yarn", "bun", "deno", "cargo", "go", "make", "just", "docker", "podman",
    "kubectl", "terraform", "uv", "pip", "pip3", "poetry", "dotnet", "mvn", "gradle", "./gradlew", "gradlew", "swift",
    "mix", "rails", "apt", "apt-get", "brew", "systemctl", "aws", "gcloud", "helm", "playwright", "ng", "zig", "bazel",
})  # fmt: skip
_TESTERS = frozenset({
    "pytest", "py.test", "unittest", "jest", "vitest", "mocha", "ava", "tox", "nox", "phpunit", "rspec", "ctest",
    "karma", "cypress", "nose2", "busted", "bats",
})  # fmt: skip
_FAILED = re.compile(
    r"\b[1-9]\d* (?:failed|failing|failures?|errors?)\b|^(?:--- )?FAIL\b|test result: FAILED|^FAILED \("
    r"|(?:Failures|Errors): [1-9]",
    re.MULTILINE,
)
_PASSED = re.compile(
    r"\b[1-9]\d* (?:tests? )?(?:passed|passing)\b|test result: ok|^OK(?: \(|$)|^ok\s+\S+\s+(?:[\d.]+s|\(cached\))"
    r"|Tests run: [1-9]\d*, Failures: 0, Errors: 0",
    re.MULTILINE,
)


class Ran(Struct, frozen=True):
    """What a command runs: its first program that does something, or its run of tests."""

    program: str = ""  # with its subcommand: `git commit`
    tests: bool = False
    decides: bool = False  # its exit status is the command's


def program_of(command: str) -> Ran:
    """The program of a command line; of one in a quoted `bash -c` the inner one."""
    return _program_of(command[:_LOOKED_AT], 0)


def program_of_words(words: list[str]) -> Ran:
    """The same of a command that is given as a list of words."""
    if len(words) >= 3 and _base(words[0]) in _SHELLS and words[1].startswith("-") and "c" in words[1]:
        return program_of(words[2])
    return _named([word[:_LOOKED_AT] for word in words[:40]], last=True)


def ending_of(ran: Ran, result: str, output: str) -> str:
    """passed, failed or unknown: what the runner's own last lines say, else the exit status where it is the runner's."""
    if _FAILED.search(output):
        return "failed"
    if _PASSED.search(output):
        return "passed"
    return {"ok": "passed", "failed": "failed"}.get(result, "unknown") if ran.decides else "unknown"


def _program_of(command: str, depth: int) -> Ran:
    found = Ran()
    segments = _segments(command)
    for place, words in enumerate(segments):
        last = place == len(segments) - 1
        if depth < 2 and len(words) >= 3 and _base(words[0]) in _SHELLS and re.match(r"-\w*c", words[1]):
            one = _program_of(words[2], depth + 1)
            ran = Ran(one.program, one.tests, one.decides and last)
        else:
            ran = _named(words, last=last)
        if ran.tests:
            return ran
        if not ran.program and not _ASSIGNMENT.match(words[0]):  # an expansion: nothing after it is sure
            break
        if not found.program or found.program in _ASIDE:
            found = ran
    return found


def _segments(command: str) -> list[list[str]]:
    """The words of each simple command of a line; redirections are left out."""
    segments: list[list[str]] = [[]]
    skip = False
    for match in _TOKEN.finditer(command):
        sign = match["sign"]
        if match["open"]:  # a quote without its end: what follows is no command
            break
        if sign is None:
            if not skip:
                segments[-1].append(_unquoted(match["word"]))
            skip = False
        elif "<" in sign or ">" in sign:
            if "<<" in sign:  # what follows is text for the program
                break
            skip = not sign.endswith(("&1", "&2"))
        else:
            segments.append([])
    return [words for words in segments if words]


def _unquoted(word: str) -> str:
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"" else word


def _named(words: list[str], *, last: bool) -> Ran:
    words = _without_prefix(words)
    if not words:
        return Ran()
    name = _base(words[0])
    rest = words[1:]
    if name.startswith("python") and "-m" in rest[:4]:
        return _named(rest[rest.index("-m") + 1 :], last=last)
    if name in _DIRECT or (name in _RUNNERS and rest[:1] == [_RUNNERS[name]]):
        inner = [word for word in (rest if name in _DIRECT else rest[1:]) if not word.startswith("-")]
        if inner:
            return _named(inner, last=last)
    if not _NAME.match(name):
        return Ran()
    if name in _SCRIPTS and rest[:1] == ["run"] and rest[1:2] and rest[1].startswith("test"):
        rest = ["test"]
    second = next((word for word in rest if not word.startswith("-")), "") if name in _WITH_SUBCOMMAND else ""
    if name == "git" and "-C" in rest[:1]:
        second = next((word for word in rest[2:] if not word.startswith("-")), "")
    shown = f"{name} {second}" if second and _SUBCOMMAND.match(second) else name
    tests = name in _TESTERS or (
        bool(second) and second in {"test", "nextest", "check-test"} and name != "git"
    )
    return Ran(one_line(shown, 66), tests, last)


def _without_prefix(words: list[str]) -> list[str]:
    """Without assignments and programs that only start another one."""
    place = 0
    while place < len(words):
        word = words[place]
        if _ASSIGNMENT.match(word):
            place += 1
        elif _base(word) in _BEFORE:
            place += 1
            while place < len(words) and (words[place].startswith("-") or _AMOUNT.match(words[place])):
                place += 1
        else:
            break
    return words[place:]


def _base(word: str) -> str:
    return word if word == "./gradlew" else word.rsplit("/", 1)[-1]
