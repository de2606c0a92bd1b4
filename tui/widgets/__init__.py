"""Widgets of the console. None of them knows the core: messages go up, calls come down."""

from __future__ import annotations
