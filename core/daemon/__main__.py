"""``python -m sandtop.core.daemon``: start the core in the background. With ``--serve``: be the core."""

from __future__ import annotations

import sys

from sandtop.core.daemon.supervisor import ensure_core


def main() -> int:
    """The exit status."""
    if sys.argv[1:] == ["--serve"]:
        from sandtop.core.daemon.app import serve

        return serve()
    return ensure_core()


if __name__ == "__main__":
    sys.exit(main())
