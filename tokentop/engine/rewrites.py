"""Commits -> changes: what was rewritten (amended, rebased, cherry-picked, squashed) counts once.

A change is one commit with all its other forms. Pure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from tokentop.nouns.commits import Commit, FileChange, Repository

_SHARE_TO_BE_HOME = 0.3  # of a vanished commit's lines, to say that another commit took them over


class Change(Struct, frozen=True):
    """One commit with its other forms.

    `state`: kept = the default branch has it, branch = another branch or tag has it, gone = only git's logs know it.
    """

    commit: Commit  # the form that is kept, else the newest
    forms: tuple[str, ...]  # all hashes, oldest first
    at_ms: int  # when its first known form was made
    state: str
    tip: int = 0  # the branch that has it, by its place in the repository's tips
    is_revert: bool = False
    is_squash: bool = False  # it holds the lines of vanished changes
    home: str = ""  # gone: the commit that took its lines over

    @property
    def hash(self) -> str:
        return self.commit.hash

    @property
    def lines_known(self) -> bool:
        return not self.commit.problem


class Lineage:
    """The changes of one repository; `commits` are all that are known of it, by hash."""

    def __init__(self, repository: Repository, commits: Mapping[str, Commit]) -> None:
        self._repository = repository
        self._commits = commits
        self.entered: list[dict[str, int]] = [
            self._entries(at) for at in range(len(repository.tips))
        ]  # by tip: commit -> when the branch got it, as a place in the line (0 = newest)
        self._renamed = _renames(commits.values())
        self.changes = self._with_homes(self._grouped())
        self._lodgers: dict[str, list[Change]] = defaultdict(list)
        for change in self.changes:
            if change.home:
                self._lodgers[change.home].append(change)

    def _entries(self, tip: int) -> dict[str, int]:
        entered: dict[str, int] = {}
        line = self._repository.tips[tip].line
        mainline = set(line)
        for at in range(len(line) - 1, -1, -1):
            waiting = [line[at]]
            while waiting:
                name = waiting.pop()
                if name in entered or (name in mainline and name != line[at]):
                    continue
                entered[name] = at
                if (commit := self._commits.get(name)) is not None:
                    waiting.extend(one for one in commit.parents if one in self._commits)
        return entered

    # ------------------------------------------------------------ rewriting

    def _grouped(self) -> list[Change]:
        reached = self._repository.reached
        ordered = sorted(
            (one for one in self._commits.values() if not one.is_merge),
            key=lambda one: (one.commit_ms, one.hash),
        )
        kept = [one for one in ordered if one.hash in reached]
        gone = [one for one in ordered if one.hash not in reached]
        group: dict[str, str] = {}  # hash -> the first hash of its change
        by_key: dict[tuple[object, ...], str] = {}
        undone = {one.hash: one.reverts for one in ordered if one.reverts}
        for one in kept:
            twin = by_key.get(_twin(one)) if one.patch else None
            restored = group.get(undone.get(one.reverts, ""))  # it takes a revert back
            group[one.hash] = twin or restored or one.hash
            for key in (*_keys(one), _twin(one)):
                by_key.setdefault(key, group[one.hash])
        for some in _together(gone):
            found = next((by_key[key] for one in some for key in _keys(one) if key in by_key), some[0].hash)
            group |= dict.fromkeys((one.hash for one in some), found)
        forms: dict[str, list[Commit]] = defaultdict(list)
        for one in ordered:
            forms[group[one.hash]].append(one)
        return [self._change(some, undone) for some in forms.values()]

    def _change(self, forms: list[Commit], undone: Mapping[str, str]) -> Change:
        at_ms = min(min(one.commit_ms, one.author_ms) for one in forms)
        places = [
            (tip, one)
            for one in forms if one.hash in self._repository.reached
            for tip in range(len(self.entered)) if one.hash in self.entered[tip]
        ]  # fmt: skip
        if places:
            tip, best = min(places, key=lambda place: place[0])
            state = "branch" if tip else "kept"
        else:
            tip = 0
            held = [one for one in forms if one.hash in self._repository.reached]
            best, state = (held or forms)[-1], "branch" if held else "gone"
        # what takes a revert back is a form of the change that had been reverted
        is_revert = bool(best.reverts) and best.reverts not in undone
        return Change(best, tuple(one.hash for one in forms), at_ms, state, tip, is_revert)

    # ------------------------------------------------------------ squashes

    def _with_homes(self, changes: list[Change]) -> list[Change]:
        gone = [one for one in changes if one.state == "gone" and one.lines_known and one.commit.files]
        if not gone:
            return changes
        by_path: dict[str, list[Change]] = defaultdict(list)
        for change in changes:
            if change.state != "gone":
                for file in change.commit.files:
                    by_path[file.path].append(change)
        homes = {one.hash: home for one in gone if (home := self._home(one, by_path)) is not None}
        squashes = {home.hash for home in homes.values() if len(home.forms) == 1}
        found = []
        for one in changes:
            home = homes.get(one.hash)
            if home is not None:
                found.append(replace(one, home=home.hash, tip=home.tip))
            else:
                found.append(replace(one, is_squash=True) if one.hash in squashes else one)
        return found

    def _home(self, gone: Change, by_path: Mapping[str, list[Change]]) -> Change | None:
        """The change that holds most of the lines of a vanished one, if it was made later and holds enough."""
        shared: Counter[str] = Counter()
        candidates: dict[str, Change] = {}
        total = 0
        for file in gone.commit.files:
            own = Counter(telling(file))
            total += own.total()
            for path in self.paths_since([file.path]):
                for other in by_path.get(path, ()):
                    if other.commit.commit_ms < gone.at_ms:
                        continue
                    theirs = Counter(h for f in other.commit.files if f.path == path for h in telling(f))
                    candidates[other.hash] = other
                    shared[other.hash] += (own & theirs).total()
        if not total or not shared:
            return None
        best, lines = max(shared.items(), key=lambda item: (item[1], item[0]))
        return candidates[best] if lines >= max(1, _SHARE_TO_BE_HOME * total) else None

    def lodgers(self, home: str) -> list[Change]:
        """The vanished changes whose lines a commit took over."""
        return self._lodgers.get(home, [])

    # ------------------------------------------------------------ paths, trees

    def paths_since(self, paths: Iterable[str]) -> set[str]:
        """Where files may be now: under these names, and under all that they were renamed to."""
        waiting = list(paths)
        found = set(waiting)
        while waiting:
            for new in self._renamed.get(waiting.pop(), ()):
                if new not in found:
                    found.add(new)
                    waiting.append(new)
        return found

    def tree_of(self, change: Change, days: int, now_ms: int) -> tuple[str, bool]:
        """(the commit in whose tree its lines are looked for, whether that will stay so).

        It is what the branch was at after `days` days, or when it got the change, if that was later; now, if the change
        is younger. "" = the branch is not known.
        """
        if change.tip >= len(self._repository.tips):
            return "", False
        tip = self._repository.tips[change.tip]
        entered = self.entered[change.tip].get(change.home or change.hash)
        until_ms = change.at_ms + days * 86_400_000
        if until_ms > now_ms or not tip.line:
            return tip.hash, False
        for at, name in enumerate(tip.line):
            commit = self._commits.get(name)
            if (commit is not None and commit.commit_ms <= until_ms) or at == entered:
                return name, True
        return tip.line[-1], True


def _together(commits: Sequence[Commit]) -> list[list[Commit]]:
    """Commits that are forms of each other, directly or through a third; the newest first."""
    sets: dict[str, list[Commit]] = {}
    by_key: dict[tuple[object, ...], str] = {}
    for one in reversed(commits):
        joined = [one]
        for other in {by_key[key] for key in _keys(one) if key in by_key}:
            joined += sets.pop(other)
        sets[one.hash] = joined
        for key in (key for member in joined for key in _keys(member)):
            by_key[key] = one.hash
    return [sorted(some, key=lambda one: one.commit_ms, reverse=True) for some in sets.values()]


def _keys(commit: Commit) -> list[tuple[object, ...]]:
    """What forms of one commit have in common: author and time with the subject or the parent, or the patch."""
    keys: list[tuple[object, ...]] = [(2, commit.patch)] if commit.patch else []
    who = (commit.author, commit.author_ms)
    return [*keys, (0, *who, commit.subject), (1, *who, commit.parents)]


def _twin(commit: Commit) -> tuple[object, ...]:
    """Two commits that are both kept are one change if author, time and patch are the same: a cherry-pick."""
    return (3, commit.author, commit.author_ms, commit.patch)


def _renames(commits: Iterable[Commit]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for commit in commits:
        for file in commit.files:
            if file.old_path:
                found[file.old_path].add(file.path)
    return found


def telling(file: FileChange) -> list[int]:
    """Hashes of the added lines that are more than an end of a block."""
    return [one for one in hashes(file.lines) if one]


def hashes(lines: bytes) -> memoryview:
    return memoryview(lines).cast("I")
