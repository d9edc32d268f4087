"""Reads single facts from Linux `/proc`. A process may end at any moment: readers then give None or "".

Source of the layouts: proc_pid_stat(5), proc_pid_environ(5), proc_net_tcp(5).
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable
from typing import NamedTuple

from tokentop.procs.table import Host

PROC = "/proc"
TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_PIECE_BYTES = 4096
_PIECES_MAX = 32
_LISTEN = "0A"


class Stat(NamedTuple):
    """The fields of `/proc/PID/stat` in use; `cpu_ticks` is user and system time."""

    comm: str
    state: str
    ppid: int
    pgid: int
    sid: int
    tty_nr: int
    cpu_ticks: int
    start_ticks: int
    rss_bytes: int


def read_bytes(path: str) -> bytes:
    """The first 128 KiB of a file below /proc. Raises OSError.

    Read in small pieces: a large buffer costs more than the read itself, and most files are short.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(fd, _PIECE_BYTES)
        if len(data) < _PIECE_BYTES:
            return data
        pieces = [data]
        while len(pieces) < _PIECES_MAX and (more := os.read(fd, _PIECE_BYTES)):
            pieces.append(more)
        return b"".join(pieces)
    finally:
        os.close(fd)


def parse_stat(data: bytes) -> Stat | None:
    """comm may hold spaces and parentheses: the fields start behind the last `)`."""
    head, _, tail = data.rpartition(b")")
    fields = tail.split()
    if len(fields) < 22:
        return None
    return Stat(
        comm=head.partition(b"(")[2].decode("utf-8", "replace"),
        state=fields[0].decode("ascii", "replace"),
        ppid=int(fields[1]),
        pgid=int(fields[2]),
        sid=int(fields[3]),
        tty_nr=int(fields[4]),
        cpu_ticks=int(fields[11]) + int(fields[12]),
        start_ticks=int(fields[19]),
        rss_bytes=int(fields[21]) * PAGE_BYTES,
    )


def stat_bytes(pid: int) -> bytes:
    """`/proc/PID/stat` as it is, b"" = ended."""
    try:
        return read_bytes(f"{PROC}/{pid}/stat")
    except OSError:
        return b""


def stat(pid: int) -> Stat | None:
    try:
        return parse_stat(stat_bytes(pid))
    except ValueError:
        return None


def argv(pid: int) -> tuple[str, ...] | None:
    """argv split at NUL; an agent that rewrote its title may leave padding. None = ended."""
    try:
        data = read_bytes(f"{PROC}/{pid}/cmdline")
    except OSError:
        return None
    return (
        tuple(part.decode("utf-8", "surrogateescape") for part in data.rstrip(b"\0").split(b"\0"))
        if data
        else ()
    )


def uid(pid: int) -> int:
    """Owner of the process, -1 = ended. One that hides itself (not dumpable) counts as root's."""
    try:
        return os.stat(f"{PROC}/{pid}").st_uid
    except OSError:
        return -1


def ignores(pid: int, number: int) -> bool:
    """Whether the process ignores a signal; False where that may not be read."""
    try:
        with open(f"{PROC}/{pid}/status", "rb") as file:
            mask = next((line for line in file if line.startswith(b"SigIgn:")), b"SigIgn: 0")
    except OSError:
        return False
    return bool(int(mask.split()[1], 16) >> (number - 1) & 1)


def link(pid: int, name: str) -> str:
    """Target of a link such as `exe` or `cwd`; "" where it may not be read."""
    try:
        return os.readlink(f"{PROC}/{pid}/{name}")
    except OSError:
        return ""


def exe(pid: int) -> str:
    """Path of the running program; an update that replaced the file does not change it."""
    return link(pid, "exe").removesuffix(" (deleted)")


def environ(pid: int, names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The wanted variables as they were at exec time; nothing else of the environment is kept."""
    try:
        data = b"\0" + read_bytes(f"{PROC}/{pid}/environ")
    except OSError:
        return ()
    found: list[tuple[str, str]] = []
    for name in names:
        start = data.find(b"\0" + name.encode() + b"=")
        if start >= 0:
            start += len(name) + 2
            end = data.find(b"\0", start)
            value = data[start : end if end >= 0 else len(data)]
            found.append((name, value.decode("utf-8", "surrogateescape")))
    return tuple(found)


def pids() -> set[int]:
    return {int(name) for name in os.listdir(PROC) if name.isdigit()}


def open_paths(pid: int) -> tuple[str, ...]:
    """Targets of all open file descriptors: paths, and `socket:[inode]`."""
    base = f"{PROC}/{pid}/fd"
    try:
        names = os.listdir(base)
    except OSError:
        return ()
    found = (link(pid, f"fd/{name}") for name in names)
    return tuple(path for path in found if path)


def piped(pid: int) -> bool:
    """Both stdin and stdout are pipes or sockets: how an agent talks to a server that it started."""
    return all(link(pid, f"fd/{fd}").startswith(("pipe:", "socket:")) for fd in (0, 1))


def tty_name(tty_nr: int) -> str:
    major, minor = (tty_nr >> 8) & 0xFFF, (tty_nr & 0xFF) | ((tty_nr >> 12) & 0xFFF00)
    if 136 <= major <= 143:
        return f"/dev/pts/{(major - 136) * 256 + minor}"
    if major == 4 and minor:
        return f"/dev/tty{minor}" if minor < 64 else f"/dev/ttyS{minor - 64}"
    return ""


def listening(candidates: Iterable[int]) -> frozenset[int]:
    """Which processes hold a listening TCP socket of this network namespace."""
    inodes: set[str] = set()
    for table in ("tcp", "tcp6"):
        try:
            with open(f"{PROC}/net/{table}", encoding="ascii", errors="replace") as lines:
                next(lines, None)
                for line in lines:
                    fields = line.split(None, 10)
                    if len(fields) > 9 and fields[3] == _LISTEN:
                        inodes.add(f"socket:[{fields[9]}]")
        except OSError:
            continue
    if not inodes:
        return frozenset()
    return frozenset(pid for pid in candidates if not inodes.isdisjoint(open_paths(pid)))


def listening_sockets(pid: int) -> dict[str, tuple[str, int]]:
    """`socket:[inode]` -> (address, port) of the listening TCP sockets in the network that a process lives in.

    OSError where neither table may be read.
    """
    found: dict[str, tuple[str, int]] = {}
    tables, failed = ("tcp", "tcp6"), None
    for table in tables:
        try:
            with open(f"{PROC}/{pid}/net/{table}", encoding="ascii", errors="replace") as lines:
                next(lines, None)
                for line in lines:
                    fields = line.split(None, 10)
                    if len(fields) > 9 and fields[3] == _LISTEN and (at := _address(fields[1])) is not None:
                        found[f"socket:[{fields[9]}]"] = at
        except OSError as error:
            failed = error
    if failed is not None and not found:
        raise failed
    return found


def _address(text: str) -> tuple[str, int] | None:
    """`0100007F:1435` -> ("127.0.0.1", 5173): words of 32 bits in the byte order of the machine."""
    words, _, port = text.partition(":")
    try:
        data = bytes.fromhex(words)
        swapped = b"".join(data[i : i + 4][::-1] if sys.byteorder == "little" else data[i : i + 4]
                           for i in range(0, len(data), 4))  # fmt: skip
        family = socket.AF_INET if len(swapped) == 4 else socket.AF_INET6
        return socket.inet_ntop(family, swapped), int(port, 16)
    except (ValueError, OSError):
        return None


def read_host() -> Host:
    return Host(
        uid=os.getuid(),
        boot_id=_line(f"{PROC}/sys/kernel/random/boot_id"),
        machine_id=_line("/etc/machine-id"),
        pid_ns=_own_namespace(),
    )


def _own_namespace() -> str:
    try:
        return os.readlink(f"{PROC}/self/ns/pid")
    except OSError:
        return ""


def _line(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""
