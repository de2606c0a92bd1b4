"""An address for each name that programs were told of: by it the name is known again when they connect."""

from __future__ import annotations

from collections import OrderedDict

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from typing import Final

FIRST: Final = (198 << 24) | (18 << 16)
COUNT: Final = 1 << 17
"""198.18.0.0/15, which is for tests of networks (RFC 2544) and which no host of the internet has."""
_MOST: Final = 4096
"""Names that are remembered. The one that was not used for the longest time is forgotten first."""


class Names:
    """Names and their addresses, which stay the same while they are used."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._addresses: OrderedDict[str, str] = OrderedDict()
        self._names: dict[str, str] = {}
        self._next = 1

    def address(self, name: str) -> str:
        """The address of ``name``; a new one where it has none."""
        address = self._addresses.get(name)
        if address is None:
            address = self._addresses[name] = self._new()
            self._names[address] = name
            if len(self._addresses) > self._most:
                _, forgotten = self._addresses.popitem(last=False)
                del self._names[forgotten]
        self._addresses.move_to_end(name)
        return address

    def name(self, address: str) -> str | None:
        """The name that has ``address``; None when none has it, or none any more."""
        name = self._names.get(address)
        if name is not None:
            self._addresses.move_to_end(name)
        return name

    def _new(self) -> str:
        # an address comes back after all others were given out: a program that kept it gets no other host by that
        while (address := _dotted(FIRST + self._next)) in self._names:
            self._next = self._next % (COUNT - 2) + 1
        self._next = self._next % (COUNT - 2) + 1
        return address


def _dotted(number: int) -> str:
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))
