"""Which lines of a change are still there in a tree, by what git says of who wrote each line of it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from .rewrites import Change, Lineage, hashes

# path -> the lines of that file by the commit that wrote them, as hashes of four bytes; None = not looked at
Blame = Callable[[str], Mapping[str, bytes] | None]


def paths_to_look_at(lineage: Lineage, change: Change) -> set[str]:
    """Where lines of a change may be: where its files are now, and those of the commit that took them over."""
    commits = [change.commit]
    if change.home:
        commits += [one.commit for one in lineage.changes if one.hash == change.home]
    return lineage.paths_since(file.path for commit in commits for file in commit.files)


def survivors(lineage: Lineage, change: Change, blame: Blame) -> int | None:
    """How many added lines of a change are there; None = not known, or not all of its files were looked at.

    Of a squash each vanished change takes the lines that it had, the older first; what is left is the squash's own.
    """
    if change.commit.problem or change.is_revert:
        return None if change.commit.problem else 0
    if change.state == "gone" and not change.home:
        return 0
    here = next((one for one in lineage.changes if one.hash == (change.home or change.hash)), change)
    written: Counter[int] = Counter()
    for path in paths_to_look_at(lineage, change):
        lines = blame(path)
        if lines is None:
            return None
        for form in here.forms:
            written.update(hashes(lines.get(form, b"")))
    for older in sorted(lineage.lodgers(here.hash), key=lambda one: (one.at_ms, one.hash)):
        own = Counter(one for file in older.commit.files for one in hashes(file.lines))
        taken = own & written
        if older.hash == change.hash:
            return taken.total()
        written -= taken
    added = sum(file.added or 0 for file in change.commit.files)
    return min(written.total(), added)
