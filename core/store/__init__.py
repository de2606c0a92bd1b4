"""What the core remembers between its lives: sandboxes, sessions and exit records, in SQLite."""

from __future__ import annotations

from sandtop.core.store._database import Database
from sandtop.core.store._rows import Ownership, SandboxConfig, SandboxRow, SessionRow

__all__ = ["Database", "Ownership", "SandboxConfig", "SandboxRow", "SessionRow"]
