"""Widgets of the console. None of them asks the core: they post messages to their screen, which calls their methods."""

from __future__ import annotations
