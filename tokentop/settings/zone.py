"""The user's time zone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, timedelta, timezone, tzinfo
from pathlib import Path

from tokentop.text import clean


def local_zone(environ: Mapping[str, str]) -> tzinfo:
    """Return the user's time zone with its daylight-saving rules: `$TZ`, else the system's.

    A `$TZ` in POSIX rule form gives its standard offset; without any zone file it is UTC.
    """
    return _zone(environ)[0]


def zone_fault(environ: Mapping[str, str]) -> str:
    """What is not as `$TZ` says, in one line; "" where all of it is."""
    return _zone(environ)[1]


def _zone(environ: Mapping[str, str]) -> tuple[tzinfo, str]:
    named = environ.get("TZ", "").removeprefix(":")
    if named in ("UTC", "Etc/UTC"):
        return UTC, ""
    from zoneinfo import ZoneInfo

    try:
        if named and not named.startswith("/"):
            return ZoneInfo(named), ""
        with Path(named or "/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file), ""
    except (OSError, ValueError, KeyError):
        return (_fixed(named)) if named else (UTC, "")


def _fixed(named: str) -> tuple[tzinfo, str]:
    """The standard offset of a POSIX rule (`EST5EDT,M3.2.0,M11.1.0`) as the system reads it; UTC of anything else."""
    import re

    shown = f"TZ={clean(named, 60)}"
    rule = re.match(r"(?:<[^<>]+>|[A-Za-z]{3,})[+-]?\d{1,3}(?::\d\d){0,2}(.*)", named, re.DOTALL)
    if rule is None:
        return UTC, f"{shown} is no time zone that is known here: days and times are in UTC"
    zone = timezone(timedelta(seconds=-time.timezone))
    return zone, f"{shown} is a rule: its summer time is left out; name a zone instead" if rule[1] else ""
