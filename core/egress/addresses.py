"""Addresses that no name of the internet has a reason to lead to: the host's own, its networks', and none at all.

A name is whoever's who owns it, and may lead anywhere: to the host's loopback, to a machine beside it, to where clouds
keep their secrets. So what a name leads to is looked at each time before a connection is made.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    Address = IPv4Address | IPv6Address
    Network = IPv4Network | IPv6Network

HOST: Final = IPv4Address("10.0.2.2")
"""Where a sandbox finds the loopback of its host, as with the network ``user``: nowhere, unless that is allowed."""
LOOPBACK: Final = IPv4Address("127.0.0.1")
OWN: Final = "10.0.2.15"
RESOLVER: Final = "10.0.2.3"
"""The addresses that a sandbox with a way out has itself."""
NAMES: Final = IPv4Network("198.18.0.0/15")
"""The addresses that the agent of such a sandbox gives to names: one to each, at its first question (RFC 2544's)."""

# IANA's special-purpose address registries (RFC 6890), less the blocks for documentation, which are nobody's
_V4: Final = {
    IPv4Network(HOST): "the host's own loopback",
    IPv4Network("0.0.0.0/8"): "no host's",
    IPv4Network("10.0.0.0/8"): "of a private network",
    IPv4Network("100.64.0.0/10"): "of a provider's own network",
    IPv4Network("127.0.0.0/8"): "the host's loopback",
    IPv4Network("169.254.0.0/16"): "link-local, where clouds keep their metadata",
    IPv4Network("172.16.0.0/12"): "of a private network",
    IPv4Network("192.0.0.0/24"): "no host's",
    IPv4Network("192.168.0.0/16"): "of a private network",
    NAMES: "for tests of networks",
    IPv4Network("224.0.0.0/4"): "of many hosts (multicast)",
    IPv4Network("240.0.0.0/4"): "no host's",
}
_V6: Final = {
    IPv6Network("::1/128"): "the host's loopback",
    IPv6Network("fc00::/7"): "of a private network",
    IPv6Network("fe80::/10"): "link-local",
    IPv6Network("ff00::/8"): "of many hosts (multicast)",
    IPv6Network("2001::/32"): "of a tunnel (Teredo)",
    IPv6Network("2002::/16"): "of a tunnel (6to4)",
}
_PUBLIC_V6: Final = IPv6Network("2000::/3")


def parsed(text: str) -> Address | None:
    """The address that ``text`` is, an IPv4 address in an IPv6 one taken out of that; None when it is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def block_of(address: Address) -> Network | None:
    """The special block that ``address`` is of, itself alone where it is of no other; None for one of the internet."""
    if isinstance(address, IPv4Address):
        return next((block for block in _V4 if address in block), None)
    for block in _V6:
        if address in block:
            return block
    return None if address in _PUBLIC_V6 else IPv6Network(address)


def what_is(address: Address) -> str | None:
    """What ``address`` is instead of one of the internet, in words that follow "which is"; None for one of it."""
    block = block_of(address)
    if isinstance(block, IPv4Network):
        return _V4[block]
    if block is not None:
        return _V6.get(block, "not of the internet")
    return "the host itself" if _is_here(address) else None


def _is_here(address: Address) -> bool:
    """Whether this host has ``address``: then its kernel lets a socket have it, too."""
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
