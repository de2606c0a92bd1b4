"""``python -m sandtop.core.screens``: the screen worker, for the core at the other end of descriptor 0."""

from __future__ import annotations

import sys

from sandtop.core.screens.worker import main

if __name__ == "__main__":
    sys.exit(main())
