"""What the console knows: plain frozen values, made anew at each look at the core, never changed in place."""

from __future__ import annotations

from .filters import Filter, parse_filter
from .model import FleetView, Need, SandboxView, SessionView
from .store import Store
from .usage import ProcessUsage

__all__ = [
    "Filter", "FleetView", "Need", "ProcessUsage", "SandboxView", "SessionView", "Store",
    "parse_filter",
]  # fmt: skip
