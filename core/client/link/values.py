"""Values that callers give in several forms."""

from __future__ import annotations

import os
import signal as signals

from sandtop.core.errors import InvalidRequest

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    Limit = int | Literal["unlimited"]
    Rlimit = Limit | tuple[Limit, Limit]


def signal_number(value: int | str) -> int:
    """The number of ``TERM``, ``SIGTERM`` or 15. Raises `InvalidRequest`."""
    found: int | None = None
    if isinstance(value, int) or (value.isascii() and value.isdecimal()):
        found = int(value) if 1 <= int(value) < signals.NSIG else None
    else:
        name = value.upper()
        found = signals.Signals.__members__.get(name if name.startswith("SIG") else f"SIG{name}")
    if found is None:
        raise InvalidRequest(
            f"there is no signal {value}", hint="give a name such as TERM, KILL or HUP, or a number"
        )
    return int(found)


def image_source(value: str | os.PathLike[str]) -> str:
    """The absolute path of what an image is made of.

    Raises `InvalidRequest` for an empty one: that is a variable which was not set, and nobody means
    the working folder by it.
    """
    path = os.fspath(value)
    if not path:
        raise InvalidRequest(
            "what the image is to be made of is empty",
            hint="is a variable not set? '.' is the working folder",
        )
    return os.path.abspath(path)


def limits(rlimits: Mapping[str, Rlimit] | None) -> dict[str, list[int]]:
    """``{"nofile": 1024}``, ``{"cpu": (10, 20)}`` or ``{"as": "unlimited"}`` as pairs; -1 is unlimited.

    Raises `InvalidRequest`; which names there are is for the core to say.
    """
    return {_limit_name(name): _pair(name, value) for name, value in (rlimits or {}).items()}


def _limit_name(name: str) -> str:
    return name.lower().removeprefix("rlimit_")


def _pair(name: str, value: Rlimit) -> list[int]:
    soft, hard = value if isinstance(value, tuple) else (value, value)
    return [_one(name, soft), _one(name, hard)]


def _one(name: str, value: Limit) -> int:
    if value == "unlimited":
        return -1
    if value < 0:
        raise InvalidRequest(f"the limit {name} is {value!r}", hint="give a number from 0, or 'unlimited'")
    return value
