"""Checking a ``start`` message: what a session is to run."""

from __future__ import annotations

import resource

from .wire import values
from .wire.limits import MAX_RLIMIT, MAX_SESSION_ID, MAX_SESSION_NUMBER, MAX_TIMEOUT_MS, MAX_WINDOW_SIDE
from .wire.values import InvalidMessage

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

_UNLIMITED: Final = -1
_NAMES: Final = (
    "as", "core", "cpu", "data", "fsize", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime",
    "sigpending", "stack",
)  # fmt: skip
RLIMITS: Final[dict[str, int]] = {
    **{
        name: int(getattr(resource, f"RLIMIT_{name.upper()}"))
        for name in _NAMES
        if hasattr(resource, f"RLIMIT_{name.upper()}")
    },
    "locks": 10,  # asm-generic/resource.h; Python has no name for it
}
"""The number of each limit by its lower-case POSIX name."""


class Start:
    """The fields of a ``start``, checked; ``docs/protocol.md`` says what they mean.

    Attributes:
        awaited: whether somebody waits for the news that it runs.
        size: rows and columns of the terminal; None for a session on pipes.
        rlimits: (limit's number, soft, hard).
        merge: whether stderr goes where stdout does, by one pipe.
        builtin: the fields of the agent's own program that runs in place of ``argv``.
    """

    __slots__ = (
        "argv", "awaited", "builtin", "cwd", "env", "id", "merge", "number", "rlimits", "size", "stdin",
        "timeout_ms", "user",
    )  # fmt: skip

    def __init__(self, message: Mapping[str, object]) -> None:
        """Raises `InvalidMessage`."""
        self.id, self.number = id_and_number(message)
        self.builtin = values.optional_object(message, "builtin")
        self.argv = values.texts(message, "argv") if self.builtin is None else []
        self.env = values.environment(message, "env")
        self.cwd = values.optional_text(message, "cwd")
        self.user = values.optional_text(message, "user")
        self.timeout_ms: int | None = None
        if message.get("timeout_ms") is not None:
            self.timeout_ms = values.integer(message, "timeout_ms", 1, MAX_TIMEOUT_MS)
        self.rlimits = _rlimits(message)
        tty = values.optional_object(message, "tty")
        self.size: tuple[int, int] | None = None if tty is None else window_size(tty)
        self.stdin = values.boolean(message, "stdin")
        self.merge = values.boolean(message, "merge")
        self.awaited = "awaited" not in message or values.boolean(message, "awaited")
        if self.builtin is not None and (tty is not None or self.rlimits):
            raise InvalidMessage("a builtin takes neither a tty nor rlimits")


def id_and_number(message: Mapping[str, object]) -> tuple[str, int]:
    """Id and number of the session that a ``start`` begins. Raises `InvalidMessage`."""
    key = values.text(message, "id")
    if not 0 < len(key) <= MAX_SESSION_ID:
        raise InvalidMessage(f"id must have 1 to {MAX_SESSION_ID} characters")
    return key, values.integer(message, "n", 1, MAX_SESSION_NUMBER)


def window_size(message: Mapping[str, object]) -> tuple[int, int]:
    """``(rows, columns)``. Raises `InvalidMessage`."""
    return values.integer(message, "rows", 1, MAX_WINDOW_SIDE), values.integer(
        message, "columns", 1, MAX_WINDOW_SIDE
    )


def _rlimits(message: Mapping[str, object]) -> list[tuple[int, int, int]]:
    limits: list[tuple[int, int, int]] = []
    for name, pair in (values.optional_object(message, "rlimits") or {}).items():
        if name not in RLIMITS:
            raise InvalidMessage(f"rlimits: there is no limit called {name!r}")
        if not values.is_list(pair) or len(pair) != 2:
            raise InvalidMessage(f"rlimits: {name} must be a soft and a hard limit")
        soft, hard = (values.integer({name: value}, name, _UNLIMITED, MAX_RLIMIT) for value in pair)
        if hard != _UNLIMITED and (soft == _UNLIMITED or soft > hard):
            raise InvalidMessage(f"rlimits: the soft limit of {name} is above the hard one")
        limits.append((RLIMITS[name], soft, hard))
    return limits
