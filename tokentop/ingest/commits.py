"""The commits of a repository since a time, over all its branches, tags and work trees, and what each of them changed.

A commit that was read before is not read again. `Budget` bounds the time of one look; what it cut is in the notes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b

from msgspec.structs import replace

from tokentop.nouns.commits import Commit, Repository, Tip

from .patches import changes_of
from .reading import Reading
from .repository import Place, made_since, shallow, work_trees

COMMITS_MAX = 5_000
TIPS_MAX = 60
REFS_MAX = 10_000
_PATCH_BYTES = 64 << 20
_PATCH_COMMITS = 100
_TRAILER = re.compile(r"([A-Za-z][A-Za-z0-9-]{2,40}): *(\S.*)")
_HEAD = re.compile(rb"HEAD ([0-9a-f]{40}(?:[0-9a-f]{24})?)")
_NAME = re.compile(r"[A-Za-z0-9_-]{8,80}")
_REVERTS = re.compile(r"^This reverts commit ([0-9a-f]{40,64})", re.MULTILINE)
_USUAL = ("main", "master", "trunk", "develop")


def look(
    reading: Reading, since_ms: int, now_ms: int, *, known: Collection[str] = (),
    signatures: Mapping[str, tuple[str, ...]] | None = None,
) -> Repository:  # fmt: skip
    """The repository since a time; `commits` are those whose hash is not in `known`. Raises nothing.

    `signatures` = words in the name of an author or in a trailer, by agent.
    """
    place = reading.place
    linked = work_trees(place.common)
    tops = _tops(place, linked)
    made, has_logs = made_since(place.common, tops, since_ms)
    tips, ends = _tips(reading, tops)
    since = f"--max-age={since_ms // 1000}"
    limit = f"--max-count={COMMITS_MAX + 1}"
    feed = "".join(f"{one}\n" for one in ends).encode()
    listed = (
        reading.objects("rev-list", "--ignore-missing", limit, since, "--stdin", feed=feed).out
        if ends
        else b""
    )
    reached = listed.decode("ascii", "replace").split()
    if len(reached) > COMMITS_MAX:
        reading.note(f"more than {COMMITS_MAX:,} commits: the oldest were not looked at")
        reached = reached[:COMMITS_MAX]
    gone = [one.hash for one in made if one.hash not in set(reached)][-COMMITS_MAX:]
    seen = set(known)
    new = [one for one in dict.fromkeys([*reached, *gone]) if one not in seen]
    commits = _with_changes(reading, _headers(reading, new, signatures or {}), shallow(place.common))
    return Repository(
        place.common, tuple(top for top, _ in tops), since_ms, now_ms, _lines(reading, tips, since),
        frozenset(reached), tuple(made), has_logs, tuple(commits), tuple(reading.notes),
    )  # fmt: skip


def _tops(place: Place, linked: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """All work trees that are known: the main one, the linked ones, and the one that was asked for."""
    tops = {git_dir: top for top, git_dir in linked}
    if place.common.endswith("/.git"):
        tops.setdefault(place.common, place.common.removesuffix("/.git"))
    tops.setdefault(place.git_dir, place.top)
    return [(top, git_dir) for git_dir, top in tops.items()]


def _tips(reading: Reading, tops: list[tuple[str, str]]) -> tuple[list[Tip], list[str]]:
    """(branches, the default one first and then the newest; the hashes that all branches, tags, work trees stand at)."""
    out = reading.ask(
        "for-each-ref", "--format=%(objectname) %(refname)", f"--count={REFS_MAX}", "--sort=-creatordate",
        "refs/heads", "refs/remotes", "refs/tags",
    ).out  # fmt: skip
    found = [line.split(" ", 1) for line in out.decode("utf-8", "surrogateescape").splitlines()]
    refs = [Tip(name, value) for value, name in (one for one in found if len(one) == 2)]
    if len(refs) == REFS_MAX:
        reading.note(f"more than {REFS_MAX:,} branches and tags: the oldest were not looked at")
    tips = [one for one in refs if not one.name.startswith("refs/tags/") and not one.name.endswith("/HEAD")]
    listed = reading.ask("worktree", "list", "--porcelain").out.splitlines()[: 8 * len(tops) + 64]
    heads = [head[1].decode() for line in listed if (head := _HEAD.fullmatch(line)) and head[1].strip(b"0")]
    default = _default(reading, tips)
    detached = [Tip("HEAD", one) for one in dict.fromkeys(heads) if all(one != tip.hash for tip in tips)]
    rest = [tip for tip in tips if tip is not default][:TIPS_MAX]
    ends = list(dict.fromkeys([*(one.hash for one in refs), *heads]))
    return ([default, *rest] if default is not None else rest) + detached, ends


def _default(reading: Reading, tips: list[Tip]) -> Tip | None:
    """The default branch: what the remote calls so, else one by its usual name, else what the work tree is on.

    Of a branch and its remote the one with the newer commit is taken.
    """
    out = reading.ask(
        "for-each-ref", "--format=%(symref)", "refs/remotes/*/HEAD", "refs/remotes/*/*/HEAD"
    ).out
    heads = [name for name in out.decode("utf-8", "surrogateescape").splitlines() if name]
    current = reading.ask("symbolic-ref", "-q", "HEAD", fine=(0, 1)).out.decode("utf-8", "surrogateescape")
    for name in dict.fromkeys([*(_end(head) for head in heads), *_USUAL, _end(current)]):
        for tip in tips:  # newest first
            if name and _end(tip.name) == name:
                return tip
    return tips[0] if tips else None


def _end(refname: str) -> str:
    """The name of a branch without where it is kept."""
    name = refname.strip()
    for start, parts in (("refs/heads/", 0), ("refs/remotes/", 1)):
        if name.startswith(start):
            return name.removeprefix(start).split("/", parts)[-1]
    return ""


def _lines(reading: Reading, tips: list[Tip], since: str) -> tuple[Tip, ...]:
    """The first parents of each branch; of all but the default one only what the default one does not have."""
    found = []
    for at, tip in enumerate(tips):
        without = (f"^{tips[0].hash}",) if at else ()
        answer = reading.objects(
            "rev-list", "--first-parent", f"--max-count={COMMITS_MAX}", since, tip.hash, *without
        )
        line = tuple(answer.out.decode("ascii", "replace").split())
        if line or not at:
            found.append(replace(tip, line=line))
    return tuple(found)


# ------------------------------------------------------------ one commit


def _headers(reading: Reading, hashes: list[str], signatures: Mapping[str, tuple[str, ...]]) -> list[Commit]:
    """Each commit without what it changed; what is not in the repository any more is left out."""
    if not hashes:
        return []
    out = reading.objects("cat-file", "--batch", feed="\n".join(hashes).encode() + b"\n", most=1 << 26).out
    found, at = [], 0
    while (end := out.find(b"\n", at)) >= 0:
        words = out[at:end].split()
        at = end + 1
        if len(words) != 3 or not words[2].isdigit():
            continue  # "missing"
        size = int(words[2])
        if words[1] == b"commit" and at + size <= len(out):
            found.append(_commit(words[0].decode(), out[at : at + size], signatures))
        at += size + 1
    return found


def _commit(name: str, data: bytes, signatures: Mapping[str, tuple[str, ...]]) -> Commit:
    head, _, rest = data.partition(b"\n\n")
    parents, people = [], {b"author": b"", b"committer": b""}
    for line in head.split(b"\n"):
        kind, _, value = line.partition(b" ")
        if kind == b"parent":
            parents.append(value.decode("ascii", "replace"))
        elif kind in people:
            people[kind] = people[kind] or value
    author, author_ms = _person(people[b"author"])
    committer, commit_ms = _person(people[b"committer"])
    message = rest[:100_000].decode("utf-8", "replace")
    subject = message.partition("\n")[0]
    trailers = _trailers(message)
    said = "\n".join(
        (author.decode("utf-8", "replace"), committer.decode("utf-8", "replace"), *trailers)
    ).lower()
    reverts = _REVERTS.search(message)
    names = [word for line in trailers for word in _NAME.findall(line) if any(c.isdigit() for c in word)]
    return Commit(
        name, tuple(parents), hash63(author), author_ms or commit_ms, commit_ms, hash63(subject.encode()),
        tuple(agent for agent, signs in signatures.items() if any(sign in said for sign in signs)),
        tuple(dict.fromkeys(names))[:8], reverts[1] if reverts else "", problem="unread",
    )  # fmt: skip


def _person(value: bytes) -> tuple[bytes, int]:
    """(name and address, milliseconds) of `name <address> seconds zone`; 0 = no usable time."""
    who, _, when = value.rpartition(b"> ")
    seconds = when.split(b" ")[0]
    return who, int(seconds) * 1000 if seconds.isdigit() and len(seconds) < 12 else 0


def _trailers(message: str) -> list[str]:
    """The values of the trailers: lines `Word: value` anywhere below the subject, at most 50."""
    found = (_TRAILER.fullmatch(line.strip()[:300]) for line in message.splitlines()[1:])
    return [match[2] for match in found if match is not None][:50]


def hash63(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big") >> 1


def _with_changes(reading: Reading, commits: list[Commit], cut: frozenset[str]) -> list[Commit]:
    """What each commit changed against its parent. A merge changes nothing of its own."""
    found = {one.hash: replace(one, problem="") for one in commits if one.is_merge}
    found |= {one.hash: replace(one, problem="shallow") for one in commits if one.hash in cut}
    rest = [one for one in commits if one.hash not in found]
    for at in range(0, len(rest), _PATCH_COMMITS):
        some = rest[at : at + _PATCH_COMMITS]
        for one in some:
            found[one.hash] = one
        _read_patches(reading, some, found)
    return [found[one.hash] for one in commits]


def _read_patches(reading: Reading, some: Sequence[Commit], found: dict[str, Commit]) -> None:
    """Take up to `_PATCH_COMMITS` commits; one whose patch is too large is passed over, those after it are not."""
    while some:
        answer = reading.objects(
            "diff-tree", "--stdin", "-r", "--root", "--always", "-M", "-l400", "--raw", "--full-index", "-p", "-U0",
            "--no-color", "--no-ext-diff", "--no-textconv", "--ignore-submodules=all",
            feed="".join(f"{one.hash}\n" for one in some).encode(), most=_PATCH_BYTES,
        )  # fmt: skip
        read = changes_of(answer.out, whole=not answer.problem)
        for name, (patch, files) in read.items():
            if name in found:
                found[name] = replace(found[name], patch=patch, files=files, problem="")
        some = [one for one in some if one.hash not in read]
        if answer.problem != "large" or not some:
            return
        if not read:
            found[some[0].hash] = replace(some[0], problem="large")
            some = some[1:]
