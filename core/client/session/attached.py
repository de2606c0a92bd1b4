"""What attaching is made of, whoever does it: the requests, and the screen that the past makes. No I/O."""

from __future__ import annotations

from sandtop.core.client.link.exec_messages import exec_message
from sandtop.core.client.link.plain import new_id
from sandtop.core.contract.session import SessionFollow

from .following import STDERR, STDOUT, Following
from .tty import environment, label

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandtop.core.terminal import Emulator


def starting(
    sandbox: str,
    argv: list[str],
    size: tuple[int, int],
    *,
    own: Mapping[str, str],
    env: Mapping[str, str],
    cwd: str | None,
    user: str | None,
) -> Following:
    """A new session on a terminal of ``size`` (rows, columns); it goes on when this client goes away.

    ``own`` is the sandbox's environment, ``env`` is for this session alone.
    """
    message = exec_message(
        sandbox,
        argv=argv,
        # of this terminal's what the sandbox does not say itself, then what was asked for
        env={name: text for name, text in environment().items() if name not in own} | dict(env),
        cwd=cwd,
        user=user,
        tty=size,
        stdin=True,
        terminal=True,
        label=label(),
    )
    return Following(message, stdin=True)


def returning(
    sandbox: str, session: str, *, read_only: bool, take: bool, size: tuple[int, int] | None = None
) -> Following:
    """Back to a session's terminal: its screen comes first, in ``size`` (rows, columns) if one is to type."""
    request = SessionFollow(
        sandbox=sandbox,
        session=session,
        terminal=True,
        input=not read_only,
        take=take,
        client=new_id(),
        label=label(),
        rows=None if size is None else size[0],
        columns=None if size is None else size[1],
    )
    return Following(request, stdin=not read_only, offsets={STDOUT: None, STDERR: 0})


class Past:
    """Keeps what was written before one attached from one's own terminal, and gives it the screen that it makes.

    Written as it came, the past would make the terminal answer again what the program asked long ago.
    """

    __slots__ = ("_emulator", "_following", "_own_size", "_reached", "_sizes")

    def __init__(self, following: Following, size: Callable[[], tuple[int, int]]) -> None:
        """``size`` tells the rows and columns of one's own terminal."""
        self._following = following
        self._own_size = size
        self._emulator: Emulator | None = None
        self._reached = 0
        self._sizes: list[tuple[int, int, int]] = []

    @property
    def over(self) -> bool:
        """Whether the terminal shows the screen, and all that comes now is live."""
        live_from = self._following.live_from
        return live_from is not None and self._reached >= live_from

    def screen(
        self, data: bytes, offset: int, size: tuple[int, int], sizes: list[tuple[int, int, int]]
    ) -> bytes:
        """What to write to the terminal for a screen that came (`sandtop.core.client.following.screen_of`)."""
        self._reached = offset
        self._emulator = None
        if self.over and size == self._own_size():
            return data
        from sandtop.core.terminal import SCROLLBACK, Emulator, fitting

        rows, columns = fitting(*size)
        self._emulator = Emulator(columns, rows, SCROLLBACK)
        self._emulator.feed(data)
        self._sizes = sizes
        return self._shown() if self.over else b""

    def show(self, offset: int, data: bytes) -> bytes:
        """What to write to the terminal for ``data``, which begins at ``offset``."""
        live_from = self._following.live_from or 0
        past = max(0, min(len(data), live_from - offset))
        if past == 0:
            self._reached = offset + len(data)
            return data
        self._feed(offset, data[:past])
        self._reached = offset + past
        if not self.over:
            return b""
        self._reached = offset + len(data)
        return self._shown() + data[past:]

    def _feed(self, offset: int, data: bytes) -> None:
        """Draw a piece of the past, in the sizes that the window had then."""
        from sandtop.core.terminal import SCROLLBACK, Emulator, fitting

        if self._emulator is None:
            rows, columns = fitting(*self._own_size())
            self._emulator = Emulator(columns, rows, SCROLLBACK)
        done = 0
        while self._sizes and self._sizes[0][0] <= offset + len(data):
            at, rows, columns = self._sizes.pop(0)
            self._emulator.feed(data[done : max(done, at - offset)])
            done = max(done, at - offset)
            rows, columns = fitting(rows, columns)
            self._emulator.resize(columns, rows)
        self._emulator.feed(data[done:])

    def _shown(self) -> bytes:
        """The screen that the past made, in one's own size."""
        assert self._emulator is not None
        from sandtop.core.terminal import fitting

        rows, columns = fitting(*self._own_size())
        if (self._emulator.rows, self._emulator.columns) != (rows, columns):
            self._emulator.resize(columns, rows)
        screen, self._emulator = self._emulator.dump(), None
        self._sizes.clear()
        return screen
