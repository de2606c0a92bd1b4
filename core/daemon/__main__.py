"""``python -m sandtop.core.daemon``: start the core in the background. With ``--serve``: be the core.

``--channel NAME`` goes before the setting ``channel``, for as long as that core and those that replace it live.
"""

from __future__ import annotations

import sys

from sandtop.core.daemon.supervisor import CHANNEL, ensure_core


def main() -> int:
    """The exit status."""
    words = sys.argv[1:]
    channel = words[words.index(CHANNEL) + 1] if CHANNEL in words[:-1] else None
    if words[:1] == ["--serve"]:
        from sandtop.core.daemon.app import serve

        return serve(channel)
    return ensure_core(channel)


if __name__ == "__main__":
    sys.exit(main())
