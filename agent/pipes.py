"""The pipes of a session without a terminal."""

from __future__ import annotations

import os


class Pipes:
    """Pipes for stdout and stderr, with ``merge`` one for both, and with ``stdin`` for stdin. Raises OSError.

    They belong to the user id ``owner``, so that its programs may open them by name, as /dev/stdout.

    Attributes:
        ours: the agent's ends by stream number, nonblocking.
        theirs: the program's ends by stream number.
    """

    __slots__ = ("ours", "theirs")

    def __init__(self, *, stdin: bool, merge: bool = False, owner: int = 0) -> None:
        self.ours: dict[int, int] = {}
        self.theirs: dict[int, int] = {}
        try:
            for stream in range(0 if stdin else 1, 2 if merge else 3):
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
        """Close the program's ends, which it has inherited, or never will."""
        for fd in self.theirs.values():
            os.close(fd)

    def close_ours(self) -> None:
        """Close the agent's ends: the program did not run."""
        for fd in self.ours.values():
            os.close(fd)
