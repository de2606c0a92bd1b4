"""The theme that leaves colours to the terminal: its own sixteen, its background, its text.

It is the one for a terminal that has no more than sixteen colours, and for who wants the console to look like the rest
of their terminal. Whether that is dark or light is not known, so nothing relies on it: what is selected is reversed.
"""

from __future__ import annotations

from typing import Final

from textual.theme import Theme

from . import truecolor
from .model import Look, scrollbars

TERMINAL: Final = Look(
    "terminal",
    Theme(
        name="sandtop-terminal",
        ansi=True,
        primary="ansi_blue",
        secondary="ansi_cyan",
        accent="ansi_cyan",
        foreground="ansi_default",
        background="ansi_default",
        surface="ansi_default",
        panel="ansi_default",
        boost="ansi_default",
        success="ansi_green",
        warning="ansi_yellow",
        error="ansi_red",
        dark=True,
        variables={
            "ansi-background": "ansi_default",
            "ansi-foreground": "ansi_default",
            "footer-key-foreground": "ansi_cyan",
            "border": "ansi_bright_black",
            "border-blurred": "ansi_bright_black",
            "text": "ansi_default",
            "text-muted": "ansi_bright_black",
            "text-disabled": "ansi_bright_black",
            "text-accent": "ansi_cyan",
            "text-success": "ansi_green",
            "text-warning": "ansi_yellow",
            "text-error": "ansi_red",
            "block-cursor-foreground": "ansi_black",
            "block-cursor-background": "ansi_cyan",
            "cursor-row": "ansi_blue",
            "cursor-row-blurred": "ansi_default",
            "field-focus": "ansi_default",
            "title-focus": "ansi_default",
            "selected": "ansi_blue",
            "match": "ansi_yellow",
            "match-text": "ansi_black",
            "match-here": "ansi_cyan",
            "warned": "ansi_default",
            "failed": "ansi_default",
            "veil": "transparent",
            "input-cursor-background": "ansi_default",
            "input-cursor-foreground": "ansi_default",
            "input-cursor-text-style": "reverse",
            **scrollbars("ansi_bright_black", "ansi_default"),
        },
    ),
    truecolor.DARK.programs,
)
