"""The pipes of a session without a terminal."""

from __future__ import annotations

import os


class Pipes:
    """stdout and stderr, and stdin when ``stdin``. Raises OSError when there are none to be had.

    They belong to the user ``owner``, who may then open them by name, as /dev/stdout.

    Attributes:
        ours: the agent's ends by stream number, nonblocking.
        theirs: the program's ends by stream number.
    """

    __slots__ = ("ours", "theirs")

    def __init__(self, *, stdin: bool, owner: int = 0) -> None:
        self.ours: dict[int, int] = {}
        self.theirs: dict[int, int] = {}
        try:
            for stream in range(0 if stdin else 1, 3):
                reader, writer = os.pipe2(os.O_CLOEXEC)
                self.ours[stream], self.theirs[stream] = (reader, writer) if stream else (writer, reader)
                os.set_blocking(self.ours[stream], False)
                if owner:
                    os.fchown(reader, owner, -1)
        except OSError:
            self.close_theirs()
            self.close_ours()
            raise

    def close_theirs(self) -> None:
        """The program has them, or will never run."""
        for fd in self.theirs.values():
            os.close(fd)

    def close_ours(self) -> None:
        """Nobody needs them: the program did not run."""
        for fd in self.ours.values():
            os.close(fd)
