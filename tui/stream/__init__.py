"""Sessions as they come from the core: tails of logs, attached terminals, and the ring that output is kept in."""

from __future__ import annotations
