"""The two themes of a terminal of any colour: greys, one accent, and colour only for what asks for attention."""

from __future__ import annotations

from typing import Final

from textual.theme import Theme

from .model import Look, programs, scrollbars

_DARK: Final = Theme(
    name="sandtop-dark",
    primary="#5f87af",
    secondary="#87afaf",
    accent="#87afd7",
    foreground="#d0d4da",
    background="#14171c",
    surface="#1a1e24",
    panel="#232830",
    success="#87af87",
    warning="#d7af5f",
    error="#e0696f",
    dark=True,
    variables={
        "footer-key-foreground": "#87afd7",
        "border": "#3a424e",
        "border-blurred": "#2b313a",
        "text-muted": "#8b939e",
        "cursor-row": "#5f87af 35%",
        "cursor-row-blurred": "#5f87af 15%",
        "field-focus": "#5f87af 25%",
        "title-focus": "#5f87af 30%",
        "selected": "#5f87af 60%",
        "match": "#d7af5f",
        "match-text": "#14171c",
        "match-here": "#87afd7",
        "warned": "#d7af5f 25%",
        "failed": "#e0696f 20%",
        "veil": "#14171c 60%",
        **scrollbars("#3a424e", "#1a1e24"),
    },
)
_LIGHT: Final = Theme(
    name="sandtop-light",
    primary="#3a6ea5",
    secondary="#2f6f6f",
    accent="#205d9c",
    foreground="#24292f",
    background="#fbfbf9",
    surface="#f4f4f0",
    panel="#e8e8e2",
    success="#2e7d32",
    warning="#8a5a00",
    error="#b3261e",
    dark=False,
    variables={
        "footer-key-foreground": "#205d9c",
        "border": "#b9bcc0",
        "border-blurred": "#d6d8da",
        "text-muted": "#63686e",
        "cursor-row": "#3a6ea5 35%",
        "cursor-row-blurred": "#3a6ea5 15%",
        "field-focus": "#3a6ea5 25%",
        "title-focus": "#3a6ea5 30%",
        "selected": "#3a6ea5 60%",
        "match": "#e3bd62",
        "match-text": "#24292f",
        "match-here": "#8fb8e6",
        "warned": "#8a5a00 25%",
        "failed": "#b3261e 20%",
        "veil": "#fbfbf9 60%",
        **scrollbars("#b9bcc0", "#f4f4f0"),
    },
)
DARK: Final = Look(
    "dark", _DARK,
    programs(
        _DARK,
        "#3a3f45", "#ec645a", "#36a442", "#aa8e00", "#558df8", "#cd6bcb", "#009fac", "#c5cbd2",
        "#6b7077", "#ffa499", "#7ace7e", "#d7ba40", "#99bcfd", "#f19fef", "#1acfdf", "#eff2f6",
    ),
)  # fmt: skip
LIGHT: Final = Look(
    "light", _LIGHT,
    programs(
        _LIGHT,
        "#23272d", "#a72120", "#006617", "#675500", "#1d51b6", "#8d2e8c", "#056068", "#72787f",
        "#4d5258", "#df3c37", "#028d24", "#907700", "#3372f0", "#bd49bc", "#088690", "#95989b",
    ),
)  # fmt: skip
