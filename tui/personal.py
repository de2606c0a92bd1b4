"""What makes the console its operator's own: config.toml while it runs, and what was remembered when it was left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandtop.core.errors import SandtopError
from sandtop.tui.actions import keymap_of, use_keys
from sandtop.tui.config import Config, ConfigFile, remembered
from sandtop.tui.screens.base import ConsoleScreen
from sandtop.tui.screens.fleet_rows import ORDERS

if TYPE_CHECKING:
    from sandtop.core.paths import Paths
    from sandtop.tui.store import FleetView

    from .app import Console

_SECONDS: Final = 2.0
"""How often at most it is written down how things are."""


class Personal:
    """The operator's settings of ``console``, and how it was left. Without ``paths`` nothing is read or remembered.

    Attributes:
        trouble: what is wrong with config.toml; empty when nothing is.
    """

    def __init__(self, console: Console, paths: Paths | None) -> None:
        self._console = console
        self._file = ConfigFile(paths.settings) if paths is not None else None
        self._place = paths.data / remembered.NAME if paths is not None else None
        self._last = remembered.Remembered()
        self._written_at = 0.0
        self.trouble = ""

    @property
    def config(self) -> Config:
        """What the operator has set."""
        return self._file.config if self._file is not None else Config()

    @property
    def path(self) -> str:
        """Where it is set."""
        return str(self._file.path) if self._file is not None else ""

    def begin(self) -> None:
        """Put things as they were, or as config.toml says where that was written later."""
        if self._place is None or self._file is None:
            return
        self._last, at = remembered.read(self._place)
        self._read()
        config, fleet = self.config, self._console.nav.fleet
        named: frozenset[str] = config.named if self._file.changed_at > at else frozenset()
        nothing = at == 0.0
        self._console.use_theme(config.theme if nothing or "theme" in named else self._last.theme)
        by, descending = self._last.sort
        fleet.order = (
            (config.sort, False) if nothing or "sort" in named or by not in ORDERS else (by, descending)
        )
        filter_text = config.filter if nothing or "filter" in named else self._last.filter
        fleet.begin_with(filter_text, frozenset(self._last.marks))

    def first_view(self, view: FleetView) -> None:
        """The core has answered for the first time: mark what was marked, and open the panes that were open."""
        self._console.nav.fleet.mark_first()
        if self._last.panes is not None:
            self._console.nav.open_again(self._last.panes, self._last.zoomed, view)

    def look(self) -> None:
        """Read config.toml if it has changed, and write down how things are if that has."""
        if self._file is not None and self._read():
            self._console.use_theme(self.config.theme)
            self._console.say(f"{self._file.path.name} has changed: its settings are in use")
        if self._console.clock() - self._written_at >= _SECONDS:
            self.write()

    def _read(self) -> bool:
        """Read config.toml if it has changed; whether there is something new in it that can be used."""
        assert self._file is not None
        try:
            if not self._file.look():
                return False
        except SandtopError as error:
            self.trouble = f"{error}{f': {error.hint}' if error.hint else ''}"
            self._console.say_error(self.trouble)
            return False
        self.trouble = ""
        config = self.config
        use_keys(config.keys)
        self._console.set_keymap(keymap_of(config.keys))
        self._console.nav.fleet.use_columns(config.columns)
        screen = self._console.screen if self._console.screen_stack else None
        if isinstance(screen, ConsoleScreen) and screen.ready:
            screen.show_keys()
        return True

    def write(self) -> None:
        """Write down how things are, if that has changed."""
        if self._place is None or self._console.store.view.version == 0:
            return
        self._written_at = self._console.clock()
        fleet, panes = self._console.nav.fleet, self._console.nav.panes_if_any
        tree, zoomed = panes.arrangement() if panes is not None else (None, None)
        now = remembered.Remembered(
            self._console.theme_name,
            fleet.order,
            fleet.filter_text,
            tuple(sorted(fleet.marked)),
            tree,
            zoomed,
        )
        if now != self._last:
            self._last = now
            remembered.write(self._place, now)
