"""The user's time zone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, timedelta, timezone, tzinfo
from pathlib import Path


def local_zone(environ: Mapping[str, str]) -> tzinfo:
    """Return the user's time zone with its daylight-saving rules: `$TZ`, else the system's.

    A `$TZ` in POSIX rule form gives its standard offset; without any zone file it is UTC.
    """
    named = environ.get("TZ", "").removeprefix(":")
    if named in ("UTC", "Etc/UTC"):
        return UTC
    from zoneinfo import ZoneInfo

    try:
        if named and not named.startswith("/"):
            return ZoneInfo(named)
        with Path(named or "/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError, KeyError):
        return timezone(timedelta(seconds=-time.timezone)) if named else UTC
