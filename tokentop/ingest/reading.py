"""One look at one repository: what git is asked, within limits of time and size."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence

from .git import Answer, ask
from .repository import Place, shallow

GIT_S = 15.0
_REFS_BYTES = 1 << 21


class Budget:
    """The seconds that git may take, all questions together."""

    def __init__(self, seconds: float) -> None:
        self._until_s = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        return max(0.0, self._until_s - time.monotonic())


class Reading:
    """One look at one repository. Close it, or use it with `with`.

    `ask` reads its branches. `objects` reads what they lead to through an empty git directory of its own, so that no
    setting or attribute of the repository or the user has a say.
    """

    def __init__(self, place: Place, budget: Budget) -> None:
        self.place = place
        self.budget = budget
        self.notes: list[str] = []
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *_: object) -> None:
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    def ask(self, *words: str, fine: Collection[int] = (0,)) -> Answer:
        """A question in the top folder, not to a repository above it; a limit that was reached becomes a note."""
        above = self.place.top.rpartition("/")[0] or "/"
        return self._ask(
            self.place.top, words, {"GIT_CEILING_DIRECTORIES": above}, fine=fine, most=_REFS_BYTES
        )

    def objects(self, *words: str | bytes, feed: bytes = b"", most: int = 1 << 24) -> Answer:
        """A question that names its objects by their hashes."""
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="tokentop-git-")
            _empty_repository(self._scratch.name, sha256=self._is_sha256())
        more = {
            "GIT_DIR": self._scratch.name,
            "GIT_OBJECT_DIRECTORY": f"{self.place.common}/objects",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
        }
        if shallow(self.place.common):
            more["GIT_SHALLOW_FILE"] = f"{self.place.common}/shallow"
        return self._ask(self._scratch.name, words, more, feed=feed, most=most)

    def _ask(
        self, folder: str, words: Sequence[str | bytes], more: Mapping[str, str], *, fine: Collection[int] = (0,),
        feed: bytes = b"", most: int = 1 << 24,
    ) -> Answer:  # fmt: skip
        seconds = min(GIT_S, self.budget.left_s)
        if seconds <= 0:
            answer = Answer(b"", "slow")
        else:
            answer = ask(folder, words, seconds=seconds, most=most, feed=feed, fine=fine, more=more)
        if answer.problem:
            self.note(_SAID.get(answer.problem, answer.problem))
        return answer

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _is_sha256(self) -> bool:
        """Whether its objects are named by 64 digits: only then is there a setting that says so."""
        answer = self.ask("rev-parse", "--show-object-format")
        return answer.out.strip() == b"sha256"


def _empty_repository(folder: str, *, sha256: bool) -> None:
    os.mkdir(os.path.join(folder, "refs"))
    extension = "[extensions]\n\tobjectformat = sha256\n" if sha256 else ""
    for name, text in (
        ("HEAD", "ref: refs/heads/none\n"),
        ("config", f"[core]\n\trepositoryformatversion = {int(sha256)}\n\tbare = true\n{extension}"),
    ):
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)


_SAID = {
    "missing": "git cannot be run",
    "slow": "git took too long: not all was looked at",
    "large": "git's answer was too large: not all was looked at",
    "failed": "git refused a question: not all was looked at",
}
