"""What can be asked about layers: the operations of a file server (`files.server`) that sees the whole guest.

While it runs the agent lets the programs of the sandbox stand still.
"""

from __future__ import annotations

from ..cgroupfs import ROOT
from ..wire import values
from . import mark
from .changes import Changes
from .still import wait_until_still

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from ..files.call import Call, Fields, Operation, Steps

_PIECE: Final = 256 * 1024
_REST: Final = 500
"""Files without anything new in them after which others have their turn."""


class Places:
    """Where the parts of a sandbox are in the guest: init mounts them.

    Attributes:
        upper: the upper folder of its overlay file system, on its disk.
        image: the root file system that it was made of.
        mark: a file beside ``upper``; see `mark`.
        sessions: the parent of all sessions' cgroups.
    """

    __slots__ = ("image", "mark", "sessions", "upper")

    def __init__(self, root: str, disk: str = "/overlay", image: str = "/image") -> None:
        self.upper = f"{disk}/upper"
        self.image = image
        self.mark = f"{disk}/layer"
        self.sessions = f"{root}{ROOT}/sessions"


def operations(places: Places) -> Mapping[str, Operation]:
    """``image``: all of the image as a layer. ``changes``: what the sandbox has changed in it; with ``since``, since
    the layer that was taken as that, if it was the last one; ``mark`` names this one for the next time."""

    def image(_fields: Fields, call: Call) -> Steps:
        return _sent(Changes(places.image, overlay=False), call, {})

    def changes(fields: Fields, call: Call) -> Steps:
        since, key = (
            None if fields.get(name) is None else values.text(fields, name) for name in ("since", "mark")
        )
        wait_until_still(places.sessions)
        before = None if since is None else mark.read(places.mark, since)
        made = Changes(places.upper, before)
        yield from _sent(made, call, {"since": before is not None})
        if key is not None:
            mark.write(places.mark, key, made.mark)
        return None

    return {"image": image, "changes": changes}


def _sent(layer: Changes, call: Call, opened: Fields) -> Steps:
    call.open()
    yield opened
    held: list[bytes] = []
    size = idle = 0
    for piece in layer:
        if not piece:
            idle += 1
            if idle % _REST == 0:
                yield True
            continue
        held.append(piece)
        size += len(piece)
        if size >= _PIECE:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
    return None
