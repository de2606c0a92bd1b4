"""What a guest may send into QEMU's user-mode network (libslirp), which turns it into connections of the host's.

libslirp connects to whatever address a packet says, and for 10.0.2.2, 255.255.255.255, ff02::1 and all of fec0::/64 to
the host's loopback (sotranslate_out in its socket.c, 4.7). A packet that a guest's root addresses to 127.0.0.1,
0.0.0.0, ::1 or ::ffff:127.0.0.1 goes there, too. QEMU has no option against it. So frames on their way from the guest's
device to libslirp pass a pair of datagram sockets (unix(7)) of QEMU's own, and the kernel runs a filter on the end that
libslirp reads: a program of classic BPF (socket(7), SO_ATTACH_FILTER), which needs no privilege, no process and no
core, and which whoever has the socket can neither change nor take away (SO_LOCK_FILTER). What comes back is not looked
at.

What passes: ARP; to the resolver port 53 by UDP and TCP; DHCP; and what goes to addresses that are neither loopback,
"this host" (0.0.0.0/8), the network's own, multicast nor reserved. Of IPv6 besides the resolver's port, neighbour
discovery, and addresses of 2000::/3 (global), fc00::/7 (private networks), and 64:ff9b::/96 with an IPv4 address that
would pass. Nothing else does, and no fragment where a port counts.
"""

from __future__ import annotations

import socket
import struct
from array import array
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

_SO_ATTACH_FILTER: Final = 26
_SO_LOCK_FILTER: Final = 44
"""Of asm-generic/socket.h; Python has no names for them."""

HOST: Final = IPv4Address("10.0.2.2")
RESOLVER: Final = IPv4Address("10.0.2.3")
RESOLVER6: Final = IPv6Address("fec0::3")

# opcodes (linux/bpf_common.h): load a byte, a half, a word; a half behind X; X from the length of an IPv4 header
_LDB, _LDH, _LDW, _LDH_X, _LDX_IHL = 0x30, 0x28, 0x20, 0x48, 0xB1
_AND, _TAX, _TXA = 0x54, 0x07, 0x87
_JA, _JEQ, _JGE, _JSET = 0x05, 0x15, 0x35, 0x45
_RET: Final = 0x06

# offsets in an Ethernet frame without tags: libslirp reads no others
_TYPE, _IP = 12, 14
_FRAGMENT, _PROTOCOL, _TARGET, _PORT = _IP + 6, _IP + 9, _IP + 16, _IP + 2
_NEXT_HEADER, _TARGET6, _MESSAGE6, _PORT6 = _IP + 6, _IP + 24, _IP + 40, _IP + 42
_TCP, _UDP, _ICMP6 = 6, 17, 58

_Step: TypeAlias = tuple[int, int] | tuple[int, int, str | None, str | None] | str
"""An instruction with its operand; one with the labels to go to when it holds and when not, None for the next; or a
label. Classic BPF jumps forward only."""

_PROTOCOLS: Final[tuple[_Step, ...]] = (
    (_LDH, _TYPE),
    (_JEQ, 0x0806, "pass", None),
    (_JEQ, 0x0800, "IPv4", None),
    (_JEQ, 0x86DD, None, "drop"),
    # IPv6: libslirp knows no headers between its own and the next protocol's
    (_LDB, _NEXT_HEADER),
    (_JEQ, _ICMP6, None, "IPv6 address"),
    (_LDB, _MESSAGE6),
    (_JGE, 133, None, "IPv6 address"),
    (_JGE, 137, None, "pass"),  # 133 to 136: solicitations and advertisements (RFC 4861, 4)
    "IPv6 address",
    (_LDW, _TARGET6),
    (_JEQ, 0xFEC00000, "IPv6 resolver", None),
    (_JEQ, 0x0064FF9B, "NAT64", None),
    (_AND, 0xFE000000),
    (_JEQ, 0xFC000000, "pass", None),
    (_AND, 0xE0000000),
    (_JEQ, 0x20000000, "pass", "drop"),
    "IPv6 resolver",
    (_LDW, _TARGET6 + 4),
    (_JEQ, 0, None, "drop"),
    (_LDW, _TARGET6 + 8),
    (_JEQ, 0, None, "drop"),
    (_LDW, _TARGET6 + 12),
    (_JEQ, int(RESOLVER6) & 0xFFFFFFFF, None, "drop"),
    (_LDB, _NEXT_HEADER),
    (_JEQ, _TCP, "IPv6 resolver's port", None),
    (_JEQ, _UDP, None, "drop"),
    "IPv6 resolver's port",
    (_LDH, _PORT6),
    (_JEQ, 53, "pass", "drop"),
    "NAT64",
    (_LDW, _TARGET6 + 4),
    (_JEQ, 0, None, "drop"),
    (_LDW, _TARGET6 + 8),
    (_JEQ, 0, None, "drop"),
    (_LDW, _TARGET6 + 12),
    (_JA, 0, "address", None),
)
_IPV4: Final[tuple[_Step, ...]] = (
    "IPv4",
    (_LDW, _TARGET),
    (_JEQ, int(RESOLVER), "resolver", None),
    (_JEQ, int(HOST), "DHCP", None),
    (_JEQ, int(IPv4Address("255.255.255.255")), "DHCP", None),
    "address",
    (_JGE, int(IPv4Address("224.0.0.0")), "drop", None),
    (_TAX, 0),
    (_AND, 0xFF000000),
    (_JEQ, int(IPv4Address("0.0.0.0")), "drop", None),
    (_JEQ, int(IPv4Address("127.0.0.0")), "drop", None),
    (_TXA, 0),
    (_AND, 0xFFFFFF00),
    (_JEQ, int(HOST) & 0xFFFFFF00, "drop", "pass"),
    "resolver",
    (_LDH, _FRAGMENT),
    (_JSET, 0x3FFF, "drop", None),  # there are more, or this is not the first
    (_LDX_IHL, _IP),
    (_LDB, _PROTOCOL),
    (_JEQ, _TCP, "resolver's port", None),
    (_JEQ, _UDP, None, "drop"),
    "resolver's port",
    (_LDH_X, _PORT),
    (_JEQ, 53, "pass", "drop"),
    "DHCP",
    (_LDH, _FRAGMENT),
    (_JSET, 0x3FFF, "drop", None),
    (_LDX_IHL, _IP),
    (_LDB, _PROTOCOL),
    (_JEQ, _UDP, None, "drop"),
    (_LDH_X, _PORT),
    (_JEQ, 67, "pass", "drop"),
)
_ENDS: Final[tuple[_Step, ...]] = ("pass", (_RET, 0xFFFFFFFF), "drop", (_RET, 0))
"""How much of the frame is let through. A load behind the frame's end lets none of it through."""


def _assembled(steps: tuple[_Step, ...]) -> bytes:
    """The program as the kernel wants it (struct sock_filter of linux/filter.h)."""
    places: dict[str, int] = {}
    instructions: list[tuple[int, int, str | None, str | None]] = []
    for step in steps:
        if isinstance(step, str):
            places[step] = len(instructions)
        else:
            instructions.append(step if len(step) == 4 else (*step, None, None))
    program = b""
    for number, (code, operand, then, otherwise) in enumerate(instructions):
        if code == _JA:
            assert then is not None
            program += struct.pack("=HBBI", code, 0, 0, places[then] - number - 1)
            continue
        yes, no = (0 if label is None else places[label] - number - 1 for label in (then, otherwise))
        program += struct.pack("=HBBI", code, yes, no, operand)
    return program


_PROGRAM: Final = array("B", _assembled(_PROTOCOLS + _IPV4 + _ENDS))


def frame_sockets() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets for frames: the end of the guest's device, and that of the network behind the filter.

    Raises OSError.
    """
    device, network = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        address, size = _PROGRAM.buffer_info()
        program = struct.pack("@HP", size // 8, address)  # struct sock_fprog
        network.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
        network.setsockopt(socket.SOL_SOCKET, _SO_LOCK_FILTER, 1)
    except BaseException:
        device.close()
        network.close()
        raise
    return device, network
