"""What an action is, and where it works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .table import ScopeName


@dataclass(frozen=True, slots=True)
class Scope:
    """Where actions work.

    Attributes:
        title: the heading of its actions in the help and in docs/console.md.
        owner: the class whose methods carry them out: its module below ``sandtop.tui``, and its name.
        below: the scopes whose actions work there too, the nearest first.
    """

    title: str
    owner: str
    below: tuple[ScopeName, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """Something that an operator can do.

    Attributes:
        name: unique in its scope.
        keys: as Textual names them; none for what only the palette has.
        label: what the last line of the screen and the palette call it.
        help: what it does, in a line.
        footer: its rank in the last line of the screen, the lowest first; 0 when it does not show there.
        cli: the command that does the same, behind ``sandtop``.
        handler: the call that carries it out, without ``action_``, when that is not ``name``.
    """

    scope: ScopeName
    name: str
    keys: tuple[str, ...]
    label: str
    help: str
    footer: int = 0
    cli: str = ""
    handler: str = ""

    @property
    def id(self) -> str:
        """Its name among all actions: what the operator's own keys are given to."""
        return f"{self.scope}.{self.name}"

    @property
    def call(self) -> str:
        """What carries it out, as Textual's ``run_action`` takes it."""
        return self.handler or self.name
