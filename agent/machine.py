"""What the agent does to the machine as a whole: give it its identity, and turn it off."""

from __future__ import annotations

import binascii
import fcntl
import os
import struct
import time

from . import values
from .users import read_small_file

TYPE_CHECKING = False  # see _frames
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

_ADD_ENTROPY: Final = 0x40085203  # RNDADDENTROPY, linux/random.h
_RESEED: Final = 0x5207  # RNDRESEEDCRNG
_MAX_ENTROPY: Final = 512
_MAX_NAME: Final = 63


class Identity:
    """The part of a ``configure`` that makes this machine unlike any other. Fields that are null change nothing."""

    __slots__ = ("clock_ns", "entropy", "hostname", "machine_id")

    def __init__(self, message: Mapping[str, object]) -> None:
        """Raises InvalidMessage."""
        self.hostname = values.optional_text(message, "hostname")
        if self.hostname is not None and not _is_host_name(self.hostname):
            raise values.InvalidMessage("hostname must be letters, digits and hyphens, at most 63")
        self.machine_id = values.optional_text(message, "machine_id")
        if self.machine_id is not None and not (self.machine_id.isascii() and self.machine_id.isalnum()):
            raise values.InvalidMessage("machine_id must be hexadecimal digits")
        self.entropy = _decode(values.optional_text(message, "entropy") or "")
        self.clock_ns = (
            None if message.get("clock_ns") is None else values.integer(message, "clock_ns", 0, 1 << 62)
        )


class Machine:
    """The machine that the agent is process 1 of.

    ``devices`` is a descriptor of the /dev outside the sandbox, which the sandbox's root cannot change.
    """

    def __init__(self, devices: int, etc: str = "/etc") -> None:
        self._devices = devices
        self._etc = etc

    def identify(self, identity: Identity) -> None:
        """Take on ``identity``: randomness and time first, which a copy of this machine shares. Raises OSError."""
        if identity.entropy:
            self._stir(identity.entropy)
        if identity.clock_ns is not None:
            time.clock_settime_ns(time.CLOCK_REALTIME, identity.clock_ns)
        if identity.hostname is not None:
            self._set_hostname(identity.hostname)
            replace(f"{self._etc}/hostname", f"{identity.hostname}\n")
            hosts = read_small_file(f"{self._etc}/hosts")
            replace(f"{self._etc}/hosts", name_host(hosts, identity.hostname))
        if identity.machine_id is not None:
            replace(f"{self._etc}/machine-id", f"{identity.machine_id}\n")

    def _set_hostname(self, name: str) -> None:
        with open("/proc/sys/kernel/hostname", "w") as file:
            file.write(name)

    def _stir(self, entropy: bytes) -> None:
        fd = os.open("urandom", os.O_WRONLY, dir_fd=self._devices)
        try:
            fcntl.ioctl(fd, _ADD_ENTROPY, struct.pack("ii", 8 * len(entropy), len(entropy)) + entropy)
            fcntl.ioctl(fd, _RESEED)
        finally:
            os.close(fd)


_MARK: Final = "# this sandbox"


def name_host(hosts: str, name: str) -> str:
    """The text of /etc/hosts with the line for this host, and without one that was written before."""
    lines = [line for line in hosts.split("\n") if line and not line.endswith(_MARK)]
    if not any("localhost" in line.split() for line in lines):
        lines.append("127.0.0.1\tlocalhost")
    return "\n".join([*lines, f"127.0.1.1\t{name}\t{_MARK}", ""])


def replace(path: str, content: str) -> None:
    """Put a file of the image in place, whatever lies there now: a FIFO must not hold the agent up. Raises OSError."""
    fresh = f"{path}.sandtop"
    if os.path.lexists(fresh):
        os.unlink(fresh)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    try:
        os.write(fd, os.fsencode(content))
    finally:
        os.close(fd)
    os.rename(fresh, path)


def _is_host_name(name: str) -> bool:
    return (
        0 < len(name) <= _MAX_NAME and name.isascii() and name.replace("-", "a").isalnum() and name[0] != "-"
    )


def _decode(value: str) -> bytes:
    try:
        entropy = binascii.a2b_base64(value.encode("ascii"), strict_mode=True)
    except ValueError:
        raise values.InvalidMessage("entropy must be base64") from None
    if len(entropy) > _MAX_ENTROPY:
        raise values.InvalidMessage(f"entropy must be at most {_MAX_ENTROPY} bytes")
    return entropy
