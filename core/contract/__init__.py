"""The contract between the core and its clients: every operation once, with its fields, its result and its manners.

`docs/protocol.md` says what they mean; a test holds its tables to this. An operation is a class, in the module of its
noun (``session.exec`` is `session.SessionExec`); the server's dispatch, the clients, the tests' core and the hostile
requests of the fuzzer are all driven by these classes. Who sends a request imports only its noun's module, which costs
no more than its classes: what reads and checks JSON is in `codec`, imported where something is read.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Any, Final

    from .record import Request

NOUNS: Final = ("core", "sandbox", "image", "session", "file", "volume", "net")
"""What operations are about: the first half of their names, and the modules here that have them."""


def find(op: str) -> type[Request[Any]] | None:
    """The request of the operation ``op``; None when there is no such operation."""
    noun = op.partition(".")[0]
    if noun not in NOUNS:
        return None
    __import__(f"{__package__}.{noun}")
    from .record import OPERATIONS

    return OPERATIONS.get(op)


def operations() -> dict[str, type[Request[Any]]]:
    """Every operation, by its name."""
    for noun in NOUNS:
        __import__(f"{__package__}.{noun}")
    from .record import OPERATIONS

    return OPERATIONS
