"""What has the guest's kernel hand the TCP connections that leave this machine to the agent.

A machine with a way out has two addresses on its loopback, its own and its resolver's, and no other device. A rule of
its routing takes TCP, and nothing else, to a table in which every address is this machine's (a route of the type local,
ip-route(8)). So whatever a program connects to arrives here, where a program in the kernel, of the type sk_lookup
(Documentation/bpf/prog_sk_lookup.rst), hands it to one listening socket. What that accepts has the address and port
that were meant as its own. What is not TCP has no route, and is refused by the guest's kernel at once.
"""

from __future__ import annotations

import _socket
import ctypes
import os
from _struct import pack

from .egress import Egress  # now: once the agent is in the sandbox's root, there is nothing to import from

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from ..connections import Connections
    from ..loop import Loop

_DNS: Final = 53
_BACKLOG: Final = 1024
_TABLE: Final = 100
_IP_TRANSPARENT: Final = 19  # linux/in.h
"""Its connections may have addresses that are on no device; accepted ones have it, too."""

# linux/netlink.h, rtnetlink.h, if_addr.h, fib_rules.h
_REQUEST, _ACKNOWLEDGE, _EXCLUSIVE, _CREATE = 1, 4, 0x200, 0x400
_NEW_ADDRESS, _NEW_ROUTE, _NEW_RULE = 20, 24, 32
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_OIF, _RTA_PREFSRC = 4, 7
_FRA_PRIORITY, _FRA_TABLE, _FRA_IP_PROTO = 6, 15, 22
_SCOPE_HOST: Final = 254
_RTN_LOCAL: Final = 2
_BOOT: Final = 3  # RTPROT_BOOT
_TO_TABLE: Final = 1

# linux/bpf.h
_BPF: Final = 321  # the number of bpf(2) on x86-64
_MAP_CREATE, _MAP_UPDATE, _PROG_LOAD, _LINK_CREATE = 0, 2, 5, 28
_SOCKMAP: Final = 15
_SK_LOOKUP_PROGRAM, _SK_LOOKUP = 30, 36
_LOOK_UP_ELEMENT, _RELEASE, _ASSIGN = 1, 86, 124
_FAMILY, _PROTOCOL, _ADDRESS = 8, 12, 40  # offsets in struct bpf_sk_lookup
_ATTRIBUTES: Final = 128


class WayOut:
    """The sockets of a machine with a way out.

    Attributes:
        listener: accepts every TCP connection that leaves this machine.
        resolver: gets what programs ask the resolver.
    """

    def __init__(self, listener: _socket.socket, resolver: _socket.socket) -> None:
        self.listener = listener
        self.resolver = resolver

    def begin(self, loop: Loop, connections: Connections, say: Callable[[dict[str, object]], bool]) -> Egress:
        """Take what comes from now on; see `Egress`."""
        return Egress(loop, self, connections, say)


def make_way_out(own: str, resolver: str) -> WayOut:
    """Make it in this network namespace, whose loopback is up. Raises OSError."""
    _make_routes(own, resolver)
    nonblocking = _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC
    asked = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | nonblocking)
    asked.bind((resolver, _DNS))
    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM | nonblocking)
    listener.setsockopt(_socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
    listener.bind((resolver, _DNS))  # a port that no program of the sandbox misses
    listener.listen(_BACKLOG)
    _hand_over(listener, own)
    return WayOut(listener, asked)


# addresses and routes


def _make_routes(own: str, resolver: str) -> None:
    loopback = _socket.if_nametoindex("lo")
    source = _socket.inet_aton(own)
    with_ = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, 0)
    try:
        for address in (source, _socket.inet_aton(resolver)):
            head = pack("=BBBBI", _socket.AF_INET, 32, 0, 0, loopback)
            _ask(with_, _NEW_ADDRESS, head, (_IFA_LOCAL, address), (_IFA_ADDRESS, address))
        head = pack("=BBBBBBBBI", _socket.AF_INET, 0, 0, 0, _TABLE, _BOOT, _SCOPE_HOST, _RTN_LOCAL, 0)
        _ask(with_, _NEW_ROUTE, head, (_RTA_OIF, pack("=I", loopback)), (_RTA_PREFSRC, source))
        head = pack("=BBBBBBBBI", _socket.AF_INET, 0, 0, 0, _TABLE, 0, 0, _TO_TABLE, 0)
        _ask(
            with_, _NEW_RULE, head,
            (_FRA_PRIORITY, pack("=I", 100)),
            (_FRA_IP_PROTO, pack("=B", _socket.IPPROTO_TCP)),
            (_FRA_TABLE, pack("=I", _TABLE)),
        )  # fmt: skip
    finally:
        with_.close()


def _ask(netlink: _socket.socket, kind: int, head: bytes, *attributes: tuple[int, bytes]) -> None:
    body = head
    for number, value in attributes:
        body += pack("=HH", 4 + len(value), number) + value + bytes(-len(value) % 4)
    flags = _REQUEST | _ACKNOWLEDGE | _EXCLUSIVE | _CREATE
    netlink.send(pack("=IHHII", 16 + len(body), kind, flags, kind, 0) + body)
    code = -int.from_bytes(netlink.recv(4096)[16:20], "little", signed=True)  # struct nlmsgerr
    if code:
        raise OSError(code, os.strerror(code))


# the program in the kernel


def _hand_over(listener: _socket.socket, own: str) -> None:
    """Have the kernel look no further than ``listener`` for what is meant for another machine."""
    sockets = _bpf(_MAP_CREATE, pack("=IIIII", _SOCKMAP, 4, 8, 1, 0))
    key, value = ctypes.create_string_buffer(4), ctypes.create_string_buffer(pack("=Q", listener.fileno()), 8)
    _bpf(_MAP_UPDATE, pack("=IIQQQ", sockets, 0, ctypes.addressof(key), ctypes.addressof(value), 0))
    code = _program(sockets, int.from_bytes(_socket.inet_aton(own), "little", signed=True))
    body, licence = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"GPL")
    program = _bpf(
        _PROG_LOAD,
        pack(
            "=IIQQIIQII16sII",
            _SK_LOOKUP_PROGRAM, len(code) // 8, ctypes.addressof(body), ctypes.addressof(licence),
            0, 0, 0, 0, 0, b"egress", 0, _SK_LOOKUP,
        ),
    )  # fmt: skip
    namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _bpf(
            _LINK_CREATE, pack("=IIII", program, namespace, _SK_LOOKUP, 0)
        )  # holds for as long as it is open
    finally:
        for fd in (namespace, program, sockets):
            os.close(fd)


def _bpf(command: int, attributes: bytes) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attributes, _ATTRIBUTES)
    result = int(library.syscall(_BPF, command, buffer, _ATTRIBUTES))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _program(sockets: int, own: int) -> bytes:
    """Hand TCP over IPv4 that is neither for 127.0.0.0/8 nor for ``own`` to the socket in the map ``sockets``.

    Registers and calls are in Documentation/bpf/instruction-set.rst.
    """
    copy, load, take, jump_if, jump_unless, mask = 0xBF, 0x61, 0xB7, 0x16, 0x56, 0x57
    call = 0x85
    return _assembled(
        (copy, 6, 1, 0),  # the context
        (load, 2, 1, _FAMILY), (jump_unless, 2, _socket.AF_INET),
        (load, 2, 1, _PROTOCOL), (jump_unless, 2, _socket.IPPROTO_TCP),
        (load, 2, 1, _ADDRESS), (jump_if, 2, own),
        (mask, 2, 0, 0, 0xFF), (jump_if, 2, 127),  # the first byte: the address is in the network's order
        (0x62, 10, 0, -4),  # the key 0, on the stack
        (0x18, 1, 1, 0, sockets), (0,), (copy, 2, 10), (0x07, 2, 0, 0, -4), (call, 0, 0, 0, _LOOK_UP_ELEMENT),
        (0x15, 0, 0),
        (copy, 7, 0), (copy, 1, 6), (copy, 2, 7), (take, 3), (call, 0, 0, 0, _ASSIGN),
        (copy, 1, 7), (call, 0, 0, 0, _RELEASE),
        (take, 0, 0, 0, 1), (0x95,),  # SK_PASS
    )  # fmt: skip


def _assembled(*instructions: Sequence[int]) -> bytes:
    """``(code, register, source, offset, number)``, of which the end may be left out.

    A jump is ``(code, register, number)``, and leads to the last two.
    """
    code = b""
    for place, (operation, *rest) in enumerate(instructions):
        if operation in (0x15, 0x16, 0x56):
            register, number = rest
            rest = [register, 0, len(instructions) - 2 - place - 1, number]
        register, source, offset, number = [*rest, 0, 0, 0, 0][:4]
        code += pack("=BBhi", operation, register | source << 4, offset, number)
    return code
