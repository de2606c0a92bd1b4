"""How the program wants its keys encoded. This is kept to be in dumps of the screen; keys are not encoded here.

Sources: kitty's keyboard protocol ("Progressive enhancement"), xterm's ctlseqs (XTMODKEYS).
"""

from __future__ import annotations

from typing import Final

MAX_STACK: Final = 8
"""Depth of the stack of flags of each screen, as in kitty. A push beyond it drops the oldest."""
_MAX_FLAGS: Final = 31
_RESOURCES: Final = frozenset(range(8))
_MAX_VALUE: Final = 9
_SET, _ADD, _REMOVE = 1, 2, 3
_MODIFY_OTHER: Final = 4


class Keyboard:
    """The stack of kitty's flags of each screen, primary and alternate, and xterm's modifier resources."""

    __slots__ = ("resources", "stacks")

    def __init__(self) -> None:
        self.stacks: tuple[list[int], list[int]] = ([], [])
        self.resources: dict[int, int] = {}

    def push(self, alternate: bool, flags: int) -> None:
        stack = self.stacks[alternate]
        stack.append(flags & _MAX_FLAGS)
        del stack[:-MAX_STACK]

    def pop(self, alternate: bool, count: int) -> None:
        stack = self.stacks[alternate]
        del stack[max(0, len(stack) - max(1, count)) :]

    def change(self, alternate: bool, flags: int, how: int) -> None:
        """Set, add or remove flags in the entry on top of the stack."""
        stack = self.stacks[alternate]
        before = stack.pop() if stack else 0
        flags &= _MAX_FLAGS
        stack.append(before | flags if how == _ADD else before & ~flags if how == _REMOVE else flags)

    def modify(self, resource: int, value: int | None) -> None:
        """XTMODKEYS. Without a value the resource gets its default, and resource 0 stands for all."""
        if value is None and resource == 0:
            self.resources.clear()
        elif value is None or (resource == _MODIFY_OTHER and value == 0):
            self.resources.pop(resource, None)
        elif resource in _RESOURCES and value <= _MAX_VALUE:
            self.resources[resource] = value

    def dump(self, alternate: bool) -> str:
        """The sequences that make the stack of one screen, while that screen shows."""
        return "".join(f"\x1b[>{flags}u" for flags in self.stacks[alternate])

    def dump_resources(self) -> str:
        return "".join(f"\x1b[>{resource};{value}m" for resource, value in sorted(self.resources.items()))

    def state(self) -> tuple[tuple[int, ...], ...]:
        """All of it, to compare."""
        pairs = tuple(number for pair in sorted(self.resources.items()) for number in pair)
        return (*(tuple(stack) for stack in self.stacks), pairs)
