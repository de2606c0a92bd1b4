"""Questions: yes or no, a line of text, one of several. Each can be answered with the keyboard alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from sandtop.tui.text import neutral

from .modal import Modal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.events import Key


class Confirm(Modal[bool]):
    """A question before something is destroyed. Only ``y`` and its button say yes; enter alone says no."""

    CSS_PATH = "dialogs.tcss"
    AUTO_FOCUS: ClassVar[str | None] = "#no"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("y", "answer(True)", "yes"),
        ("n,escape,q", "answer(False)", "no"),
        ("left,right,tab,h,l", "app.focus_next", "other"),
    ]

    def __init__(self, question: str, consequences: Sequence[str], verb: str) -> None:
        super().__init__()
        self._question = question
        self._consequences = consequences
        self._verb = verb

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content(neutral(self._question)), classes="question")
            shown = self._consequences[:8]
            lines = [Content(f"• {neutral(line)}") for line in shown]
            if len(self._consequences) > len(shown):
                lines.append(Content(f"• and {len(self._consequences) - len(shown)} more"))
            yield Static(Content("\n").join(lines), classes="consequences")
            with Horizontal(classes="buttons"):
                yield Button(Content(f"{self._verb} (y)"), id="yes", variant="error", compact=True)
                yield Button(Content("cancel (n)"), id="no", compact=True)

    @property
    def text(self) -> str:
        """The question and its consequences, line by line."""
        return "\n".join([self._question, *self._consequences])

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.answer(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        self.answer(yes)


class Prompt(Modal[str | None]):
    """Asks for a line of text. Up and down go through ``history``, whose newest entry is the last."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "leave", "cancel"),
        ("up", "recall(-1)", "earlier"),
        ("down", "recall(1)", "later"),
    ]

    def __init__(
        self, title: str, placeholder: str, *, history: Sequence[str] = (), value: str = "", verb: str = "run"
    ) -> None:
        super().__init__()
        self._title = title
        self._placeholder = placeholder
        self._verb = verb
        self._history = [*history, value]
        self._at = len(self._history) - 1

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content(neutral(self._title)), classes="question")
            yield Input(self._history[-1], placeholder=self._placeholder, compact=True)
            hint = f"⏎ {self._verb}   esc cancel" + ("   ↑↓ earlier ones" if len(self._history) > 1 else "")
            yield Static(Content(hint), classes="hint")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.answer(event.value.strip() or None)

    def action_leave(self) -> None:
        self.answer(None)

    def action_recall(self, step: int) -> None:
        self._at = max(0, min(len(self._history) - 1, self._at + step))
        field = self.query_one(Input)
        field.value = self._history[self._at]
        field.cursor_position = len(field.value)


class Pick(Modal[str | None]):
    """Asks for one of ``options``. Each is what is returned, and what is shown.

    A letter chooses the option that has it in ``letters``, where it is underlined; else the one option that begins
    with it, or it goes to the next of those that do.
    """

    CSS_PATH = "dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,q", "leave", "cancel"),
        ("j", "step('down')", "down"),
        ("k", "step('up')", "up"),
    ]

    def __init__(
        self, title: str, options: Sequence[tuple[str, str]], letters: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        self._title = title
        self._options = options
        self._letters = letters or {}

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content(neutral(self._title)), classes="question")
            yield OptionList(
                *[Option(self._shown(key, shown), id=key) for key, shown in self._options], compact=True
            )
            yield Static(Content("⏎ or a letter chooses   esc cancel"), classes="hint")

    def _shown(self, key: str, shown: str) -> Content:
        before, letter, rest = neutral(shown).partition(self._letters.get(key) or "\0")
        return Content.assemble(before, (letter, "bold underline $text-accent"), rest)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.answer(event.option_id)

    def action_leave(self) -> None:
        self.answer(None)

    def on_key(self, event: Key) -> None:
        letter, options = event.character or "", self.query_one(OptionList)
        chosen = [key for key, own in self._letters.items() if own == letter]
        if chosen:
            event.stop()
            self.answer(chosen[0])
            return
        found = [n for n, (_, shown) in enumerate(self._options) if letter and shown.startswith(letter)]
        if len(found) == 1:
            self.answer(self._options[found[0]][0])
        elif found:
            at = options.highlighted if options.highlighted is not None else -1
            options.highlighted = next((number for number in found if number > at), found[0])
        else:
            return
        event.stop()

    def action_step(self, way: str) -> None:
        options = self.query_one(OptionList)
        if way == "down":
            options.action_cursor_down()
        else:
            options.action_cursor_up()
