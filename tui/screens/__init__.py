"""Screens. Each has one piece of work: it takes its widgets' messages, asks the core, and shows the answers in them."""

from __future__ import annotations
