"""sandtop: an operator's console for microVM sandboxes."""

from __future__ import annotations
