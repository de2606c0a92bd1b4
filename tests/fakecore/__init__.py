"""A core that is not one: the real protocol on the real socket, driven by the contract, without machines.

Its sessions do what a test says, or are programs of this host. It can die at any moment, as the real one can, and come
back with what it had stored. What tests say of it they say of the real core, too, on real machines: by running against
both (tests/core/client, tests/core/cli), or beside it (tests/tui/test_real.py).
"""

from __future__ import annotations

from .core import FakeCore
from .link import Conn, Message, Script
from .state import NOW, FakeSession, Raw, described, ended, sandbox, session
from .watching import FakeHost, FakeLoad

__all__ = [
    "NOW", "Conn", "FakeCore", "FakeHost", "FakeLoad", "FakeSession", "Message", "Raw", "Script", "described", "ended",
    "sandbox", "session",
]  # fmt: skip
