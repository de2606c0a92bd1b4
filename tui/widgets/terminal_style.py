"""The styles of the emulator's cells, as Rich has them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from rich.color import Color
from rich.style import Style

if TYPE_CHECKING:
    from sandtop.core.terminal import Style as CellStyle


@lru_cache(maxsize=4096)
def rich_style(style: CellStyle) -> Style:
    """``style`` as Rich has it. A guest's link is underlined, and cannot be followed."""
    return Style(
        color=None if style.foreground == "default" else Color.parse(style.foreground),
        bgcolor=None if style.background == "default" else Color.parse(style.background),
        bold=style.bold or None,
        dim=style.dim or None,
        italic=style.italic or None,
        underline=bool(style.underline or style.link) or None,
        reverse=style.reverse or None,
        conceal=style.conceal or None,
        strike=style.strike or None,
        overline=style.overline or None,
    )
