"""Asks for a command, and how it is to run: a line for it, a line of options, and ctrl-t for a terminal."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from sandtop.tui.text import neutral

from .modal import Modal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}
_OPTIONS: Final = "-w DIR  -u USER  -e KEY=VALUE  --timeout 30s  -t"


@dataclass(frozen=True, slots=True)
class Run:
    """A command and how it is to run.

    Attributes:
        script: for the sandbox's shell.
        timeout: seconds that it may take, or None.
        tty: on a terminal.
    """

    script: str
    cwd: str | None = None
    user: str | None = None
    env: dict[str, str] = field(default_factory=dict[str, str])
    timeout: float | None = None
    tty: bool = False


def read_options(script: str, text: str) -> Run:
    """The command ``script`` with the options in ``text``, as ``sandtop exec`` has them.

    Raises ValueError, which says what is wrong.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"the options: {str(error).lower()}") from None
    cwd: str | None = None
    user: str | None = None
    timeout: float | None = None
    env: dict[str, str] = {}
    tty = False
    while words:
        word = words.pop(0)
        if word in ("-t", "--tty"):
            tty = True
            continue
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if name not in ("-w", "--cwd", "-u", "--user", "-e", "--env", "--timeout"):
            raise ValueError(f"there is no option {word}: {_OPTIONS}")
        if not equals:
            if not words:
                raise ValueError(f"{name} lacks its value")
            value = words.pop(0)
        if name in ("-w", "--cwd"):
            cwd = value
        elif name in ("-u", "--user"):
            user = value
        elif name == "--timeout":
            timeout = _seconds(value)
        else:
            key, equals, content = value.partition("=")
            if not key or not equals:
                raise ValueError(f"a variable is KEY=VALUE, not {value}")
            env[key] = content
    return Run(script, cwd, user, env, timeout, tty)


def _seconds(text: str) -> float:
    number, unit = (text[:-1], _UNITS[text[-1]]) if text[-1:] in _UNITS else (text, 1.0)
    if not number.replace(".", "", 1).isdecimal() or not float(number) * unit:
        raise ValueError(f"a timeout is a time such as 30, 1.5s or 5m, not {text}")
    return float(number) * unit


class RunPrompt(Modal[Run | None]):
    """Returns what to run, or None. Up and down go through ``history``, whose newest entry is the last."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "leave", "cancel"),
        ("up", "recall(-1)", "earlier"),
        ("down", "recall(1)", "later"),
        ("ctrl+t", "terminal", "on a terminal"),
        ("tab,shift+tab", "app.focus_next", "options"),
    ]

    def __init__(self, where: str, *, history: Sequence[str] = (), many: bool = False) -> None:
        super().__init__()
        self._where = where
        self._many = many
        self._history = [*history, ""]
        self._at = len(self._history) - 1

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content(neutral(f"Run in {self._where}")), classes="question")
            yield Input(placeholder="a command for its shell", id="command", compact=True)
            yield Input(placeholder=_OPTIONS, id="options", compact=True)
            yield Static("", id="wrong", markup=False)
            tty = "" if self._many else "   ^t terminal"
            earlier = "   ↑↓ earlier ones" if len(self._history) > 1 else ""
            yield Static(Content(f"⏎ run   tab options{tty}   esc cancel{earlier}"), classes="hint")

    @property
    def command(self) -> Input:
        """Where the command is typed."""
        return self.query_one("#command", Input)

    @property
    def options(self) -> Input:
        """Where its options are typed."""
        return self.query_one("#options", Input)

    def on_input_submitted(self) -> None:
        script = self.command.value.strip()
        if not script:
            self.answer(None)
            return
        try:
            run = read_options(script, self.options.value)
            if run.tty and self._many:
                raise ValueError("a terminal is for one sandbox: without -t they run together")
        except ValueError as error:
            self.query_one("#wrong", Static).update(Content(f"✖ {neutral(str(error))}"))
            return
        self.answer(run)

    def action_leave(self) -> None:
        self.answer(None)

    def action_terminal(self) -> None:
        """Run it on a terminal, or not."""
        words = self.options.value.split()
        on = "-t" in words
        self.options.value = " ".join([word for word in words if word != "-t"] if on else [*words, "-t"])

    def action_recall(self, step: int) -> None:
        self._at = max(0, min(len(self._history) - 1, self._at + step))
        self.command.value = self._history[self._at]
        self.command.cursor_position = len(self.command.value)
