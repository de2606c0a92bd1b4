"""What the core remembers between its lives: sandboxes, sessions, exit records and alerts, in SQLite."""

from __future__ import annotations

from sandtop.core.store._database import Database
from sandtop.core.store._rows import (
    AlertRow,
    MountRow,
    Ownership,
    SandboxConfig,
    SandboxRow,
    SecretRow,
    SessionRow,
)

__all__ = [
    "AlertRow",
    "Database",
    "MountRow",
    "Ownership",
    "SandboxConfig",
    "SandboxRow",
    "SecretRow",
    "SessionRow",
]
