"""The command ``sandtop``, also as ``python -m sandtop``."""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """Run one command of this process's command line, or without one the console; returns the exit status."""
    if len(sys.argv) == 1 and sys.stdin.isatty() and sys.stdout.isatty():
        from sandtop.tui.start import main as console

        return console()
    from sandtop.core.cli.main import main as run

    status = run(sys.argv[1:])
    # the interpreter would look through all objects for circles, several times, before it ends: 2 ms
    gc.freeze()
    return status


if __name__ == "__main__":
    sys.exit(main())
