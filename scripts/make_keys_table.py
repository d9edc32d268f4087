#!/usr/bin/env python3
"""Write the README's table of keys from the key map.

scripts/make_keys_table.py            write it
scripts/make_keys_table.py --check    exit 1 if the README is out of date
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tokentop.ui.keys import HISTORY_KEYS, KEYS, SESSION_KEYS, Key  # noqa: E402

README = ROOT / "README.md"


def row(key: Key, first: bool) -> str:
    """A line of the table; the group stands beside its first key."""
    names = " ".join(f"`{name}`" for name in key.shown.split(" "))
    acts = " †" if key.acts else ""
    return f"| {key.group if first else ''} | {names} | {key.help}{acts} |"


def table() -> str:
    listed = (*KEYS, *HISTORY_KEYS, *SESSION_KEYS)
    groups = dict.fromkeys(key.group for key in listed)
    rows = []
    for group in groups:
        keys = [key for key in listed if key.group == group]
        rows += [row(key, at == 0) for at, key in enumerate(keys)]
    return "\n".join(["| | key | does |", "|---|---|---|", *rows])


def filled(text: str) -> str:
    pattern = re.compile(r"(<!-- keys -->).*?(<!-- /keys -->)", re.DOTALL)
    assert pattern.search(text), "README.md has no place for keys"
    return pattern.sub(lambda found: f"{found[1]}\n{table()}\n{found[2]}", text)


def main() -> None:
    old = README.read_text()
    new = filled(old)
    if "--check" in sys.argv[1:]:
        sys.exit("README.md: the table of keys is out of date; run: make keys" if new != old else 0)
    README.write_text(new)


if __name__ == "__main__":
    main()
