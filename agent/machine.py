"""The identity of the machine: name, hosts, machine-id, random seed and clock; and what /dev and /etc need."""

from __future__ import annotations

import binascii
import fcntl
import os
import stat
import struct
import time

from .replacing import replace, write_to
from .trust import trust
from .users import read_small_file
from .wire import values
from .wire.limits import MAX_NAME

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

_ADD_ENTROPY: Final = 0x40085203  # RNDADDENTROPY, linux/random.h
_RESEED: Final = 0x5207  # RNDRESEEDCRNG
_MAX_ENTROPY: Final = 512
_EGRESS: Final = b"sandtop.egress="
_NETWORK: Final = b"sandtop.network=", _EGRESS
"""The kernel's arguments with addresses, the last of which is the resolver's: ADDRESS,NETMASK,GATEWAY,RESOLVER of a
network device, and ADDRESS,RESOLVER of a way out."""
_BLOCK: Final = 512
"""Bytes that stat(2) counts blocks in."""
_LINKS: Final = {
    "core": "/proc/kcore",
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}
"""What every /dev has beside the devices (udev(7), the runtime specification of OCI, config-linux.md)."""


class Identity:
    """The part of a ``configure`` that tells this machine from others. Fields that are null change nothing."""

    __slots__ = ("clock_ns", "entropy", "hostname", "machine_id")

    def __init__(self, message: Mapping[str, object]) -> None:
        """Raises InvalidMessage."""
        self.hostname = values.optional_text(message, "hostname")
        if self.hostname is not None and not _is_host_name(self.hostname):
            raise values.InvalidMessage(f"hostname must be letters, digits and hyphens, at most {MAX_NAME}")
        self.machine_id = values.optional_text(message, "machine_id")
        if self.machine_id is not None and not (self.machine_id.isascii() and self.machine_id.isalnum()):
            raise values.InvalidMessage("machine_id must be hexadecimal digits")
        self.entropy = _decode(values.optional_text(message, "entropy") or "")
        self.clock_ns = (
            None if message.get("clock_ns") is None else values.integer(message, "clock_ns", 0, 1 << 62)
        )


class Machine:
    """The machine that the agent is process 1 of.

    ``devices`` is a descriptor of the /dev outside the sandbox, which the sandbox's root cannot change. ``resolver`` is
    the text of resolv.conf, where this machine has a network.
    """

    def __init__(self, devices: int, etc: str = "/etc", resolver: str | None = None) -> None:
        self._devices = devices
        self._etc = etc
        self._resolver = resolver

    def prepare(self) -> None:
        """Write the files that `identify` writes, as short as any can be. What cannot be written is left.

        A machine that goes on from this one as a template then only overwrites them. To make new files in a file system
        that nobody has written to yet was a tenth of all code that the kernel ran in such a machine until its first
        program, and under emulation code costs time and memory when it runs for the first time.
        """
        self._write_all(self._files("x", "0" * 32))

    def identify(self, identity: Identity) -> list[str]:
        """Take on ``identity``. Raises OSError.

        Random seed and time come first: all machines that go on from one template begin with the same. What could not
        be written is returned, a sentence for each: a full disk, or something else in the place of a file, does not
        keep the machine from starting.
        """
        if identity.entropy:
            self._stir(identity.entropy)
        if identity.clock_ns is not None:
            time.clock_settime_ns(time.CLOCK_REALTIME, identity.clock_ns)
        files = self._files(identity.hostname, identity.machine_id)
        if identity.hostname is not None:
            files["/proc/sys/kernel/hostname"] = identity.hostname
        return self._write_all(files) if files else []

    def trust(self, certificate: str) -> list[str]:
        """Have programs trust ``certificate``, in PEM; what could not be written is returned as by `identify`."""
        return trust(certificate, os.path.dirname(self._etc))

    def _files(self, hostname: str | None, machine_id: str | None) -> dict[str, str]:
        files: dict[str, str] = {}
        if hostname is not None:
            files[f"{self._etc}/hostname"] = f"{hostname}\n"
            files[f"{self._etc}/hosts"] = name_host(read_small_file(f"{self._etc}/hosts"), hostname)
            if self._resolver is not None:
                files[f"{self._etc}/resolv.conf"] = self._resolver
        if machine_id is not None:
            files[f"{self._etc}/machine-id"] = f"{machine_id}\n"
        return files

    def _write_all(self, files: Mapping[str, str]) -> list[str]:
        warnings: list[str] = []
        without = self._make_etc()
        for path, content in files.items():
            try:
                if path.startswith("/proc/"):
                    _write(path, content)
                elif without is not None:
                    raise without
                # what is right already needs no room on a full disk
                elif read_small_file(path) != content and not overwrite(path, content):
                    replace(path, content)
            except OSError as error:
                warnings.append(f"{path} could not be written: {error.strerror}")
        return warnings

    def _make_etc(self) -> OSError | None:
        """Make /etc where there is none; the error when that fails, else None."""
        try:
            if not os.path.lexists(self._etc):
                os.mkdir(self._etc, 0o755)
        except OSError as error:
            return error
        try:
            if not os.path.lexists(f"{self._etc}/mtab"):
                os.symlink("/proc/mounts", f"{self._etc}/mtab")
        except OSError:
            return None  # few programs miss it, and the files in it that matter are reported one by one
        return None

    def _stir(self, entropy: bytes) -> None:
        fd = os.open("urandom", os.O_WRONLY, dir_fd=self._devices)
        try:
            fcntl.ioctl(fd, _ADD_ENTROPY, struct.pack("ii", 8 * len(entropy), len(entropy)) + entropy)
            fcntl.ioctl(fd, _RESEED)
        finally:
            os.close(fd)


def furnish(dev: str = "/dev") -> None:
    """Make the links that programs expect in ``dev`` and that devtmpfs does not have. Raises OSError."""
    for name, target in _LINKS.items():
        os.symlink(target, f"{dev}/{name}")


def resolver() -> str | None:
    """The text of resolv.conf, when this machine has a network."""
    with open("/proc/cmdline", "rb") as file:
        return resolver_of(file.read())


def resolver_of(arguments: bytes) -> str | None:
    """The text of resolv.conf on a machine whose kernel has these ``arguments``; None without a network."""
    for word in arguments.split():
        if word.startswith(_NETWORK):
            return f"nameserver {word.rpartition(b',')[2].decode('ascii')}\n"
    return None


def egress_of(arguments: bytes) -> tuple[str, str] | None:
    """A machine's own address and its resolver's, where its kernel's ``arguments`` give it a way out; else None."""
    for word in arguments.split():
        if word.startswith(_EGRESS):
            own, _, resolver = word[len(_EGRESS) :].decode("ascii").partition(",")
            return own, resolver
    return None


_MARK: Final = "# this sandbox"


def name_host(hosts: str, name: str) -> str:
    """The text of /etc/hosts with the line for this host, and without one that was written before."""
    lines = [line for line in hosts.split("\n") if line and not line.endswith(_MARK)]
    if not any("localhost" in line.split() for line in lines):
        lines += ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
    return "\n".join([*lines, f"127.0.1.1\t{name}\t{_MARK}", ""])


def overwrite(path: str, content: str) -> bool:
    """Write over the file ``path`` in the sandbox, where that is safe and quick. Raises OSError.

    False, and nothing is written, unless it is a file of one name that is no longer than ``content``, for which it has
    room on the disk already. A machine that dies meanwhile leaves a part; the next start writes it again.
    """
    data = os.fsencode(content)
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return False
    plain = stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1
    if not plain or not facts.st_size <= len(data) <= facts.st_blocks * _BLOCK:
        return False
    # what took its place since must neither block the agent nor lead elsewhere
    fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        write_to(fd, content)
    finally:
        os.close(fd)
    return True


def _write(path: str, content: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        write_to(fd, content)
    finally:
        os.close(fd)


def _is_host_name(name: str) -> bool:
    return (
        0 < len(name) <= MAX_NAME and name.isascii() and name.replace("-", "a").isalnum() and name[0] != "-"
    )


def _decode(value: str) -> bytes:
    try:
        entropy = binascii.a2b_base64(value.encode("ascii"), strict_mode=True)
    except ValueError:
        raise values.InvalidMessage("entropy must be base64") from None
    if len(entropy) > _MAX_ENTROPY:
        raise values.InvalidMessage(f"entropy must be at most {_MAX_ENTROPY} bytes")
    return entropy
