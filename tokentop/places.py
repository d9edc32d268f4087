"""Where tokentop keeps its files. Imports little: the status line hook starts with it several times a second."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

_APP = "tokentop"


def config_path(environ: Mapping[str, str]) -> Path:
    """Return where the settings file is looked for."""
    named = environ.get("TOKENTOP_CONFIG")
    if named:
        return Path(os.path.expanduser(named))
    return _user_dir(environ, "XDG_CONFIG_HOME", ".config", "user_config_dir") / "config.toml"


def state_dir(environ: Mapping[str, str]) -> Path:
    """Return the directory of the database, the lock and the log file. It may not exist yet."""
    named = environ.get("TOKENTOP_STATE_DIR")
    if named:
        return Path(os.path.expanduser(named))
    return _user_dir(environ, "XDG_STATE_HOME", ".local/state", "user_state_dir")


def claude_dir(environ: Mapping[str, str]) -> Path:
    """Return Claude Code's own folder: that of its settings, one for each login."""
    home = environ.get("HOME") or os.path.expanduser("~")
    return Path(environ.get("CLAUDE_CONFIG_DIR") or os.path.join(home, ".claude"))


def _user_dir(environ: Mapping[str, str], variable: str, below_home: str, platform_name: str) -> Path:
    """The platform's directory; on Linux by the XDG rules, which cost no import."""
    if sys.platform == "linux":
        base = environ.get(variable, "")
        home = environ.get("HOME") or os.path.expanduser("~")
        return (Path(base) if os.path.isabs(base) else Path(home) / below_home) / _APP
    import platformdirs

    return Path(getattr(platformdirs, platform_name)(_APP, appauthor=False))
