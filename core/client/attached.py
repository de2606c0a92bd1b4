"""What attaching is made of, whoever does it: the requests, and the screen that the past makes. No I/O."""

from __future__ import annotations

from .exchange import new_id, request
from .following import STDERR, STDOUT, Following
from .tty import environment, label

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandtop.core.terminal import Emulator


def starting(
    sandbox: str,
    argv: list[str],
    size: tuple[int, int],
    *,
    own: Mapping[str, object],
    env: Mapping[str, str],
    cwd: str | None,
    user: str | None,
) -> Following:
    """A new session on a terminal of ``size`` (rows, columns); it goes on when this client goes away.

    ``own`` is the sandbox's environment, ``env`` is for this session alone.
    """
    rows, columns = size
    fields: dict[str, object] = {
        "sandbox": sandbox,
        "id": new_id(),
        "argv": argv,
        # of this terminal's what the sandbox does not say itself, then what was asked for
        "env": {name: text for name, text in environment().items() if name not in own} | dict(env),
        "cwd": cwd,
        "user": user,
        "tty": {"rows": rows, "columns": columns},
        "stdin": True,
        "detach": False,
        "on_hangup": "keep",
        "label": label(),
    }
    return Following(request("session.exec", fields), stdin=True)


def returning(sandbox: str, session: str, *, read_only: bool, take: bool) -> Following:
    """Back to a session's terminal; its output comes from where the core thinks that the screen can be made from."""
    fields: dict[str, object] = {
        "sandbox": sandbox,
        "session": session,
        "terminal": True,
        "input": not read_only,
        "take": take,
        "client": new_id(),
        "label": label(),
    }
    return Following(
        request("session.follow", fields), stdin=not read_only, offsets={STDOUT: None, STDERR: 0}
    )


class Past:
    """Keeps what was written before one attached from one's own terminal, and gives it the screen that it makes.

    Written as it came, the past would make the terminal answer again what the program asked long ago.
    """

    __slots__ = ("_emulator", "_following", "_reached", "_size")

    def __init__(self, following: Following, size: tuple[int, int]) -> None:
        self._following = following
        self._size = size
        self._emulator: Emulator | None = None
        self._reached = 0

    @property
    def over(self) -> bool:
        """Whether the terminal shows the screen, and all that comes now is live."""
        live_from = self._following.live_from
        return live_from is not None and self._reached >= live_from

    def show(self, offset: int, data: bytes) -> bytes:
        """What to write to the terminal for ``data``, which begins at ``offset``."""
        live_from = self._following.live_from or 0
        self._reached = offset + len(data)
        past = max(0, min(len(data), live_from - offset))
        if past == 0:
            return data
        if self._emulator is None:
            from sandtop.core.terminal import Emulator

            rows, columns = self._size
            self._emulator = Emulator(columns, rows)
        self._emulator.feed(data[:past])
        if offset + past < live_from:
            return b""
        screen, self._emulator = self._emulator.dump(), None
        return screen + data[past:]
