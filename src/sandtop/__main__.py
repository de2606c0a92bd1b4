"""The command ``sandtop``, also as ``python -m sandtop``."""

from __future__ import annotations

import sys


def main() -> int:
    """Run one command of this process's command line; what comes back is the exit status."""
    from sandtop.core.cli.main import main as run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
