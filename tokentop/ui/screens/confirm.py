"""The dialog before anything is done to a process. It shows a frozen plan, never a table position."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tokentop.model import Action, KillPlan, Row, State
from tokentop.ui import words
from tokentop.ui.facts import Field
from tokentop.ui.gate import guard
from tokentop.ui.keyboard import TypedInput
from tokentop.ui.paint import palette_of

log = logging.getLogger(__name__)
Replan = Callable[[Action], Awaitable[KillPlan]]

_MANY = 5  # more processes than this, or a shared process: the agent's name must be typed
_TYPED = frozenset({Action.TERMINATE, Action.KILL})


class ConfirmScreen(ModalScreen[KillPlan | None]):
    """Returns the plan to execute, or None. Nothing is sent without `y`; Enter never says yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "choose('terminate')", "TERM", show=False),
        Binding("k", "choose('kill')", "KILL", show=False),
        Binding("f", "choose('freeze')", "freeze", show=False),
        Binding("i", "choose('interrupt')", "interrupt", show=False),
        Binding("y", "yes", "yes", show=False),
        Binding("enter", "enter", "", show=False),
        Binding("escape,n,q", "no", "no", show=False),
    ]
    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    ConfirmScreen { align: center middle; background: $background 55%; }
    ConfirmScreen #box {
        width: 92%; max-width: 96; height: auto; max-height: 96%; padding: 0 1;
        background: $surface; border: round $warning; overflow-y: auto; scrollbar-size-vertical: 1;
    }
    ConfirmScreen.refused #box { border: round $error; }
    ConfirmScreen Static { height: auto; width: 1fr; }
    ConfirmScreen Input { display: none; height: 1; border: none; padding: 0; margin: 0 0; }
    ConfirmScreen Input.on { display: block; }
    """

    def __init__(self, plan: KillPlan, row: Row, replan: Replan, now_ms: int) -> None:
        super().__init__()
        self.plan = plan
        self.row = row
        self._target = plan.target
        self._replan = replan
        self._now_ms = now_ms
        self._busy = False
        self._hint = ""
        self.seen = False  # painted; a key typed before cannot be meant for what the dialog asks

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Static(id="body", markup=False)
            yield Static(id="choices", markup=False)
            yield TypedInput(id="typed", compact=True, max_length=40)

    def on_mount(self) -> None:
        self._show()
        self.call_after_refresh(self._painted)

    def _painted(self) -> None:
        self.seen = True

    # ------------------------------------------------------------ choices

    @property
    def must_type(self) -> bool:
        """Many processes or other people's sessions: a single key is too little."""
        many = len(self.plan.tree) >= _MANY or bool(self.plan.shared_session_ids)
        return many and self.plan.action in _TYPED and not self.plan.refusal

    def action_choose(self, action: str) -> None:
        wanted = Action(action)
        if wanted is Action.FREEZE and self.row.status.state is State.FROZEN:
            wanted = Action.THAW
        if self._busy or wanted is self.plan.action:
            return
        self._busy = True
        self._hint = ""
        self.run_worker(self._change(wanted), exclusive=True, exit_on_error=False, name="replan")

    async def _change(self, action: Action) -> None:
        try:
            plan = await self._replan(action)
        except Exception as error:
            log.exception("plan for %s", action.value)
            self._hint = f"could not plan: {type(error).__name__}"
        else:
            if plan.target != self._target and not plan.refusal:
                self._hint = "the process has changed since the dialog opened; close it and look again"
            else:
                self.plan = plan
        finally:
            self._busy = False
        self._show()

    def action_yes(self) -> None:
        if self._busy:
            return
        if self.plan.refusal:
            self.dismiss(None)
        elif self.must_type:
            self._hint = f"type {self._word} and press Enter"
            self._show()
            typed = self.query_one("#typed", Input)
            typed.add_class("on")
            self.set_focus(typed)
        else:
            self.dismiss(self.plan)

    @property
    def _word(self) -> str:
        return self.plan.agent or "yes"

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value.strip() == self._word and not self._busy:
            self.dismiss(self.plan)
        else:
            self._hint = f"that was not {self._word}; nothing was sent"
            self._show()

    def action_enter(self) -> None:
        self._hint = "Enter sends nothing; y confirms, Esc leaves"
        self._show()

    def gone(self) -> None:
        """The row has left the data while the dialog was open."""
        if not self._hint:
            self._hint = "already gone: this session has left the table"
            self._show()

    def action_no(self) -> None:
        self.dismiss(None)

    # ------------------------------------------------------------ drawing

    def _show(self) -> None:
        self.set_class(bool(self.plan.refusal), "refused")
        body = Text(no_wrap=False)
        palette = palette_of(self.query_one("#box"))
        self._add(body, words.heading(self.plan) + "\n\n", palette["title"])
        for field in words.plan_fields(self.plan, self.row, self._now_ms):
            self._add_field(body, field)
        self.query_one("#body", Static).update(body)
        self.query_one("#choices", Static).update(self._choices())

    def _add(self, body: Text, text: str, style: Style) -> None:
        body.append("\n".join(guard(part) for part in text.split("\n")), style=style)

    def _add_field(self, body: Text, field: Field) -> None:
        palette = palette_of(self.query_one("#box"))
        width = max(20, min(96, int(self.app.size.width * 0.92)) - 4)
        self._add(body, f"{field.label:<10}", palette["dim"])
        lines = Text(guard(field.value)).wrap(self.app.console, max(10, width - 10)) or [Text("")]
        for at, line in enumerate(lines[:3]):
            self._add(body, (" " * 10 if at else "") + line.plain.rstrip() + "\n", palette[field.role])

    def _choices(self) -> Text:
        palette = palette_of(self.query_one("#box"))
        out = Text()
        if self._hint:
            self._add(out, self._hint + "\n", palette["warm"])
        elif self.plan.action is Action.KILL and not self.plan.refusal:
            self._add(out, "KILL cannot be caught: no clean-up, unsaved output is lost.\n", palette["hot"])
        if not self.plan.refusal:
            for key, name, actions in (
                ("t", "TERM", (Action.TERMINATE,)),
                ("k", "KILL", (Action.KILL,)),
                ("f", "thaw" if self.row.status.state is State.FROZEN else "freeze",
                 (Action.FREEZE, Action.THAW)),
                ("i", "interrupt", (Action.INTERRUPT,)),
            ):  # fmt: skip
                chosen = self.plan.action in actions
                mark = "●" if chosen else "○"
                self._add(out, f"{mark} ", palette["strong" if chosen else "dim"])
                self._add(out, key, palette["key"])
                self._add(out, f" {name}   ", palette["strong" if chosen else "muted"])
            self._add(out, "y", palette["key"])
            verb = words.VERBS[self.plan.action].split(" ")[0]
            self._add(out, f" yes, {verb}   ", palette["strong"])
        self._add(out, "Esc", palette["key"])
        self._add(out, " no" if not self.plan.refusal else " close", palette["muted"])
        return out
