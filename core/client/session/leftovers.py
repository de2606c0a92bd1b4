"""What passes from a program to the operator's terminal, and how that is as usual again afterwards. No I/O.

A program in the alternate screen with the mouse on does not know that its viewer leaves: the viewer's own terminal
must not stay so.
"""

from __future__ import annotations

from .gate import Gate
from .resets import POP, TOUCHED, reset, restore


class Leftovers:
    """Follows what is written to a terminal of the type ``term``, through a `Gate` that ``allowed`` kinds pass."""

    __slots__ = ("_console", "_dumb", "gate")

    def __init__(
        self, allowed: frozenset[str] = frozenset(), *, term: str = "xterm", mute: bool = False
    ) -> None:
        self.gate = Gate(allowed, mute=mute)
        self._dumb = term == "dumb"
        self._console = term.startswith("linux")

    def feed(self, data: bytes, *, final: bool = False) -> bytes:
        """What of ``data``, which the program wrote next, goes to the terminal."""
        return self.gate.feed(data)

    @property
    def asked(self) -> bool:
        """Whether the terminal may have something to answer."""
        return self.gate.asked and not self._dumb

    def entitle(self, title: str) -> bytes:
        """What to write to call the window ``title``, a text without controls, when the gate is not midway."""
        return self.gate.entitle() + b"\x1b]2;" + title.encode("utf-8", "replace") + b"\x1b\\"

    def undo(self, columns: int = 80, question: bytes = b"") -> bytes:
        """What to write to the terminal, ``columns`` wide, so that it is as usual again, whatever it was shown.

        Nothing where that was plain text. Of ``question``, which is put to the terminal meanwhile, nothing shows.
        """
        gate = self.gate
        if self._dumb or gate.plain:
            return b""
        parts = [reset(columns, console=self._console, question=question)]
        parts += [TOUCHED[name][0] for name in sorted(gate.touched)]
        parts += [restore(mode) for mode in sorted(gate.preferred)]
        parts += [POP] * gate.titles
        return b"".join(parts)
