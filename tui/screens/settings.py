"""The page that shows the operator's own settings of the console: what each is, and where it can be changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandtop.tui.screens.pages import FactPage
from sandtop.tui.text import neutral

if TYPE_CHECKING:
    from sandtop.tui.config import Config


def settings_page(config: Config, path: str, wrong: str) -> FactPage:
    """The page for ``config``, which is read from ``path``; ``wrong`` says what of the file cannot be used."""
    own = "config.toml"
    facts = [
        ("file", path),
        *([("wrong", wrong)] if wrong else []),
        ("theme", config.theme),
        ("columns", " ".join(config.columns)),
        ("filter", config.filter or "none"),
        ("sort", config.sort),
        ("confirm", " ".join(config.confirm) or "nothing"),
        *[(f"commands.{one.name}", neutral(one.shown, 80)) for one in config.commands],
        *[(f"keys.{action}", " ".join(keys) or "none") for action, keys in sorted(config.keys.items())],
    ]
    shown = [
        (name, f"{value}  ({own})" if name.split(".")[0] in config.named else value) for name, value in facts
    ]
    return FactPage("settings of the console", [*shown, ("", "The file is read anew whenever it changes.")])
