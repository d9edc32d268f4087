"""The dictionary of a recording: texts as numbers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from tokentop.nouns.recorded import Text


class _Numbers(dict[str, int]):
    """Text -> number; one that is not known yet gets the next."""

    def __init__(self, number: Callable[[str], int]) -> None:
        super().__init__({"": 0})
        self._number = number

    def __missing__(self, text: str) -> int:
        found = self[text] = self._number(text)
        return found


class Texts:
    """The dictionary: each text once, numbered from 1; 0 is the empty one. Titles are kept apart from all else."""

    def __init__(self, known: Iterable[Text] = ()) -> None:
        self.ids = _Numbers(lambda text: self._add(text, title=False))
        self.titles = _Numbers(lambda text: self._add(text, title=True))
        self._texts: dict[int, str] = {0: ""}
        self.last = 0  # the highest number
        self.fresh: list[Text] = []  # not stored yet
        self.learn(known)

    def learn(self, known: Iterable[Text]) -> None:
        """Take stored texts."""
        for one in known:
            if one.text:  # titles that were taken out are empty
                (self.titles if one.title else self.ids)[one.text] = one.id
            self._texts[one.id] = one.text
            self.last = max(self.last, one.id)

    def _add(self, text: str, *, title: bool) -> int:
        self.last += 1
        self._texts[self.last] = text
        self.fresh.append(Text(self.last, text, title))
        return self.last

    def text(self, number: int) -> str:
        """`?` for a number that the dictionary has lost."""
        return self._texts.get(number, "?")

    def drop(self, numbers: Iterable[int]) -> None:
        """Forget texts that are stored no more."""
        for number in numbers:
            text = self._texts.pop(number, "")
            for ids in (self.ids, self.titles):
                if text and ids.get(text) == number:
                    del ids[text]


_WITH_VERBS = frozenset(
    {"apt", "brew", "bun", "cargo", "composer", "deno", "docker", "dotnet", "gh", "git", "go", "helm", "kubectl",
     "make", "mise", "npm", "npx", "pip", "pnpm", "podman", "poetry", "systemctl", "terraform", "uv", "yarn"}
)  # fmt: skip


@lru_cache(maxsize=4096)
def program(command: str) -> str:
    """The program of a command line, with its verb where it has such: `npm run`, `pytest`; no other argument."""
    words = command.split(maxsplit=3)
    if not words:
        return ""
    name = words[0].rsplit("/", 1)[-1]
    if name.startswith("python") and len(words) > 2 and words[1] == "-m":
        return f"{name} -m {words[2]}"
    return f"{name} {words[1]}" if name in _WITH_VERBS and len(words) > 1 and words[1].isalpha() else name
