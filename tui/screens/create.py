"""The form for a new sandbox. Its defaults work as they stand, so enter alone makes one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Final

from textual.containers import Grid, Vertical
from textual.content import Content
from textual.suggester import SuggestFromList
from textual.widgets import Input, Label, Static

from sandtop.tui.text import neutral

from .modal import Modal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

Fields = dict[str, object]
"""What the core is asked for, once for each of its ``names``."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
_RANGE: Final = re.compile(r"\{(\d{1,6})\.\.(\d{1,6})\}")
MOST_AT_ONCE: Final = 100
"""Sandboxes that one form makes."""
_SHOWN_IMAGES: Final = 30
"""Characters of their names that the form shows."""
_SIZE: Final = re.compile(r"(\d+)\s*([mMgG]?)\Z")
_ROWS: Final = (
    ("name", "name", "a-z, 0-9 and -; several: web-{1..3}, or with spaces"),
    ("image", "image", "base"),
    ("cpus", "processors", "1"),
    ("memory", "memory", "as the core decides; 512M, 1G …"),
    ("disk", "disk", "as the core decides; 2G, 16G …"),
    ("network", "network", "none; or user"),
    ("labels", "labels", "team=a purpose=tests"),
)


def free_name(taken: Iterable[str]) -> str:
    """The first of ``box``, ``box-2``, ``box-3`` … that is not in ``taken``."""
    names = set(taken)
    number = 1
    while (name := "box" if number == 1 else f"box-{number}") in names:
        number += 1
    return name


def read_names(text: str) -> list[str]:
    """The names in ``text``: words, in each of which ``{1..5}`` stands for these numbers. Raises ValueError."""
    names: list[str] = []
    for word in text.split():
        match = _RANGE.search(word)
        if match is None:
            names.append(word)
            continue
        first, last = int(match[1]), int(match[2])
        if not first <= last < first + MOST_AT_ONCE:
            raise ValueError(f"{match[0]} must go up, by at most {MOST_AT_ONCE}")
        names += [f"{word[: match.start()]}{n}{word[match.end() :]}" for n in range(first, last + 1)]
    if not names or not all(_NAME.match(name) for name in names):
        raise ValueError("the name may have a-z, 0-9 and -, and begins with a letter or digit")
    if len(names) > MOST_AT_ONCE:
        raise ValueError(f"at most {MOST_AT_ONCE} at once")
    if len(set(names)) < len(names):
        raise ValueError("one of the names is there twice")
    return names


def read_form(values: dict[str, str]) -> Fields:
    """The fields of the core's ``sandbox.create``, with all ``names``.

    Raises ValueError, which says which field is wrong and how.
    """
    fields: Fields = {"names": read_names(values["name"])}
    if image := values["image"].strip():
        fields["image"] = image
    if cpus := values["cpus"].strip():
        if not cpus.isdecimal() or not 1 <= int(cpus) <= 64:
            raise ValueError("processors are a number from 1 to 64")
        fields["cpus"] = int(cpus)
    for name in ("memory", "disk"):
        if size := values[name].strip():
            match = _SIZE.match(size)
            if match is None:
                raise ValueError(f"{name} is a number of MiB, or such as 512M or 2G")
            fields[name] = int(match[1]) * (1024 if match[2] in ("g", "G") else 1)
    if network := values["network"].strip():
        if network not in ("none", "user", "user:host-loopback", "filtered"):
            raise ValueError("network is none, user, user:host-loopback or filtered")
        fields["network"] = network
    labels: dict[str, str] = {}
    for word in values["labels"].split():
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise ValueError(f"a label is NAME=VALUE, not {word}")
        labels[key] = value
    if labels:
        fields["labels"] = labels
    return fields


class CreateForm(Modal[Fields | None]):
    """Returns the fields of the core's ``sandbox.create``, or None when it was cancelled."""

    CSS_PATH = "create.tcss"
    VERTICAL_BREAKPOINTS = [(0, "-low"), (24, "-high")]  # noqa: RUF012 - Textual does not declare it a ClassVar
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "leave", "cancel"),
        ("down", "app.focus_next", "next"),
        ("up", "app.focus_previous", "previous"),
    ]

    def __init__(self, taken: Iterable[str]) -> None:
        super().__init__()
        self._proposed = free_name(taken)
        self._images: Sequence[str] = ()

    def compose(self) -> ComposeResult:
        with Vertical(classes="form"):
            yield Static(Content("New sandbox"), classes="question")
            with Grid():
                for key, label, placeholder in _ROWS:
                    yield Label(label)
                    value = self._proposed if key == "name" else ""
                    yield Input(value, placeholder=placeholder, id=key, compact=True)
            yield Static("", id="wrong", markup=False)
            yield Static(Content("⏎ create   tab, ↑↓ fields   esc cancel"), classes="hint")

    def offer_images(self, names: Sequence[str]) -> None:
        """Name the images that there are, if there is a choice, and complete what is typed to one of them."""
        self._images = names
        if self.is_mounted:
            self.on_mount()

    def on_mount(self) -> None:
        if len(self._images) > 1:
            field = self.query_one("#image", Input)
            field.placeholder = f"{neutral(', '.join(self._images), _SHOWN_IMAGES)}; → completes"
            field.suggester = SuggestFromList(self._images)

    def on_input_submitted(self) -> None:
        values = {key: self.query_one(f"#{key}", Input).value for key, _, _ in _ROWS}
        try:
            fields = read_form(values)
        except ValueError as error:
            self.query_one("#wrong", Static).update(Content(f"✖ {error}"))
            return
        self.answer(fields)

    def action_leave(self) -> None:
        self.answer(None)
