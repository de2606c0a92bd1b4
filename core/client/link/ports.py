"""Ports of the host that lead into a sandbox, as people write them."""

from __future__ import annotations

from sandtop.core.contract.sandbox import PortForward
from sandtop.core.errors import InvalidRequest
from sandtop.core.phrases import endpoint

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Final

_HINT: Final = "such as 8080:80, 80 for any port of this host, or 0.0.0.0:8080:80"
_NAMES: Final = {"localhost": "127.0.0.1", "*": "0.0.0.0"}  # for those who ask for all addresses


def port_forward(text: str) -> PortForward:
    """``[[BIND:]HOSTPORT:]GUESTPORT``; without a HOSTPORT, or with 0, any that is free. Raises `InvalidRequest`.

    BIND is an address of the host, one of IPv6 in brackets as ssh(1) has it; without one 127.0.0.1.
    """
    rest, _, guest = text.rpartition(":")
    bind, _, host = rest.rpartition(":")
    address = bind.removeprefix("[").removesuffix("]") if bind.startswith("[") else bind
    if ":" in address and not bind.startswith("["):
        raise InvalidRequest(f"{text!r:.80} is no port to forward", hint=_HINT)
    return PortForward(
        address=_NAMES.get(address, address) or "127.0.0.1",
        host_port=_number(host, text, 0),
        guest_port=_number(guest, text, 1),
    )


def _number(digits: str, text: str, least: int) -> int:
    if not digits and least == 0:
        return 0
    number = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= 5 else -1
    if not least <= number <= 65_535:
        raise InvalidRequest(f"{text!r:.80} is no port to forward", hint=_HINT)
    return number


def where(port: PortForward) -> str:
    """The host's side of ``port``: ``127.0.0.1:8080`` or ``[::1]:8080``."""
    return endpoint(port.address, port.host_port)
