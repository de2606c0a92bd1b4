"""The command ``sandtop``, also as ``python -m sandtop``."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run one command of this process's command line, or without one the console; returns the exit status."""
    if len(sys.argv) == 1 and sys.stdin.isatty() and sys.stdout.isatty():
        from sandtop.tui.start import main as console

        status = console()
    else:
        from sandtop.core.cli.main import main as run

        status = run(sys.argv[1:])
    # a command owns nothing that outlives it; to have the interpreter take itself apart would cost it 1.4 ms
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
