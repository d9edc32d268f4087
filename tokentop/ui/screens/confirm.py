"""The dialog before anything is done to a process. It shows a frozen plan, never a table position."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from tokentop.nouns.actions import Action, KillPlan
from tokentop.nouns.picture import Row
from tokentop.nouns.sessions import State
from tokentop.ui.actions.plan import ENDING, plan_fields, plan_heading, process_count, short_verb
from tokentop.ui.facts import Field
from tokentop.ui.gate import guard
from tokentop.ui.keyboard import TypedInput
from tokentop.ui.screens.dialog import MANY, Dialog

log = logging.getLogger(__name__)
Replan = Callable[[Action], Awaitable[KillPlan]]


class ConfirmScreen(Dialog[KillPlan | None]):
    """Returns the plan to execute, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "choose('terminate')", "TERM", show=False),
        Binding("k", "choose('kill')", "KILL", show=False),
        Binding("f", "choose('freeze')", "freeze", show=False),
        Binding("i", "choose('interrupt')", "interrupt", show=False),
    ]
    DEFAULT_CSS = """
    ConfirmScreen #box { max-width: 96; overflow-y: auto; scrollbar-size-vertical: 1; }
    ConfirmScreen.refused #box { border: round $error; }
    """

    def __init__(self, plan: KillPlan, row: Row, replan: Replan, now_ms: int) -> None:
        super().__init__()
        self.plan = plan
        self.row = row
        self._target = plan.target
        self._replan = replan
        self._now_ms = now_ms
        self._busy = False

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Static(id="body", markup=False)
            yield Static(id="choices", markup=False)
            yield TypedInput(id="typed", compact=True, max_length=40)

    def on_mount(self) -> None:
        self.show()

    # ------------------------------------------------------------ choices

    @property
    def must_type(self) -> bool:
        """Many processes or other people's sessions: a single key is too little."""
        many = process_count(self.plan) > MANY or bool(self.plan.shared_session_ids)
        return many and self.plan.action in ENDING and not self.plan.refusal

    def action_choose(self, action: str) -> None:
        wanted = Action(action)
        if wanted is Action.FREEZE and self.row.status.state is State.FROZEN:
            wanted = Action.THAW
        if self._busy or wanted is self.plan.action:
            return
        self._busy = True
        self.hint = ""
        self.run_worker(self._change(wanted), exclusive=True, exit_on_error=False, name="replan")

    async def _change(self, action: Action) -> None:
        try:
            plan = await self._replan(action)
        except Exception as error:
            log.exception("plan for %s", action.value)
            self.hint = f"could not plan: {type(error).__name__}"
        else:
            if plan.target != self._target and not plan.refusal:
                self.hint = "the process has changed since the dialog opened; close it and look again"
            else:
                self.plan = plan
        finally:
            self._busy = False
        self.show()

    @property
    def busy(self) -> bool:
        return self._busy

    @property
    def possible(self) -> bool:
        return not self.plan.refusal

    @property
    def word(self) -> str:
        return self.plan.agent or "yes"

    def said_yes(self) -> KillPlan | None:
        return self.plan

    def said_no(self) -> KillPlan | None:
        return None

    def gone(self) -> None:
        """The row has left the data while the dialog was open."""
        if not self.hint:
            self.say("already gone: this session has left the table")

    # ------------------------------------------------------------ drawing

    def show(self) -> None:
        self.set_class(bool(self.plan.refusal), "refused")
        body = Text(no_wrap=False)
        palette = self.palette
        self.add(body, plan_heading(self.plan) + "\n\n", palette["title"])
        for field in plan_fields(self.plan, self.row, self._now_ms):
            self._add_field(body, field)
        self.query_one("#body", Static).update(body)
        self.query_one("#choices", Static).update(self._choices())

    def _add_field(self, body: Text, field: Field) -> None:
        palette = self.palette
        width = max(20, min(96, int(self.app.size.width * 0.92)) - 4)
        self.add(body, f"{field.label:<10}", palette["dim"])
        lines = Text(guard(field.value)).wrap(self.app.console, max(10, width - 10)) or [Text("")]
        for at, line in enumerate(lines[:3]):
            self.add(body, (" " * 10 if at else "") + line.plain.rstrip() + "\n", palette[field.role])

    def _choices(self) -> Text:
        palette = self.palette
        out = Text()
        if self.hint:
            self.add(out, self.hint + "\n", palette["warm"])
        elif self.plan.action is Action.KILL and not self.plan.refusal:
            self.add(out, "KILL cannot be caught: no clean-up, unsaved output is lost.\n", palette["hot"])
        if not self.plan.refusal:
            for key, name, actions in (
                ("t", "TERM", (Action.TERMINATE,)),
                ("k", "KILL", (Action.KILL,)),
                ("f", "thaw" if self.row.status.state is State.FROZEN else "freeze",
                 (Action.FREEZE, Action.THAW)),
                ("i", "stop turn", (Action.INTERRUPT,)),
            ):  # fmt: skip
                chosen = self.plan.action in actions
                mark = "●" if chosen else "○"
                self.add(out, f"{mark} ", palette["strong" if chosen else "dim"])
                self.add(out, key, palette["key"])
                self.add(out, f" {name}   ", palette["strong" if chosen else "muted"])
            out.append("\n")
        self.add_end(out, short_verb(self.plan.action))
        return out
