"""Cells of the emulator as Textual draws them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

if TYPE_CHECKING:
    from sandtop.core.terminal import Style as CellStyle


@lru_cache(maxsize=4096)
def rich_style(style: CellStyle) -> Style:
    """A cell's style as Rich has it. Links of the guest are underlined and lead nowhere."""
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


def restyle(strip: Strip, start: int, end: int, style: Style) -> Strip:
    """``strip`` with ``style`` laid over some of its cells."""
    length = strip.cell_length
    end = min(end, length)
    if start >= end:
        return strip
    middle = strip.crop(start, end)
    restyled = [Segment(text, (old or Style()) + style) for text, old, _ in middle]
    return Strip([*strip.crop(0, start), *restyled, *strip.crop(end, length)], length)
