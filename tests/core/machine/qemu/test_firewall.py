"""What gets from a guest's device into QEMU's network: frames to the kernel's filter, and to libslirp behind it."""

from __future__ import annotations

import socket
import struct
import subprocess
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

import pytest
from tests.core.egress.world import CORE, HOSTS, internet
from tests.settings import SLOWER

from sandtop.core.machine.qemu.firewall import frame_sockets

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.core.egress.world import Namespace

    from sandtop.core.machine.qemu.program import Qemu

MAC = bytes.fromhex("525400123456")
HEADER = b"\x52\x55\x0a\x00\x02\x02" + MAC
OWN, OWN6 = IPv4Address("10.0.2.15"), IPv6Address("fec0::15")
TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
PUBLIC, PUBLIC6 = "203.0.113.10", "2001:db8::1"
PROMPT = 20.0 * SLOWER
SO_DETACH_FILTER = 27


def _sum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    data += bytes(len(data) % 2)
    total = int(sum(struct.unpack(f"!{len(data) // 2}H", data)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(
    to: str,
    protocol: int,
    payload: bytes,
    *,
    fragment: int = 0,
    options: bytes = b"",
    kind: int | None = None,
) -> bytes:
    """A frame from the guest to the address ``to``; ``fragment`` is the field with flags and offset."""
    target = ip_address(to)
    if isinstance(target, IPv6Address):
        head = struct.pack("!IHBB", 0x60000000, len(payload), protocol, 64) + OWN6.packed + target.packed
        return HEADER + struct.pack("!H", kind or 0x86DD) + head + payload
    length = 20 + len(options)
    head = struct.pack(
        "!BBHHHBBH", 0x40 | length // 4, 0, length + len(payload), 1, fragment, 64, protocol, 0
    )
    head += OWN.packed + target.packed + options
    head = head[:10] + struct.pack("!H", _sum(head)) + head[12:]
    return HEADER + struct.pack("!H", kind or 0x0800) + head + payload


def ports(port: int) -> bytes:
    """The beginning of what TCP and UDP carry: the ports of both ends."""
    return struct.pack("!HHI", 40000, port, 8)


def syn(to: str, port: int, own: int) -> bytes:
    """A frame that begins a TCP connection."""
    target = ip_address(to)
    segment = struct.pack("!HHIIBBHHH", own, port, 1, 0, 0x50, 2, 65535, 0, 0)
    ends = (OWN6 if target.version == 6 else OWN).packed + target.packed
    checksum = _sum(ends + struct.pack("!II", len(segment), TCP) + segment)
    return packet(to, TCP, segment[:16] + struct.pack("!H", checksum) + segment[18:])


def datagram(to: str, port: int) -> bytes:
    return packet(to, UDP, struct.pack("!HHHH", 40000, port, 12, 0) + b"ping")


PASS = {
    "ARP": HEADER + struct.pack("!H", 0x0806) + bytes(28),
    "TCP": packet(PUBLIC, TCP, ports(80)),
    "a fragment": packet(PUBLIC, TCP, ports(80), fragment=100),
    "ICMP": packet(PUBLIC, ICMP, bytes(8)),
    "a private network": packet("192.168.1.1", TCP, ports(22)),
    "the network beside": packet("10.0.3.2", TCP, ports(22)),
    "the last unicast address": packet("223.255.255.255", UDP, ports(1)),
    "around the loopback": packet("126.255.255.255", TCP, ports(22)),
    "DNS": packet("10.0.2.3", UDP, ports(53)),
    "DNS by TCP": packet("10.0.2.3", TCP, ports(53)),
    "DNS behind options": packet("10.0.2.3", UDP, ports(53), options=b"\x01" * 40),
    "DHCP": packet("255.255.255.255", UDP, ports(67)),
    "DHCP, renewed": packet("10.0.2.2", UDP, ports(67)),
    "IPv6": packet(PUBLIC6, TCP, ports(80)),
    "IPv6, private": packet("fd00::1", TCP, ports(80)),
    "IPv6, NAT64": packet(f"64:ff9b::{PUBLIC}", TCP, ports(80)),
    "IPv6, ping": packet(PUBLIC6, ICMP6, b"\x80" + bytes(7)),
    "IPv6, DNS": packet("fec0::3", UDP, ports(53)),
    "IPv6, DNS by TCP": packet("fec0::3", TCP, ports(53)),
    "IPv6, who is there": packet("ff02::1:ff00:2", ICMP6, b"\x87" + bytes(7)),
    "IPv6, a router, please": packet("ff02::2", ICMP6, b"\x85" + bytes(7)),
    "IPv6, I am": packet("fe80::2", ICMP6, b"\x88" + bytes(7)),
    "64 KiB": packet(PUBLIC, TCP, ports(80) + bytes(65535 - 28)),
}
DROP = {
    "nothing": b"",
    "half a header": HEADER,
    "an address cut off": packet(PUBLIC, TCP, b"")[:33],
    "a port cut off": packet("10.0.2.3", UDP, b"\0\0\0"),
    "the gateway": packet("10.0.2.2", TCP, ports(80)),
    "the gateway, UDP": packet("10.0.2.2", UDP, ports(80)),
    "the gateway, TFTP": packet("10.0.2.2", UDP, ports(69)),
    "the gateway, port 67 by TCP": packet("10.0.2.2", TCP, ports(67)),
    "the gateway, ping": packet("10.0.2.2", ICMP, bytes(8)),
    "the gateway, a port in the options": packet("10.0.2.2", UDP, ports(80), options=ports(67)),
    "the network's other addresses": packet("10.0.2.99", TCP, ports(80)),
    "the network's own number": packet("10.0.2.0", TCP, ports(80)),
    "its broadcast": packet("10.0.2.255", UDP, ports(67)),
    "the resolver, another port": packet("10.0.2.3", TCP, ports(22)),
    "the resolver, UDP": packet("10.0.2.3", UDP, ports(5353)),
    "the resolver, a port in the options": packet("10.0.2.3", TCP, ports(22), options=ports(53)),
    "the resolver, a fragment": packet("10.0.2.3", UDP, ports(53), fragment=1),
    "the resolver, the first of some": packet("10.0.2.3", UDP, ports(53), fragment=0x2000),
    "the resolver, ping": packet("10.0.2.3", ICMP, ports(53)),
    "loopback": packet("127.0.0.1", TCP, ports(80)),
    "loopback's end": packet("127.255.255.255", UDP, ports(53)),
    "this host": packet("0.0.0.0", TCP, ports(80)),
    "this network": packet("0.1.2.3", TCP, ports(80)),
    "everybody": packet("255.255.255.255", TCP, ports(80)),
    "everybody, UDP": packet("255.255.255.255", UDP, ports(80)),
    "multicast": packet("224.0.0.251", UDP, ports(5353)),
    "reserved": packet("240.0.0.1", TCP, ports(80)),
    "a tag before it": HEADER + b"\x81\0\0\1" + packet("127.0.0.1", TCP, ports(80))[12:],
    "another protocol": packet(PUBLIC, TCP, ports(80), kind=0x88F8),
    "IPv6 called IPv4": packet("::1", TCP, ports(80), kind=0x0800)[:30] + bytes(40),
    "IPv6, its gateway": packet("fec0::2", TCP, ports(80)),
    "IPv6, its gateway by ping": packet("fec0::2", ICMP6, b"\x80" + bytes(7)),
    "IPv6, link-local": packet("fe80::2", TCP, ports(80)),
    "IPv6, the resolver": packet("fec0::3", TCP, ports(22)),
    "IPv6, like the resolver": packet("fec0:0:1::3", UDP, ports(53)),
    "IPv6, like the resolver too": packet("fec0::1:0:0:3", UDP, ports(53)),
    "IPv6, the resolver by another protocol": packet("fec0::3", 0, ports(53)),
    "IPv6, loopback": packet("::1", TCP, ports(80)),
    "IPv6, nowhere": packet("::", TCP, ports(80)),
    "IPv6, IPv4 in it": packet("::ffff:127.0.0.1", TCP, ports(80)),
    "IPv6, public IPv4 in it": packet(f"::ffff:{PUBLIC}", TCP, ports(80)),
    "IPv6, NAT64 to the loopback": packet("64:ff9b::127.0.0.1", TCP, ports(80)),
    "IPv6, NAT64 to the gateway": packet("64:ff9b::10.0.2.2", TCP, ports(80)),
    "IPv6, like NAT64": packet("64:ff9b:1::127.0.0.1", TCP, ports(80)),
    "IPv6, multicast": packet("ff02::fb", UDP, ports(5353)),
    "IPv6, multicast listeners": packet("ff02::16", ICMP6, b"\x8f" + bytes(7)),
}


@pytest.fixture
def ends() -> Generator[tuple[socket.socket, socket.socket]]:
    device, network = frame_sockets()
    with device, network:
        network.setblocking(False)
        yield device, network


@pytest.mark.parametrize("what", PASS)
def test_what_passes_does_so_whole(ends: tuple[socket.socket, socket.socket], what: str) -> None:
    device, network = ends
    device.send(PASS[what])
    assert network.recv(1 << 17) == PASS[what]


@pytest.mark.parametrize("what", DROP)
def test_what_does_not_pass_is_gone(ends: tuple[socket.socket, socket.socket], what: str) -> None:
    device, network = ends
    assert device.send(DROP[what]) == len(DROP[what])
    with pytest.raises(BlockingIOError):
        network.recv(1 << 17)


def test_what_comes_back_is_not_looked_at(ends: tuple[socket.socket, socket.socket]) -> None:
    device, network = ends
    network.send(DROP["loopback"])
    assert device.recv(1 << 17) == DROP["loopback"]


def test_whoever_has_the_sockets_cannot_take_the_filter_away(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    with pytest.raises(PermissionError):
        ends[1].setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)


# libslirp itself


@contextmanager
def network(qemu: Qemu, core: Namespace, end: socket.socket) -> Generator[None]:
    """A QEMU without a machine, whose user-mode network reads frames from ``end``."""
    words = [
        str(qemu.path), "-machine", "none", "-nodefaults", "-display", "none", "-no-user-config",
        "-netdev", f"dgram,id=filtered,local.type=fd,local.str={end.fileno()}", "-netdev", "user,id=user",
        "-netdev", "hubport,id=a,hubid=0,netdev=filtered", "-netdev", "hubport,id=b,hubid=0,netdev=user",
    ]  # fmt: skip
    process = core.do(lambda: subprocess.Popen(words, pass_fds=[end.fileno()], stderr=subprocess.DEVNULL))
    try:
        yield
    finally:
        process.kill()
        process.wait()


LOOPBACK = "10.0.2.2", "255.255.255.255", "127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1"
LOOPBACK6 = "fec0::2", "fec0::99", "ff02::1", "::1"
"""By which libslirp or the host's kernel finds the host's loopback: 127.0.0.1, and ::1."""


@pytest.mark.parametrize("ends", [socket.socketpair, frame_sockets], ids=["without", "with the filter"])
def test_frames_to_the_hosts_loopback(
    qemu: Qemu, ends: Callable[..., tuple[socket.socket, socket.socket]]
) -> None:
    """Without the filter each of them gets there, so what is seen with it is the filter's work."""
    with ExitStack() as stack:
        core, hosts = stack.enter_context(internet())
        device, end = ends() if ends is frame_sockets else ends(socket.AF_UNIX, socket.SOCK_DGRAM)
        stack.enter_context(device)
        with end:
            stack.enter_context(network(qemu, core, end))
        outside = stack.enter_context(hosts.listen(HOSTS["git.example.org"], 80))
        own = stack.enter_context(core.listen(CORE, 81))
        inside = stack.enter_context(core.do(lambda: socket.create_server(("127.0.0.1", 80))))
        inside6 = stack.enter_context(
            core.do(lambda: socket.create_server(("::1", 80), family=socket.AF_INET6))
        )
        heard = stack.enter_context(core.do(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
        heard.bind(("127.0.0.1", 80))
        for number, address in enumerate(LOOPBACK + LOOPBACK6):
            device.send(syn(address, 80, 41000 + number))
        for address in ("10.0.2.2", "127.0.0.1", "255.255.255.255"):
            device.send(datagram(address, 80))
        # libslirp connects as it reads, so these being there means that all before them was tried
        device.send(syn(CORE, 81, 42000))
        device.send(syn(HOSTS["git.example.org"], 80, 42001))
        for listener in (own, outside):
            listener.settimeout(PROMPT)
            listener.accept()[0].close()
        arrived = {listener: _waiting(listener) for listener in (inside, inside6)}
        datagrams = _datagrams(heard)
    if ends is frame_sockets:
        assert (arrived[inside], arrived[inside6], datagrams) == (0, 0, 0)
    else:
        assert (arrived[inside], arrived[inside6], datagrams) == (len(LOOPBACK), len(LOOPBACK6), 3)


def _waiting(listener: socket.socket) -> int:
    listener.setblocking(False)
    count = 0
    while True:
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def _datagrams(heard: socket.socket) -> int:
    heard.setblocking(False)
    count = 0
    while True:
        try:
            heard.recv(100)
        except BlockingIOError:
            return count
        count += 1
