"""What the console knows of the core, as frozen values: made anew from each answer, never changed in place."""

from __future__ import annotations

from .filters import Filter, parse_filter
from .model import FleetView, Need, SandboxView, SessionView
from .store import Store
from .usage import ProcessUsage

__all__ = [
    "Filter", "FleetView", "Need", "ProcessUsage", "SandboxView", "SessionView", "Store",
    "parse_filter",
]  # fmt: skip
