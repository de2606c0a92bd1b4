"""What the console knows of the core, as frozen values: made anew from each answer, never changed in place."""

from __future__ import annotations

from .filters import Filter, parse_filter
from .model import FleetView, Need, SandboxView, SessionView
from .store import Store
from .usage import HostUsage, Usage

__all__ = [
    "Filter", "FleetView", "HostUsage", "Need", "SandboxView", "SessionView", "Store", "Usage",
    "parse_filter",
]  # fmt: skip
