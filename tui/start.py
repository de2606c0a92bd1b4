"""Starts the console: sets what must be set before Textual is imported, then runs the app."""

from __future__ import annotations

import gc
import os
import sys
from typing import Final, Literal, cast

_FRAMES_A_SECOND: Final = 200
"""How often Textual may draw what has changed. Panes that take in output draw less often, at rates of their own."""
_SWITCH_SECONDS: Final = 0.001
"""How soon Python gives the threads that read keys and write frames a turn, while the event loop is busy."""


def main() -> int:
    """Run the console on this terminal until the operator quits. Returns the exit status."""
    gc.disable()  # while it starts nothing becomes garbage: a tenth of that time; `GarbageCollection` enables it
    os.environ.setdefault("TEXTUAL_FPS", str(_FRAMES_A_SECOND))
    sys.setswitchinterval(_SWITCH_SECONDS)
    from rich.console import Console as Terminal
    from textual import constants

    from sandtop.core.paths import find
    from sandtop.tui.app import Console
    from sandtop.tui.store import Store
    from sandtop.tui.tty.shutdown import Shutdown

    paths = find()
    paths.ensure()
    shutdown = Shutdown()
    shutdown.watch()
    asked = cast("Literal['auto', 'standard', '256', 'truecolor'] | None", constants.COLOR_SYSTEM)
    colours = Terminal(force_terminal=True, color_system=asked).color_system
    console = Console(Store(), shutdown=shutdown, colours=colours, paths=paths)
    console.run()
    return console.return_code or 0
