"""The console's colours: a theme dark and light, each for terminals of any, of 256 and of sixteen colours."""

from __future__ import annotations

from typing import Final, Literal

from . import palette256, truecolor
from .model import Look
from .sixteen import TERMINAL
from .truecolor import DARK, LIGHT

__all__ = ["DARK", "LIGHT", "LOOKS", "TERMINAL", "THEMES", "Look", "ThemeName", "look"]

ThemeName = Literal["dark", "light", "terminal"]
THEMES: Final[tuple[ThemeName, ...]] = ("dark", "light", "terminal")
"""The themes that an operator chooses from, in the order in which a key goes through them."""
LOOKS: Final = (truecolor.DARK, truecolor.LIGHT, palette256.DARK, palette256.LIGHT, TERMINAL)
_OF_256: Final = {"dark": palette256.DARK, "light": palette256.LIGHT}
_OF_ANY: Final = {"dark": truecolor.DARK, "light": truecolor.LIGHT}


def look(theme: ThemeName, colours: str | None) -> Look:
    """The look of ``theme`` on a terminal with ``colours``: a system of colours as Rich names them; None for none.

    A terminal of sixteen colours has only one, its own: dark and light are what its owner made it.
    """
    if theme == "terminal" or colours == "standard":
        return TERMINAL
    return (_OF_256 if colours == "256" else _OF_ANY)[theme]
