"""Screens: each owns a workflow, asks the core for what its widgets say, and calls them with the answers."""

from __future__ import annotations
