"""What many members of a group wrote, as groups of those that ended alike and wrote the same."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LINES: Final = 400
"""Lines of an output that are compared with another's: how long that takes grows with their square."""
_LINE: Final = 1000
"""Characters of such a line."""


@dataclass(frozen=True, slots=True)
class Written:
    """What one member wrote, and how it ended.

    Attributes:
        ended: how, in a word or two: ``exit 0``, ``timeout``; or that it runs, or why it did not.
        stdout, stderr: the beginning of what it wrote, as far as that was kept.
        lengths: how many bytes they were in all.
    """

    ended: str
    stdout: bytes = b""
    stderr: bytes = b""
    lengths: tuple[int, int] = (0, 0)

    @property
    def lines(self) -> list[str]:
        """As lines of text; those of stderr begin with ``! ``."""
        found = self.stdout.decode(errors="replace").splitlines()
        return found + [f"! {line}" for line in self.stderr.decode(errors="replace").splitlines()]

    @property
    def cut(self) -> bool:
        """Whether there was more."""
        return self.lengths > (len(self.stdout), len(self.stderr)) or self.lengths[1] > len(self.stderr)


@dataclass(frozen=True, slots=True)
class Group:
    """Members that ended alike and wrote the same, as far as that was kept, and as many bytes."""

    written: Written
    names: tuple[str, ...]


def grouped(members: Iterable[tuple[str, Written]]) -> list[Group]:
    """The groups of ``members``, the largest first; of those that are as large that whose first member came first."""
    names: dict[Written, list[str]] = {}
    for name, written in members:
        names.setdefault(written, []).append(name)
    found = [Group(written, tuple(its)) for written, its in names.items()]
    return sorted(found, key=lambda group: -len(group.names))


def headline(groups: Sequence[Group], pending: int = 0) -> str:
    """``12 exit 0 · 2 exit 1 · 1 pending · 2 differ``: how many ended how, and wrote something else than the most."""
    ended: dict[str, int] = {}
    for group in groups:
        ended[group.written.ended] = ended.get(group.written.ended, 0) + len(group.names)
    words = [f"{count} {how}" for how, count in sorted(ended.items(), key=lambda entry: -entry[1])]
    if pending:
        words.append(f"{pending} pending")
    if differ := sum(len(group.names) for group in groups[1:]):
        words.append(f"{differ} differ")
    return " · ".join(words)


def difference(written: Written, usual: Written) -> list[str]:
    """The lines in which ``written`` differs from ``usual``: ``-`` in front of the usual ones, ``+`` of its own.

    Empty when they wrote the same. Of very long outputs the beginnings are compared.
    """
    mine, others = _comparable(written), _comparable(usual)
    if mine == others:
        return ["(the rest differs)"] if written.lengths != usual.lengths else []
    found = difflib.unified_diff(others, mine, lineterm="", n=1)
    return [line for number, line in enumerate(found) if number > 1]


def _comparable(written: Written) -> list[str]:
    return [line[:_LINE] for line in written.lines[:_LINES]]
