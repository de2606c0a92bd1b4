"""Values that callers give in several forms."""

from __future__ import annotations

import os
import signal as signals

from sandtop.core.errors import InvalidRequest

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from sandtop.core.contract.image import ImageConfig

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


def docker_config() -> str | None:
    """The absolute path of docker's config.json, where a variable says that it is not in its usual place."""
    if folder := os.environ.get("DOCKER_CONFIG"):
        return os.path.join(os.path.abspath(folder), "config.json")
    file = os.environ.get("REGISTRY_AUTH_FILE")  # podman's and skopeo's
    return os.path.abspath(file) if file else None


def image_command(
    image: str, config: ImageConfig | None, command: Sequence[str], entrypoint: str | None = None
) -> list[str]:
    """What ``docker run`` would run: the entrypoint with ``command``, or without one with the image's own.

    ``config`` is that of the image called ``image``. ``entrypoint`` goes before the image's, and then the image's
    command counts no more; empty, there is none. Raises `InvalidRequest` when nothing is left to run.
    """
    if entrypoint is not None:
        argv = [*([entrypoint] if entrypoint else []), *command]
    elif config is None:
        argv = [*command]
    else:
        argv = [*config.entrypoint, *(command or config.cmd)]
    if not argv:
        raise InvalidRequest(
            f"no command was given, and the image {image} has none of its own", hint="give it after --"
        )
    return argv


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
