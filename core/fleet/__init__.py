"""The sandboxes of a core: their states, their machines, and finding them again after the core died."""

from __future__ import annotations

from sandtop.core.fleet.context import Context
from sandtop.core.fleet.fleet import Fleet
from sandtop.core.fleet.sandbox import Sandbox
from sandtop.core.fleet.state import State, require

__all__ = [
    "Context",
    "Fleet",
    "Sandbox",
    "State",
    "require",
]
