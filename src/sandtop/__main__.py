"""The command ``sandtop``, also as ``python -m sandtop``."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command that was given; without one, on a terminal, the console. Returns the exit status."""
    if len(sys.argv) == 1 and sys.stdin.isatty() and sys.stdout.isatty():
        from sandtop.tui.start import main as console

        status = console()
    else:
        from sandtop.core.cli.main import main as run

        status = run(sys.argv[1:])
    # without the interpreter's own clean-up, which takes 1.4 ms and has nothing left to do
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
