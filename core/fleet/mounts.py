"""What is mounted in a sandbox: checked when it is made."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import InvalidRequest
from sandtop.core.store import MountRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.core.contract.mount import Mount

MOST: Final = 32
"""Mounts of one sandbox."""
_KINDS: Final[frozenset[str]] = frozenset({"bind"})
"""What this core can mount."""


def checked(mounts: Sequence[Mount]) -> tuple[MountRow, ...]:
    """What is kept of ``mounts``, in the order in which they are mounted: what is below another comes after it.

    Raises `InvalidRequest`.
    """
    if len(mounts) > MOST:
        raise InvalidRequest(f"mounts: {len(mounts)} of them are too many", hint=f"{MOST} at most")
    rows: dict[str, MountRow] = {}
    for mount in mounts:
        row = _checked(mount)
        if row.target in rows:
            raise InvalidRequest(
                f"mounts: two of them are at {row.target}", hint="give each a place of its own"
            )
        rows[row.target] = row
    return tuple(sorted(rows.values(), key=lambda row: row.target.count("/")))


def _checked(mount: Mount) -> MountRow:
    target = "/" + posixpath.normpath(mount.target).lstrip("/")
    about = f"the mount at {target}"
    if mount.type not in _KINDS:
        raise InvalidRequest(f"{about}: this core cannot mount a {mount.type}")
    if (mount.source is None) is not (mount.type == "tmpfs"):
        words = "a tmpfs has no source" if mount.type == "tmpfs" else f"a {mount.type} has a source"
        raise InvalidRequest(f"{about}: {words}")
    if mount.type != "tmpfs" and (mount.size is not None or mount.mode is not None):
        raise InvalidRequest(f"{about}: a size and a mode are a tmpfs's alone")
    if mount.type == "bind" and not (mount.source or "").startswith("/"):
        raise InvalidRequest(f"{about}: {mount.source!r:.60} is no absolute path of the host")
    return MountRow(mount.type, target, mount.source, mount.read_only, mount.size, mount.mode)
