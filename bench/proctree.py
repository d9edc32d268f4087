"""CPU and memory of a process tree, and a clean environment to run programs in (Linux)."""

from __future__ import annotations

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
CLOSED = "http://127.0.0.1:9"


def clean_env(home: Path | str, **more: str) -> dict[str, str]:
    """Nothing of the caller's but PATH and PYTHONPATH; no proxy leads anywhere; days are UTC days."""
    env = {
        "HOME": str(home),
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "HTTP_PROXY": CLOSED,
        "HTTPS_PROXY": CLOSED,
        "ALL_PROXY": CLOSED,
    }
    if "PYTHONPATH" in os.environ:
        env["PYTHONPATH"] = os.environ["PYTHONPATH"]
    return env | more


def stats(root: int) -> dict[int, list[str]]:
    """{pid: stat fields from the state on} for `root` and its live descendants."""
    found: dict[int, list[str]] = {}
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = Path(f"/proc/{name}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            found[int(name)] = fields
            children.setdefault(int(fields[1]), []).append(int(name))
    tree: dict[int, list[str]] = {}
    todo = [root]
    while todo:
        pid = todo.pop()
        if pid in found:
            tree[pid] = found[pid]
            todo += children.get(pid, [])
    return tree


def cpu_seconds(root: int) -> float:
    """User and system seconds of the tree, with those of the children that it has waited for."""
    return sum(int(v) for fields in stats(root).values() for v in fields[11:15]) / TICKS


def rss_mib(root: int) -> float:
    """Resident memory of the tree now, in MiB."""
    total = 0
    for pid in stats(root):
        try:
            status = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    return total / 1024
