"""The allow-list: which names and addresses a sandbox may connect to, and on which ports."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import TYPE_CHECKING, Final

from sandtop.core.egress.addresses import block_of
from sandtop.core.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    Address = IPv4Address | IPv6Address
    Network = IPv4Network | IPv6Network

WEB_PORTS: Final = (443, 80)
"""The ports of a rule that names a host and no port: HTTPS and HTTP, in which a client names the host that it means."""
MOST_RULES: Final = 1000
MOST_NAME: Final = 253
"""Characters of a host's name (RFC 1035, 2.3.4)."""
_MOST_TEXT: Final = 300
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z")
_NUMBER: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)\Z")
_NUMBERS: Final = re.compile(r"[0-9.]+\Z")
_EXAMPLES: Final = "such as git.example.org, '*.example.com:443', 192.0.2.0/24:22 or '[2001:db8::1]:22'"


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the list.

    Attributes:
        name: a host's name, ``*.`` and a name for all that end in it, or ``*`` for all; None of a rule about addresses.
        network: the addresses; None of a rule about names.
        port: None for all ports of addresses, and for `WEB_PORTS` of a name.
    """

    name: str | None
    network: Network | None
    port: int | None

    def __str__(self) -> str:
        """The rule as people write it, and as `parse` reads it."""
        if self.network is None:
            host = self.name or ""
        else:
            whole = self.network.prefixlen == self.network.max_prefixlen
            host = str(self.network.network_address if whole else self.network)
            if self.network.version == 6 and self.port is not None:
                host = f"[{host}]"
        return host if self.port is None else f"{host}:{self.port}"

    def has_name(self, name: str) -> bool:
        """Whether it is about ``name``, on whatever port."""
        if self.name is None or self.name == "*":
            return self.name is not None
        if self.name.startswith("*."):
            return name.endswith(self.name[1:]) and len(name) > len(self.name) - 1
        return name == self.name

    def has_port(self, port: int) -> bool:
        if self.port is not None:
            return port == self.port
        return self.network is not None or port in WEB_PORTS


def parse(text: str) -> Rule:
    """The rule that ``text`` is. Raises `InvalidRequest`."""
    if "//" in text or "@" in text:
        raise _wrong(text, "only the host and a port are meant, not a URL")
    host, port = _parted(text.strip())
    if not host or len(text) > _MOST_TEXT:
        raise _wrong(text, "it names no host")
    if ":" in host or "/" in host or _NUMBERS.match(host):
        try:
            return Rule(None, ip_network(host), port)
        except ValueError as error:
            raise _wrong(text, str(error)) from None
    return Rule(_name(text, host), None, port)


def _parted(text: str) -> tuple[str, int | None]:
    host, colon, number = text.rpartition(":")
    if text.startswith("["):
        host, bracket, number = text[1:].rpartition("]")
        if not bracket or (number and not number.startswith(":")):
            raise _wrong(text, "the bracket of an IPv6 address is not closed before its port")
        colon, number = number[:1], number[1:]
    elif text.count(":") != 1:
        return text, None  # no port, or an IPv6 address
    if not colon:
        return host, None
    if not (number.isascii() and number.isdecimal() and 0 < int(number[:6]) < 65536):
        raise _wrong(text, f"{number[:20]!r} is no port, which are 1 to 65535")
    return host, int(number)


def is_name(text: str) -> bool:
    """Whether a host can have the name ``text``, in lower case and without a dot behind it.

    None ends in a number: resolvers take such for an address that is written in another way (inet_aton(3)).
    """
    labels = text.split(".")
    return (
        len(text) <= MOST_NAME
        and all(_LABEL.match(label) for label in labels)
        and not _NUMBER.match(labels[-1])
    )


def _name(text: str, host: str) -> str:
    if host == "*":
        return host
    star = "*." if host.startswith("*.") else ""
    try:
        plain = host[len(star) :].rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise _wrong(text, "it is no name of a host") from None
    if not is_name(plain):
        raise _wrong(
            text,
            "a name has letters, digits and hyphens between its dots, no number at its end, a * only before the first",
        )
    return star + plain


def _wrong(text: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{text[:80]!r} cannot be allowed: {why}", hint=_EXAMPLES)


class Rules:
    """A list as a whole. It is never changed: another list is another object."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(rules)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Rules:
        """The list with these lines. Raises `InvalidRequest`."""
        return cls(parse(text) for text in texts)

    def knows(self, name: str) -> bool:
        """Whether ``name`` is allowed on any port, so that it may be asked for."""
        return any(rule.has_name(name) for rule in self._rules)

    def ports(self, name: str) -> list[int]:
        """Those on which ``name`` is allowed."""
        found: set[int] = set()
        for rule in self._rules:
            if rule.has_name(name):
                found.update(WEB_PORTS if rule.port is None else (rule.port,))
        return sorted(found)

    def allows_name(self, name: str, port: int) -> bool:
        return any(rule.has_name(name) and rule.has_port(port) for rule in self._rules)

    def allows_address(self, address: Address, port: int) -> bool:
        """Whether a rule is about ``address``. One that is of a special block (`addresses`) has to be meant: a rule
        that is about more than that block does not allow it."""
        block = block_of(address)
        for rule in self._rules:
            network = rule.network
            if network is None or not rule.has_port(port) or address not in network:
                continue
            if block is None or _within(network, block):
                return True
        return False


def _within(network: Network, block: Network) -> bool:
    return network.version == block.version and (
        network.network_address in block and network.prefixlen >= block.prefixlen
    )
