"""What a theme of the console is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.color import Color
from rich.terminal_theme import TerminalTheme

if TYPE_CHECKING:
    from textual.theme import Theme


@dataclass(frozen=True, slots=True)
class Look:
    """A theme for one kind of terminal.

    Attributes:
        name: what the operator calls it; the looks of one theme, for terminals of more or fewer colours, share it.
        theme: the console's own colours. Besides Textual's variables it has those that app.tcss lists.
        programs: the sixteen colours of programs.
    """

    name: str
    theme: Theme
    programs: TerminalTheme


def scrollbars(bar: str, track: str) -> dict[str, str]:
    """The variables of scroll bars that look the same whatever the mouse does."""
    colours: dict[str, str] = {"scrollbar-corner-color": track}
    for state in ("", "-hover", "-active"):
        colours |= {f"scrollbar{state}": bar, f"scrollbar-background{state}": track}
    return colours


def _parts(colour: str | None) -> tuple[int, int, int]:
    red, green, blue = Color.parse(colour or "").get_truecolor()
    return red, green, blue


def programs(theme: Theme, *colours: str) -> TerminalTheme:
    """The sixteen colours of programs: black, red, green, yellow, blue, magenta, cyan, white; then the bright ones.

    Those of the operator's terminal would not do: they are chosen for its background, and the console has another.
    All of these can be told apart, also on a terminal of 256 colours, and read on the theme's background. Their hues
    are OKLCH's, with one contrast (WCAG 2.1, 1.4.3) for the six plain colours and one for the six bright.
    """
    triplets = [_parts(colour) for colour in colours]
    return TerminalTheme(_parts(theme.background), _parts(theme.foreground), triplets[:8], triplets[8:])
