"""How the console begins: what must be so before Textual is imported, and then the app."""

from __future__ import annotations

import os
import sys
from typing import Final

_FRAMES_A_SECOND: Final = 200
"""How soon Textual paints what changed. What pours in keeps to a slower beat of its own."""
_SWITCH_SECONDS: Final = 0.001
"""How long the threads that read keys and write frames wait for the loop's thread, at most."""


def main() -> int:
    """Open the console on this terminal, until its user leaves; the exit status."""
    os.environ.setdefault("TEXTUAL_FPS", str(_FRAMES_A_SECOND))
    sys.setswitchinterval(_SWITCH_SECONDS)
    from sandtop.tui.app import Console
    from sandtop.tui.store import ProcessUsage, Store
    from sandtop.tui.tty.shutdown import Shutdown

    shutdown = Shutdown()
    shutdown.watch()
    console = Console(Store(ProcessUsage()), shutdown=shutdown)
    console.run()
    return console.return_code or 0
