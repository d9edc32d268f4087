"""One run of the screen: what the terminal can show, the application, the exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from msgspec.structs import replace

from tokentop.sevenbits import wants_ascii
from tokentop.ui.app import TokentopApp
from tokentop.ui.ending import let_go_of_dead_streams
from tokentop.ui.source import Source, UiOptions


def run(source: Source, options: UiOptions) -> int:
    """Run the screen until it is left; returns the exit status. Needs a terminal on stderr."""
    if (
        sys.__stderr__ is None
        or not sys.__stderr__.isatty()
        or not sys.__stdin__
        or not sys.__stdin__.isatty()
    ):
        print_to = sys.stdout if sys.stdout and sys.stdout.isatty() else sys.stderr
        if print_to is not None:
            print_to.write(
                "tokentop: the screen needs a terminal on standard input and standard error; "
                "use `tokentop --once` or `--json`, and do not redirect 2>\n"
            )
        return 2
    options = for_terminal(options, os.environ)
    app = TokentopApp(source, options)
    if sys.platform != "win32" and not options.inline:
        from tokentop.ui.driver import QuickEscape

        app.driver_class = QuickEscape
    app.ending.catch()
    try:
        # The strip leaves the mouse to the terminal: its scroll-back is what stands above.
        result = app.run(mouse=options.mouse and not options.inline, inline=bool(options.inline))
    except OSError:
        if not app.ending.status:  # a terminal that has hung up cannot be left in order
            raise
        result = None
    finally:
        app.ending.let_go()
        source.stop()
        let_go_of_dead_streams()
    if result == "demo":
        os.execv(sys.executable, [sys.executable, "-m", "tokentop", "demo"])  # noqa: S606
    return app.ending.status or app.return_code or 0


def for_terminal(options: UiOptions, environ: Mapping[str, str]) -> UiOptions:
    """What the terminal can show: 7 bits where it knows no more, its own 16 colours on a Linux console."""
    if wants_ascii(environ):
        options = replace(options, ascii=True)
    if environ.get("TERM") == "linux" and not options.theme and not environ.get("TEXTUAL_THEME"):
        options = replace(options, theme="ansi-dark")
    return options
