"""The user that a machine runs as.

A core that is root gives every machine a uid and gid of its own, so that a guest that breaks out of QEMU owns
nothing: no file, no other machine, no core. The number is derived from the sandbox's uuid, in a range that
systemd's UIDS-GIDS leaves unused (0x70000000 to 0x7FFDFFFF), so it needs no account and cannot be 0 or nobody.
Two sandboxes share one with a probability of 1 in 268 million; all that would be lost is that isolation between the
two.

Where that range is not mapped, as in a rootless container, a range within the usual first 65536 serves. Where that
is not mapped either, and for a core that is not root, the machine runs as the core's own user.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from sandtop.core.errors import MachineError

KVM: Final = Path("/dev/kvm")

UIDS: Final = range(0x70000000, 0x7FFE0000)
"""The first choice of uids, one for each machine, where the host's user namespace maps them."""

NAMESPACE_UIDS: Final = range(50000, 60000)
"""The second choice: above what a distribution's accounts use, below systemd's dynamic users (61184)."""


def machine_uid(uuid: str) -> int | None:
    """The uid, and gid, for the machine of this sandbox; None when it runs as the core's own user."""
    if os.geteuid() != 0:
        return None
    digest = int.from_bytes(hashlib.sha256(uuid.encode()).digest()[:8], "big")
    for candidates in (UIDS, NAMESPACE_UIDS):
        if _maps("uid_map", candidates) and _maps("gid_map", candidates):
            return candidates[digest % len(candidates)]
    return None


def _maps(which: str, candidates: range) -> bool:
    """Whether our user namespace maps all of ``candidates`` (user_namespaces(7))."""
    for line in Path("/proc/self", which).read_text().splitlines():
        inside, _outside, count = (int(field) for field in line.split())
        if inside <= candidates[0] and candidates[-1] < inside + count:
            return True
    return False


def kvm_groups() -> list[int]:
    """The supplementary groups that a machine's own user needs to open /dev/kvm, which QEMU 7.2 opens by its path.

    Raises `MachineError` when no group would do.
    """
    try:
        found = KVM.stat()
    except OSError as error:
        raise MachineError(f"{KVM}: {error.strerror}") from error
    if found.st_mode & 0o006 == 0o006:
        return []
    if found.st_mode & 0o060 == 0o060 and found.st_gid != 0:
        return [found.st_gid]
    raise MachineError(
        f"{KVM} is for root alone, and machines run as users of their own",
        hint=f"give it a group: chgrp kvm {KVM} && chmod 660 {KVM}",
    )
