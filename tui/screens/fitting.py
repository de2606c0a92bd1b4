"""Which of the marked sandboxes a change makes sense for.

The others are left alone: each would be an error that somebody has to dismiss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandtop.tui.text import neutral

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.tui.store import SandboxView

_UP: Final = frozenset({"creating", "starting", "running", "paused"})
_DOWN: Final = frozenset({"stopped", "failed", "lost"})
_IN_VAIN: Final = {"start": _UP, "stop": _DOWN, "pause": _DOWN | {"paused"}}


def fitting(verb: str, sandboxes: Sequence[SandboxView]) -> tuple[list[SandboxView], str]:
    """Those of ``sandboxes`` that are not so already, and what to say of the others."""
    others = [sandbox for sandbox in sandboxes if sandbox.info.state in _IN_VAIN.get(verb, ())]
    if not others:
        return list(sandboxes), ""
    first = f"{neutral(others[0].name)} is {others[0].info.state}"
    more = f", and {len(others) - 1} more" if len(others) > 1 else ""
    return [one for one in sandboxes if one not in others], f"nothing to {verb}: {first}{more}"
