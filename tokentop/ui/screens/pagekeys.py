"""The keys of the live screen that open something else: a page about one row, another view, the program's own."""

from __future__ import annotations

from tokentop.nouns.picture import Row
from tokentop.ui import origins
from tokentop.ui.glyphs import safe
from tokentop.ui.keys import KEYS, Key
from tokentop.ui.screens.livepicture import LivePicture
from tokentop.ui.screens.lookpages import InsidePage, LogPage, OriginsPage
from tokentop.ui.screens.pages import HelpPage, Lines, LongPage, help_lines, problem_page
from tokentop.ui.screens.receipts import ReceiptsScreen


class PageKeys(LivePicture):
    """Log, session, history, limits, the past, receipts, settings, help."""

    @property
    def past_ms(self) -> int:
        """The moment of the past that is shown, 0 = it is now."""
        return 0

    # ------------------------------------------------------------ one row in depth

    def action_session(self) -> None:
        """The whole session of the row; of a tool that of the agent it belongs to."""
        row = self.view.selected
        if row is not None and row.kind == "tool":
            row = self.view.rows.get(row.parent_key)
        if row is None or not row.session_id:
            if not self.no_row():
                self.say("no session is known of this row")
            return
        self.tokentop.open_session(row.agent, row.session_id, row.title, self.past_ms)

    def action_log(self) -> None:
        row = self._session_row("no session is known for this row, so no log")
        if row is not None:
            self.app.push_screen(LogPage(self.tokentop.source, row))

    def action_inside(self) -> None:
        if self.view.selected is not None:
            self.app.push_screen(InsidePage(self.tokentop.source, self.view.selected))

    def action_origins(self) -> None:
        row = self.view.selected
        if row is None:
            return
        quotas = self.snapshot.quotas if self.snapshot is not None else ()
        name, now_ms = safe(row.title, 60) or safe(row.command, 60), self.now_ms()
        looking = self.tokentop.looking

        def build(width: int) -> Lines:
            return origins.page(origins.origins(row, looking.of(row), quotas, now_ms), name, width)

        self.app.push_screen(OriginsPage(build))

    def action_copy_log(self) -> None:
        unknown = "no log of this row is known"
        row = self._session_row(unknown)
        if row is not None and row.log_path:
            self.tokentop.copy_command(row.log_path)
        elif row is not None:
            self.say(unknown)

    def _session_row(self, otherwise: str) -> Row | None:
        """The selected row, or the session that the selected tool belongs to."""
        row = self.view.selected
        if row is not None and row.kind == "tool":
            row = self.view.rows.get(row.parent_key, row)
        if row is None or not row.session_id:
            self.say(otherwise)
            return None
        return row

    # ------------------------------------------------------------ views

    def action_history(self) -> None:
        from tokentop.ui.screens.history import HistoryScreen  # not needed for the first paint

        self.app.push_screen(
            HistoryScreen(self.tokentop.source, self.now_ms, self.options.ascii), self.run_chosen
        )

    def action_limits(self) -> None:
        from tokentop.ui.screens.limits import LimitsScreen  # not needed for the first paint

        self.app.push_screen(LimitsScreen(self.tokentop.source, self.options.ascii), self.run_chosen)

    def action_replay(self) -> None:
        self.tokentop.show_past(0)

    def run_chosen(self, action: str | None) -> None:
        """Do what was asked for on a page or in another view, once that is gone."""
        if action is not None:
            self.call_later(self.run_action, action)

    # ------------------------------------------------------------ the program

    def action_receipts(self) -> None:
        app = self.tokentop
        app.clear_notifications()  # what they say is in the drawer, which they would hide
        resume = None if self.read_only else app.jumper.resume
        app.push_screen(ReceiptsScreen(app.commander, self.now_ms(), resume))

    def action_health(self) -> None:
        health = self.snapshot.health if self.snapshot else ()
        self.app.push_screen(LongPage("health", lambda width: problem_page(health, width)))

    def action_settings(self) -> None:
        from tokentop.ui.screens.settings import SettingsScreen

        options = self.options
        self.app.push_screen(
            SettingsScreen(options.config_path, {name: getattr(options, name) for name in options.overridden})
        )

    def help_keys(self) -> list[Key]:
        """The keys that the help explains."""
        return [key for key in KEYS if not (key.acts and self.read_only)]

    def action_help(self) -> None:
        shown, ascii_only = self.help_keys(), self.options.ascii
        self.app.push_screen(HelpPage(lambda width: help_lines(shown, width, ascii_only)), self.run_chosen)

    def action_palette(self) -> None:
        self.app.action_command_palette()

    def action_demo(self) -> None:
        self.tokentop.exit("demo")
