"""Everything that an operator can do, in one table: it feeds the bindings, the footer, the help and the palette.

Each entry is carried out by the method ``action_<id>`` of the screen or widget of its context.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from textual.binding import Binding

Context = Literal["app", "list", "fleet", "sandbox", "panes", "log", "live", "nobody", "terminal"]
TITLES: Final[dict[Context, str]] = {
    "app": "Everywhere",
    "list": "Moving in a list",
    "fleet": "Sandboxes",
    "sandbox": "Sessions of a sandbox",
    "panes": "Panes",
    "log": "In a log",
    "live": "In a terminal: all other keys go to the program",
    "nobody": "In a terminal that reads no keys of yours: all others are for nobody",
    "terminal": "In a terminal that you stepped out of",
}


@dataclass(frozen=True, slots=True)
class Action:
    """``keys`` as Textual names them; ``footer`` its rank there, 0 for not shown; ``cli`` the command that does it."""

    context: Context
    id: str
    keys: tuple[str, ...]
    label: str
    help: str
    footer: int = 0
    cli: str = ""


def _app() -> list[Action]:
    return [
        Action("app", "help", ("?", "f1"), "help", "the keys that work here", 90),
        Action(
            "app", "command_palette", (":", "ctrl+p"), "commands", "find a command or a sandbox by name", 80
        ),
        Action("app", "next_trouble", ("e",), "problem", "go to the next sandbox that needs somebody", 35),
        Action("app", "previous_trouble", ("E",), "previous problem", "go to the one before"),
        Action("app", "terminals", ("A",), "terminals", "running terminals, to come back to", cli="sessions"),
        Action("app", "dark", (), "light or dark", "change between the light and the dark theme"),
        Action("app", "quit", ("ctrl+q",), "quit", "leave; sandboxes and what runs in them go on"),
    ]


def _list() -> list[Action]:
    return [
        Action("list", "down", ("down", "j"), "down", "down"),
        Action("list", "up", ("up", "k"), "up", "up"),
        Action("list", "page_down", ("pagedown", "ctrl+f"), "page down", "a page down"),
        Action("list", "page_up", ("pageup", "ctrl+b"), "page up", "a page up"),
        Action("list", "first", ("home", "g"), "first", "to the first"),
        Action("list", "last", ("end", "G"), "last", "to the last"),
        Action("list", "open", ("enter",), "open", "open what the cursor is on", 10),
        Action(
            "list",
            "mark",
            ("space",),
            "mark",
            "mark; what can be done with several applies to all marked",
            60,
        ),
        Action("list", "mark_range", ("ctrl+@",), "mark range", "mark from the last mark to here"),
    ]


def _fleet() -> list[Action]:
    sorts = (
        ("N", "name"), ("S", "state"), ("T", "need"), ("C", "cpu"), ("M", "memory"), ("U", "uptime"),
        ("P", "sessions"), ("O", "output"), ("X", "exit"), ("I", "image"), ("L", "labels"),
    )  # fmt: skip
    return [
        Action("fleet", "create", ("c", "insert"), "create", "make a new sandbox", 20, "create"),
        Action("fleet", "shell", ("a", "s"), "shell", "open a shell in it", 15, "attach"),
        Action("fleet", "logs", ("l",), "logs", "tail its newest session", 25, "logs -f"),
        Action("fleet", "exec", ("x",), "exec", "run a command in it", 22, "exec"),
        Action("fleet", "filter", ("/",), "filter", "text, !text, state:failed, label:team=a, image:base", 38),
        Action("fleet", "acknowledge", ("o",), "ok", "seen: its failures stop asking", 37, "ack"),
        Action("fleet", "start", ("u",), "start", "start (up)", 50, "start"),
        Action("fleet", "stop", ("h",), "stop", "stop (halt): ends what runs in it", 51, "stop"),
        Action("fleet", "pause", ("p",), "pause", "pause it, or let it go on", 52, "pause / resume"),
        Action("fleet", "restart", ("R",), "restart", "stop and start", 53, "restart"),
        Action("fleet", "remove", ("ctrl+d",), "remove", "remove it, with all in it", 54, "rm --force"),
        Action("fleet", "describe", ("d",), "describe", "all about it", 55, "inspect"),
        Action("fleet", "raw", ("y",), "raw", "the same as JSON", cli="inspect --json"),
        Action("fleet", "panes", ("w",), "panes", "go to the panes", 40),
        Action("fleet", "reverse", ("r",), "reverse", "reverse the order"),
        *[
            Action("fleet", f"sort('{by}')", (key,), f"sort by {by}", f"sort by {by}")
            for key, by in sorts
        ],
        Action("fleet", "cancel", ("escape",), "cancel", "dismiss the error, else the filter, else the marks"),
        Action("fleet", "quit", ("q",), "quit", "leave; sandboxes and what runs in them go on", 95),
    ]  # fmt: skip


def _sandbox() -> list[Action]:
    return [
        Action(
            "sandbox", "attach", ("a",), "attach", "step into its terminal, or open a shell", 12, "attach"
        ),
        Action("sandbox", "shell", ("s",), "shell", "open a new shell", 15, "attach"),
        Action("sandbox", "exec", ("x",), "exec", "run a command", 22, "exec"),
        Action(
            "sandbox", "signal", ("ctrl+k",), "signal", "send a signal to all that it started", 24, "signal"
        ),
        Action("sandbox", "filter", ("/",), "filter", "text, !text", 30),
        Action("sandbox", "acknowledge", ("o",), "ok", "seen: how it ended", 37, "ack"),
        Action("sandbox", "forget", ("ctrl+d",), "forget", "forget an ended session and its log", 54),
        Action("sandbox", "describe", ("d",), "describe", "all about the session", 55, "sessions --json"),
        Action("sandbox", "panes", ("w",), "panes", "go to the panes", 40),
        Action(
            "sandbox", "cancel", ("escape",), "back", "dismiss the error, the filter, the marks; then back"
        ),
        Action("sandbox", "back", ("q", "backspace"), "back", "back to the sandboxes", 95),
    ]


def _panes() -> list[Action]:
    return [
        Action("panes", "next", ("tab",), "next", "to the next pane", 30),
        Action("panes", "previous", ("shift+tab",), "previous", "to the pane before"),
        Action("panes", "go('left')", ("ctrl+left",), "left", "to the pane at the left"),
        Action("panes", "go('right')", ("ctrl+right",), "right", "to the pane at the right"),
        Action("panes", "go('up')", ("ctrl+up",), "up", "to the pane above"),
        Action("panes", "go('down')", ("ctrl+down",), "down", "to the pane below"),
        Action(
            "panes", "split('right')", ("|",), "split right", "the same session once more, at the right", 40
        ),
        Action("panes", "split('down')", ("-",), "split down", "the same session once more, below", 41),
        Action("panes", "zoom", ("z", "f"), "zoom", "one pane over the whole screen, and back", 42),
        Action("panes", "resize(1)", (">",), "larger", "make this pane larger"),
        Action("panes", "resize(-1)", ("<",), "smaller", "make this pane smaller"),
        Action("panes", "even", ("=",), "even", "all panes the same size"),
        Action("panes", "close", ("x",), "close", "close this pane; the session goes on", 43),
        Action("panes", "cancel", ("escape",), "list", "cancel what is open here, else back to the list", 94),
        Action("panes", "back", ("q",), "list", "back to the list; panes stay", 95),
    ]


def _log() -> list[Action]:
    return [
        Action("log", "line_down", ("down", "j"), "down", "a line down"),
        Action("log", "line_up", ("up", "k"), "up", "a line up"),
        Action("log", "page_down", ("pagedown", "ctrl+f"), "page down", "a page down"),
        Action("log", "page_up", ("pageup", "ctrl+b"), "page up", "a page up"),
        Action("log", "top", ("home", "g"), "top", "to the beginning, as far as it is kept"),
        Action("log", "bottom", ("end", "G"), "bottom", "to the end, and follow"),
        Action("log", "follow", ("s",), "follow", "follow, or pause and keep the place", 10),
        Action("log", "search", ("/",), "search", "find a regular expression", 11),
        Action("log", "search_next(-1)", ("n",), "next", "the next match, upwards (later with N)", 12),
        Action("log", "search_next(1)", ("N",), "previous", "the next match downwards"),
        Action("log", "include", ("&", "i"), "only", "keep only lines that match; filters stack", 20),
        Action("log", "exclude", ("v",), "without", "hide lines that match; filters stack", 21),
        Action("log", "unfilter", ("backspace",), "unfilter", "drop the last filter"),
        Action("log", "stderr", ("2",), "stderr", "all, stderr only, or stdout only", 25),
        Action("log", "times", ("t",), "times", "show when lines came", 26, "logs --timestamps"),
        Action("log", "wrap", ("w",), "wrap", "wrap long lines, or cut them", 27),
        Action("log", "sideways(-1)", ("left",), "left", "to the left, when lines are cut"),
        Action("log", "sideways(1)", ("right",), "right", "to the right, when lines are cut"),
        Action("log", "save", ("ctrl+s",), "save", "save all its output to a file", 45, "logs >FILE"),
        Action("log", "copy", ("c",), "copy", "copy the lines on screen to the clipboard", 46),
    ]


def _live() -> list[Action]:
    return [
        Action("live", "step_out", ("f12",), "step out", "take the keyboard, to scroll or go elsewhere", 10),
        Action("live", "detach", ("ctrl+right_square_bracket",), "detach", "leave; it goes on, A comes back", 11),
    ]  # fmt: skip


def _nobody() -> list[Action]:
    return [
        Action("nobody", "step_out", ("escape", "f12"), "step out", "keys are commands, here and elsewhere"),
        Action("nobody", "take", ("T",), "take over", "take the keyboard, if the program still runs"),
        Action("nobody", "detach", ("ctrl+right_square_bracket",), "close", "leave; what runs goes on"),
    ]  # fmt: skip


def _terminal() -> list[Action]:
    return [
        Action(
            "terminal",
            "step_in",
            ("f12", "i", "enter"),
            "step in",
            "give the keyboard back to the program",
            10,
        ),
        Action("terminal", "move(-1, 0)", ("up", "k"), "up", "a line back"),
        Action("terminal", "move(1, 0)", ("down", "j"), "down", "a line on"),
        Action("terminal", "move(0, -1)", ("left", "h"), "left", "a column to the left"),
        Action("terminal", "move(0, 1)", ("right", "l"), "right", "a column to the right"),
        Action("terminal", "line_start", ("0", "^"), "line start", "to the beginning of the line"),
        Action("terminal", "line_end", ("$",), "line end", "to the end of the line"),
        Action("terminal", "page(-1)", ("pageup", "ctrl+b"), "page up", "a page back", 12),
        Action("terminal", "page(1)", ("pagedown", "ctrl+f"), "page down", "a page on"),
        Action("terminal", "top", ("home", "g"), "top", "to the oldest line kept"),
        Action("terminal", "bottom", ("end", "G"), "bottom", "to the present"),
        Action("terminal", "search", ("/",), "search", "find a regular expression, upwards", 14),
        Action("terminal", "search_next(-1)", ("n",), "next", "the next match, upwards", 15),
        Action("terminal", "search_next(1)", ("N",), "previous", "the next match downwards"),
        Action("terminal", "select", ("v", "space"), "select", "begin to select at the cursor, or stop", 16),
        Action("terminal", "select_lines", ("V",), "lines", "select whole lines"),
        Action("terminal", "copy", ("y", "c"), "copy", "copy what is selected, else what shows", 17),
        Action("terminal", "watch", ("W",), "watch only", "give the keyboard up and go on watching", 20),
        Action("terminal", "take", ("T",), "take over", "take the keyboard", 21),
        Action(
            "terminal", "detach", ("ctrl+right_square_bracket",), "detach", "leave; the program goes on", 22
        ),
    ]


ACTIONS: Final[tuple[Action, ...]] = (
    *_app(), *_list(), *_fleet(), *_sandbox(), *_panes(), *_log(), *_live(), *_nobody(), *_terminal(),
)  # fmt: skip


def actions_of(*contexts: Context) -> list[Action]:
    """The table's entries of ``contexts``, in that order."""
    return [action for context in contexts for action in ACTIONS if action.context == context]


_MOTIONS: Final = frozenset({
    "up", "down", "page_up", "page_down", "first", "last", "line_up", "line_down", "top", "bottom", "next",
    "previous", "cancel", "open", "mark", "mark_range",
})  # fmt: skip


def worth_naming(action: Action) -> bool:
    """Whether somebody would look for it by name: nobody does for a motion."""
    return (action.id not in _MOTIONS and "(" not in action.id) or action.id.startswith(("sort", "split"))


def bindings_of(context: Context) -> list[Binding]:
    """What a screen or widget of ``context`` binds. None has priority: a terminal gets every key first."""
    return [
        Binding(",".join(action.keys), action.id, action.label, show=False, id=f"{context}.{action.id}")
        for action in actions_of(context)
        if action.keys
    ]


_SHOWN: Final = {
    "ctrl+right_square_bracket": "^]", "ctrl+@": "^space", "pagedown": "pgdn", "pageup": "pgup", "escape": "esc",
    "enter": "⏎", "shift+tab": "⇧tab", "backspace": "⌫", "up": "↑", "down": "↓", "left": "←", "right": "→",
    "ctrl+left": "^←", "ctrl+right": "^→", "ctrl+up": "^↑", "ctrl+down": "^↓",
}  # fmt: skip


def shown_key(key: str) -> str:
    """A key as it is printed on the screen."""
    return _SHOWN.get(key) or (f"^{key[5:]}" if key.startswith("ctrl+") else key)
