"""Opening the database: safe permissions, migrations, and what to do with one that is damaged or too new."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

from .schema import MIGRATIONS, VERSION

BUSY_MS = 5_000
FILE_NAME = "tokentop.db"
_WAL_LIMIT_BYTES = 16 << 20

# SQLite's ways to say that nothing can be written now; they pass when there is room again.
FULL_CODES = frozenset(
    {"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_TRUNCATE", "SQLITE_IOERR"}
)
DAMAGED_CODES = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})


NEEDS = (3, 31)  # of SQLite: generated columns


class StoreError(Exception):
    """The state directory or the database cannot be used; the text says what to do."""


class NotWritable(StoreError):
    """There is no place to keep anything: read-only file system, no permission."""


class TooNew(StoreError):
    """The database was written by a newer tokentop."""


def prepare_folder(folder: Path) -> None:
    """Make the state directory, mode 0700; refuse one that others own or may write to.

    Raises NotWritable where none can be made, StoreError where the one there is must not be used.
    """
    if not folder.is_absolute():
        if folder.parts[:1] == ("~",):
            raise NotWritable("there is no home directory for the state; set TOKENTOP_STATE_DIR")
        raise StoreError(
            f"the state directory {folder} is not an absolute path; set TOKENTOP_STATE_DIR to one"
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.stat()
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreError(f"{folder} is not a directory; set TOKENTOP_STATE_DIR to one") from error
    except OSError as error:
        text = f"cannot use the state directory {folder}: {error.strerror}; set TOKENTOP_STATE_DIR"
        raise NotWritable(text) from error
    if hasattr(os, "getuid") and about.st_uid != os.getuid():
        raise StoreError(
            f"{folder} belongs to another user; set TOKENTOP_STATE_DIR to a directory of your own"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise NotWritable(f"cannot write to the state directory {folder}; set TOKENTOP_STATE_DIR")
    if about.st_mode & 0o022:
        raise StoreError(f"{folder} is writable by others; run: chmod 700 {folder}")


def open_writer(folder: Path) -> sqlite3.Connection:
    """The one write connection, schema up to date. Raises StoreError, TooNew or sqlite3.Error (damaged)."""
    prepare_folder(folder)
    path = folder / FILE_NAME
    _create(path)
    connection = sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA journal_size_limit={_WAL_LIMIT_BYTES}")
        connection.execute("PRAGMA cache_size=-16000")
        connection.execute("PRAGMA temp_store=MEMORY")
        migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(folder: Path) -> sqlite3.Connection:
    """A read-only connection; raises StoreError if there is no database yet."""
    path = folder / FILE_NAME
    if not path.exists():
        raise StoreError(f"there is no database in {folder} yet; run: tokentop sync")
    return open_file(path)


def open_file(path: Path) -> sqlite3.Connection:
    """A read-only connection to a database file."""
    connection = sqlite3.connect(
        f"file:{_quoted(path)}?mode=ro", uri=True, timeout=BUSY_MS / 1000, check_same_thread=False
    )
    connection.execute("PRAGMA query_only=1")
    return connection


def open_memory() -> sqlite3.Connection:
    """A database that goes with the program, for one thread after the other."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrate(connection)
    return connection


def copy_memory(connection: sqlite3.Connection) -> sqlite3.Connection:
    """A copy of such a database as it is now."""
    copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.backup(copy)
    return copy


def identity(folder: Path) -> tuple[int, int] | None:
    """(device, inode) of the database file: another one means that it was put aside and made anew."""
    try:
        about = (folder / FILE_NAME).stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino


def migrate(connection: sqlite3.Connection, path: Path | None = None) -> None:
    """Bring the schema up to date, each step in one transaction, after a copy of the old file."""
    if sqlite3.sqlite_version_info < NEEDS:
        needed = ".".join(map(str, NEEDS))
        raise StoreError(
            f"SQLite {needed} or newer is needed, this Python has {sqlite3.sqlite_version}; use another Python"
        )
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise TooNew(f"the database has version {version}, this tokentop knows {VERSION}: update tokentop")
    if 0 < version < VERSION and path is not None:
        _back_up(connection, path.with_suffix(f".v{version}.bak"))
    for number in range(version, VERSION):
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{MIGRATIONS[number]}\nPRAGMA user_version={number + 1};\nCOMMIT;"
            )
        except sqlite3.OperationalError:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if connection.execute("PRAGMA user_version").fetchone()[0] <= number:
                raise  # else another process has made this step meanwhile


def _back_up(connection: sqlite3.Connection, backup: Path) -> None:
    """Copy the database beside itself, once; a copy that was cut off has another name and is made anew."""
    if backup.exists():
        return
    part = backup.with_suffix(".part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection.execute("VACUUM INTO ?", (str(part),))
    part.rename(backup)


def _create(path: Path) -> None:
    """Create the file 0600 whatever the umask; SQLite gives -wal and -shm the same mode. Refuse a link."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise StoreError(f"cannot open {path}: {error.strerror}; set TOKENTOP_STATE_DIR") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise StoreError(f"{path} is not a regular file; move it away or set TOKENTOP_STATE_DIR")
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def is_full(error: BaseException) -> bool:
    """Whether an error means "cannot write now" (disk full, quota, file size limit)."""
    name = getattr(error, "sqlite_errorname", "") or ""
    return name in FULL_CODES or "disk is full" in str(error)


def is_damaged(error: BaseException) -> bool:
    name = getattr(error, "sqlite_errorname", "") or ""
    return name in DAMAGED_CODES or "malformed" in str(error) or "not a database" in str(error)
