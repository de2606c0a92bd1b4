"""What a user may ask for when creating a sandbox, checked before anything is made."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, cast

from sandtop.agent.wire.limits import MAX_NAME
from sandtop.core.errors import InvalidRequest
from sandtop.core.store import SandboxConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME: Final = re.compile(rf"[a-z0-9][a-z0-9-]{{0,{MAX_NAME - 1}}}\Z")
_ENV_NAME: Final = re.compile(r"[^=\0]+\Z")
ACCELERATORS: Final = ("kvm", "tcg")
_NUMBERS: Final = {"cpus": (1, 64), "memory": (128, 1 << 22), "disk": (16, 1 << 24)}
"""Smallest and largest; memory and disk in MiB.

Of memory 112 MiB is what a guest still boots with (it leaves 30 MiB to programs); with 96 its kernel panics, with 64 it
resets without a word.
"""
_MAX_ENV_BYTES: Final = 128 * 1024


def check_name(name: object) -> str:
    """``name``, if a sandbox may have it. Raises `InvalidRequest`."""
    if not isinstance(name, str) or not NAME.match(name):
        shown = repr(name)[:80]
        raise InvalidRequest(
            f"{shown} cannot be a sandbox's name",
            hint=f"use 1 to {MAX_NAME} of a-z, 0-9 and -, not beginning with -",
        )
    return name


def config_from_request(request: Mapping[str, object]) -> SandboxConfig:
    """The configuration that a ``sandbox.create`` asks for; what it does not say gets the default.

    Raises `InvalidRequest` naming the field.
    """
    defaults = SandboxConfig()
    return SandboxConfig(
        image=_text(request, "image", defaults.image),
        cpus=_number(request, "cpus", defaults.cpus),
        memory=_number(request, "memory", defaults.memory),
        disk=_number(request, "disk", defaults.disk),
        network=_choice(request, "network", defaults.network, ("none", "user")),
        env=environment(request, "env"),
        workdir=_path(request, "workdir", defaults.workdir),
        shell=_path(request, "shell", defaults.shell),
        user=_text(request, "user", defaults.user),
        labels=environment(request, "labels"),
        ephemeral=request.get("ephemeral") is True,
        accelerator=accelerator_from_request(request),
    )


def accelerator_from_request(request: Mapping[str, object]) -> str:
    """The accelerator that a request wants; empty when it does not say. Raises `InvalidRequest`."""
    return _choice(request, "accelerator", "", ACCELERATORS)


def environment(request: Mapping[str, object], field: str, most: float = _MAX_ENV_BYTES) -> dict[str, str]:
    """The object of names to texts in ``field``; empty when it is not there. Raises `InvalidRequest`.

    ``most`` is how many characters they may have.
    """
    value = request.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRequest(f"{field} must be names with values, not {value!r:.40}")
    pairs = cast("dict[object, object]", value)
    for key, text in pairs.items():
        if not isinstance(key, str) or not _ENV_NAME.match(key) or not isinstance(text, str) or "\0" in text:
            raise InvalidRequest(f"{field}: {key!r:.40} = {text!r:.40} is not a name and a text")
    if sum(len(str(key)) + len(str(text)) for key, text in pairs.items()) > most:
        raise InvalidRequest(f"{field} is larger than {most} bytes")
    return cast("dict[str, str]", pairs)


def _text(request: Mapping[str, object], field: str, default: str) -> str:
    value = request.get(field)
    if value is None:
        return default
    if not isinstance(value, str) or not value or "\0" in value or len(value) > 4096:
        raise InvalidRequest(f"{field} must be a text, not {value!r:.60}")
    return value


def _path(request: Mapping[str, object], field: str, default: str) -> str:
    value = _text(request, field, default)
    if not value.startswith("/"):
        raise InvalidRequest(f"{field} must be an absolute path in the sandbox, not {value}")
    return value


def _choice(request: Mapping[str, object], field: str, default: str, choices: tuple[str, ...]) -> str:
    value = _text(request, field, default)
    if value != default and value not in choices:
        raise InvalidRequest(f"{field} must be {' or '.join(choices)}, not {value}")
    return value


def _number(request: Mapping[str, object], field: str, default: int) -> int:
    value = request.get(field)
    if value is None:
        return default
    low, high = _NUMBERS[field]
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        unit = "" if field == "cpus" else " MiB"
        raise InvalidRequest(f"{field} must be a whole number from {low} to {high}{unit}, not {value!r:.40}")
    return value
