"""Starting the live screen or the demo: settings, log file, state directory, then the application."""

from __future__ import annotations

import argparse
import gc
import logging
import os
from logging.handlers import RotatingFileHandler
from pathlib import Path

from tokentop.errors import Failure, UsageError
from tokentop.places import config_path, state_dir
from tokentop.runtime import DemoRuntime, Runtime
from tokentop.settings.config import Settings
from tokentop.settings.load import load
from tokentop.settings.zone import local_zone
from tokentop.store import db
from tokentop.text import mask_secrets

from .source import UiOptions

LOG_BYTES = 1 << 20
# Rows and lines are made anew by the thousand and freed by their counts, none is in a cycle (ui/paint.Line): looking
# through them for cycles at each 700, CPython's own setting, took a twentieth of the CPU.
_GARBAGE = (20_000, 20, 20)
_FPS = "240"  # how soon Textual draws what a key has changed; by its own setting up to 17 ms later, at no less CPU


def launch(arguments: argparse.Namespace, *, demo: bool) -> int:
    """Run the screen until it is left; return the exit status. Raises SettingsError, Failure, UsageError."""
    os.environ.setdefault("TEXTUAL_FPS", _FPS)
    settings = load(os.environ)
    if arguments.read_only:
        settings = _read_only(settings)
    if demo:
        from tokentop.demo import DemoSource

        return _run(
            DemoRuntime(DemoSource(arguments.seed, local_zone(os.environ))), _options(arguments, settings, "")
        )
    folder = state_dir(os.environ)
    try:
        db.prepare_folder(folder)
    except db.NotWritable:
        return _without_memory(arguments, settings)
    except db.StoreError as error:
        raise Failure(str(error)) from error
    log_path = _log_to(folder)
    return _run(Runtime(folder, os.environ, settings), _options(arguments, settings, str(log_path)))


def _without_memory(arguments: argparse.Namespace, settings: Settings) -> int:
    """Nothing can be written: everything is read into a folder that goes with the program."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="tokentop-", ignore_cleanup_errors=True) as folder:
        runtime = Runtime(
            Path(folder), os.environ, settings, "the state directory cannot be written: nothing is kept"
        )
        return _run(runtime, _options(arguments, settings, ""))


def _run(source: Runtime | DemoRuntime, options: UiOptions) -> int:
    gc.disable()  # imports leave no garbage: looking for it would take 20 ms of every start
    try:
        from .run import run
    finally:
        gc.freeze()  # nor later: each full search went through all modules again, 60 ms without a repaint
        gc.set_threshold(*_GARBAGE)
        gc.enable()
    return run(source, options)


def _options(arguments: argparse.Namespace, settings: Settings, log_path: str) -> UiOptions:
    theme = arguments.theme or settings.theme
    if theme:
        from textual.theme import BUILTIN_THEMES

        from tokentop.ui.theme import THEMES

        names = {*BUILTIN_THEMES, *(known.name for known in THEMES)}
        if theme not in names:
            raise UsageError(f"there is no theme {theme!r}; choose from {', '.join(sorted(names))}")
    return UiOptions(
        theme=theme, ascii=arguments.ascii or settings.ascii, mouse=settings.mouse and not arguments.no_mouse,
        refresh_s=settings.refresh_s, read_only=settings.read_only, log_path=log_path,
        replay_ms=getattr(arguments, "replay_ms", None),
        notify=settings.notify, inline=arguments.inline, config_path=str(config_path(os.environ)),
        overridden=tuple(name for name, given in (
            ("theme", arguments.theme), ("ascii", arguments.ascii), ("mouse", arguments.no_mouse),
            ("read_only", arguments.read_only)) if given),
    )  # fmt: skip


def _read_only(settings: Settings) -> Settings:
    from msgspec.structs import replace

    return replace(settings, read_only=True)


class _Masked(logging.Formatter):
    """Errors are written in their own words, which may quote what they were about."""

    def format(self, record: logging.LogRecord) -> str:
        return mask_secrets(super().format(record))


def _log_to(folder: Path) -> Path:
    """Errors go to a file: the screen itself is drawn on standard error."""
    path = folder / "tokentop.log"
    handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1, delay=True)
    handler.setFormatter(_Masked("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("tokentop")
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    os.umask(0o077)
    return path
