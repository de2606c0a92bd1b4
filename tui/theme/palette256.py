"""The two themes for a terminal of 256 colours. Each colour is one of xterm's palette."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from textual.theme import Theme

from . import truecolor
from .model import scrollbars

DARK: Final = replace(
    truecolor.DARK,
    theme=Theme(
        name="sandtop-dark-256",
        primary="#5f87af",
        secondary="#87afaf",
        accent="#87afd7",
        foreground="#d0d0d0",
        background="#121212",
        surface="#1c1c1c",
        panel="#262626",
        success="#87af87",
        warning="#d7af5f",
        error="#d75f5f",
        dark=True,
        variables={
            "footer-key-foreground": "#87afd7",
            "border": "#444444",
            "border-blurred": "#303030",
            "text": "#d0d0d0",
            "text-muted": "#8a8a8a",
            "text-disabled": "#6c6c6c",
            "text-accent": "#87afd7",
            "text-success": "#87d787",
            "text-warning": "#d7af5f",
            "text-error": "#ff8787",
            "cursor-row": "#005f87",
            "cursor-row-blurred": "#303030",
            "field-focus": "#303030",
            "title-focus": "#3a3a3a",
            "selected": "#5f87af",
            "input-selection-background": "#5f87af",
            "input-selection-foreground": "#121212",
            "input-cursor-background": "#d0d0d0",
            "input-cursor-foreground": "#121212",
            "match": "#d7af5f",
            "match-text": "#121212",
            "match-here": "#87afd7",
            "warned": "#5f5f00",
            "failed": "#5f0000",
            "veil": "#121212",
            **scrollbars("#444444", "#1c1c1c"),
        },
    ),
)
LIGHT: Final = replace(
    truecolor.LIGHT,
    theme=Theme(
        name="sandtop-light-256",
        primary="#005faf",
        secondary="#005f5f",
        accent="#005faf",
        foreground="#262626",
        background="#ffffff",
        surface="#eeeeee",
        panel="#e4e4e4",
        success="#005f00",
        warning="#875f00",
        error="#af0000",
        dark=False,
        variables={
            "footer-key-foreground": "#005faf",
            "border": "#b2b2b2",
            "border-blurred": "#d0d0d0",
            "text": "#262626",
            "text-muted": "#626262",
            "text-disabled": "#949494",
            "text-accent": "#005faf",
            "text-success": "#005f00",
            "text-warning": "#875f00",
            "text-error": "#af0000",
            "cursor-row": "#afd7ff",
            "cursor-row-blurred": "#dadada",
            "field-focus": "#d7d7ff",
            "title-focus": "#d0d0d0",
            "selected": "#87afd7",
            "input-selection-background": "#87afd7",
            "input-selection-foreground": "#262626",
            "input-cursor-background": "#262626",
            "input-cursor-foreground": "#ffffff",
            "match": "#ffd75f",
            "match-text": "#262626",
            "match-here": "#87afff",
            "warned": "#ffffaf",
            "failed": "#ffd7d7",
            "veil": "#ffffff",
            **scrollbars("#b2b2b2", "#eeeeee"),
        },
    ),
)
