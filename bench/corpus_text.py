"""Building blocks of the corpus: file sizes, ids, text like tool output; deterministic by `rng`."""

from __future__ import annotations

import bisect
import datetime as dt
import itertools
import json
import math
import random
from collections.abc import Sequence

# sizes that real users have: 3,142 files, 1,239 MiB
QUANTILES = [
    (0.0, 236),
    (0.5, 105267),
    (0.75, 233572),
    (0.9, 653972),
    (0.95, 1504757),
    (0.99, 5383751),
    (1.0, 87033471),
]
PROFILE_FILES, PROFILE_MIB = 3142, 1238.97

PROJECTS = [
    "api-gateway",
    "billing-core",
    "web-frontend",
    "ml-pipeline",
    "infra-terraform",
    "mobile-app",
    "docs-site",
    "data-lake",
    "auth-service",
    "search-index",
    "payments",
    "cli-tools",
]
VOCABULARY = (
    "def return self import class async await for in if else None True False raise ValueError "
    "logger.info config result response request session token usage model cache index batch queue "
    "worker thread lock path file open read write json dumps loads test assert expect should render "
    "component state props useEffect const let fn impl struct enum match pub mod use crate Ok Err Some "
    "Vec String HashMap error warning failed passed SELECT FROM WHERE JOIN GROUP ORDER LIMIT docker "
    "build push pull deploy rollback metrics trace span"
)
WORDS = VOCABULARY.split()
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def size_at(p: float) -> float:
    """The file size at quantile p of the profile."""
    for (p0, s0), (p1, s1) in itertools.pairwise(QUANTILES):
        if p <= p1:
            return s0 + (s1 - s0) * ((p - p0) / (p1 - p0))
    return QUANTILES[-1][1]


def file_sizes(total: int, rng: random.Random) -> list[int]:
    """Sizes of files with that many bytes together, in random order."""
    n = max(1, round(total / 2**20 / PROFILE_MIB * PROFILE_FILES))
    raw = [size_at((i + 0.5) / n) for i in range(n)]
    scale = total / sum(raw)
    sizes = [max(2000, int(s * scale)) for s in raw]
    rng.shuffle(sizes)
    return sizes


def result_size(rng: random.Random) -> int:
    """Bytes of a tool result: log-normal, one in twenty between 10 and 500 kB."""
    if rng.random() < 0.05:
        return int(10_000 * math.exp(rng.random() * math.log(50)))
    return max(40, min(60_000, int(rng.lognormvariate(math.log(2200), 1.2))))


def hexid(rng: random.Random, n: int) -> str:
    return f"{rng.getrandbits(4 * n):0{n}x}"


def uuid(rng: random.Random) -> str:
    h = hexid(rng, 32)
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"


def base62(rng: random.Random, n: int) -> str:
    return "".join(rng.choices(BASE62, k=n))


def iso(ms: int) -> str:
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def pick(rng: random.Random, table: Sequence[tuple[str, float]]) -> str:
    """A name, by its weight."""
    r = rng.random()
    for name, weight in table:
        r -= weight
        if r <= 0:
            return name
    return table[-1][0]


class Text:
    """A pool of source-like lines, already escaped for JSON, from which slices of any size are cheap."""

    def __init__(self, rng: random.Random, size: int = 6_000_000) -> None:
        parts: list[bytes] = []
        self.offsets = [0]
        n = 0
        while n < size:
            line = json.dumps(self._line(rng) + "\n", ensure_ascii=rng.random() < 0.1)[1:-1].encode()
            parts.append(line)
            n += len(line)
            self.offsets.append(n)
        self.pool, self.size = b"".join(parts), n

    @staticmethod
    def _line(rng: random.Random) -> str:
        r = rng.random()
        if r < 0.04:
            ident, read, made = rng.randrange(1 << 30), rng.randrange(9999), rng.randrange(999)
            usage = f'"usage":{{"input_tokens":{read},"output_tokens":{made}}}'
            return f'{{"id": {ident}, {usage}, "type":"assistant"}}'
        if r < 0.10:
            word, n, test, ms = rng.choice(WORDS), rng.randrange(99), rng.choice(WORDS), rng.randrange(9000)
            return f"\x1b[32m✓\x1b[0m tests/{word}_{n}.py::test_{test} — {ms} ms … café"
        s = " " * rng.choice((0, 0, 2, 4, 4, 8, 12)) + " ".join(rng.choices(WORDS, k=rng.randint(2, 14)))
        if rng.random() < 0.2:
            s = s.replace(" ", ' "', 1) + '"'
        if rng.random() < 0.3:
            s = f"{rng.randrange(3000):6d}\t{s}"
        return s

    def take(self, rng: random.Random, size: int) -> bytes:
        """Whole lines of about `size` bytes."""
        out: list[bytes] = []
        offsets = self.offsets
        while size > 0:
            want = min(size, self.size - 1000)
            start = offsets[rng.randrange(len(offsets) - 1)]
            end = offsets[min(len(offsets) - 1, bisect.bisect_left(offsets, start + want))]
            if end <= start:
                continue
            out.append(self.pool[start:end])
            size -= end - start
        return b"".join(out)
