"""``python -m sandtop.core.screens``: be the screen worker of the core behind descriptor 0."""

from __future__ import annotations

import sys

from sandtop.core.screens.worker import main

if __name__ == "__main__":
    sys.exit(main())
