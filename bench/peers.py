"""The peer that stands beside tokentop in the tables: ccusage, pinned, run offline as its native program."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from pathlib import Path

CCUSAGE = "20.0.24"


def ccusage(cache: Path) -> list[str] | None:
    """The command of ccusage's daily report, installed on the first call; None without npm.

    The npm package leaves its native program without a run bit; its launcher would add the start of Node.
    """
    folder = cache / f"ccusage-{CCUSAGE}"
    native = _native(folder)
    if native is None:
        if not shutil.which("npm"):
            return None
        print(f"installing ccusage@{CCUSAGE} into {folder}", file=sys.stderr)
        folder.mkdir(parents=True, exist_ok=True)
        words = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run([*words, f"ccusage@{CCUSAGE}"], check=True, stdout=sys.stderr)
        native = _native(folder)
        if native is None:
            raise SystemExit(f"ccusage@{CCUSAGE} has no native program for this platform under {folder}")
    native.chmod(native.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return [str(native), "daily", "--json", "--offline"]


def _native(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("node_modules/@ccusage/*/bin/ccusage"))), None)
