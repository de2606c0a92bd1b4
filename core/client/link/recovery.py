"""What to do when the core is not there, or is gone in the middle: when to wait, to start it, to give up. No I/O."""

from __future__ import annotations

from sandtop.core.errors import CoreOutdated, CoreUnavailable

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Final

DEADLINE_SECONDS: Final = 30.0
"""How long a client keeps trying to get back to a core that died, as long as nothing new comes."""
SUPERVISOR_SECONDS: Final = 2.0
"""The supervisor starts a dead core again in less than this; only then does a client start one itself."""
_FIRST_DELAY: Final = 0.02
_LONGEST_DELAY: Final = 0.5


class Recovery:
    """The decisions of one operation, whatever it is made of. Times are seconds of one monotonic clock."""

    __slots__ = ("_broke_at", "_delay", "_launches", "_replaced")

    def __init__(self) -> None:
        self._broke_at: float | None = None
        self._delay = _FIRST_DELAY
        self._launches = 0
        self._replaced = False

    def refused(self, now: float, error: OSError) -> float | None:
        """There was no connection but ``error``: how long to wait before the next try, or None to start a core first.

        Raises `CoreUnavailable` after the deadline, and for an error that no core can be blamed for.
        """
        if not_running(error) and (
            self._broke_at is None or now - self._broke_at >= SUPERVISOR_SECONDS * (self._launches + 1)
        ):
            self._launches += 1
            self._broke_at = now if self._broke_at is None else self._broke_at
            return None
        return self.broke(now)

    def broke(self, now: float) -> float:
        """The connection ended early: how long to wait before the next. Raises `CoreUnavailable` after the deadline."""
        if self._broke_at is None:
            self._broke_at = now
        if now - self._broke_at >= DEADLINE_SECONDS:
            raise CoreUnavailable(
                f"the core has been gone for {DEADLINE_SECONDS:.0f} s",
                hint="see 'sandtop core status' and its log",
            )
        self._delay, delay = min(self._delay * 2, _LONGEST_DELAY), self._delay
        return delay

    def progressed(self) -> None:
        """Something new came from the core: the next break is a new one."""
        self._broke_at = None
        self._delay = _FIRST_DELAY
        self._launches = 0

    def outdated(self, error: CoreOutdated) -> None:
        """The core is older than this client and is to be replaced. Raises `CoreUnavailable` the second time."""
        if self._replaced:
            raise CoreUnavailable(
                "the core is still older than this sandtop after a restart",
                hint="run 'sandtop core stop', and check that only one sandtop is installed",
            ) from error
        self._replaced = True


class NotRunning(Exception):
    """No core runs, and none is to be started."""


class OnlyRunning(Recovery):
    """The decisions of who asks a core that runs already, or comes back within ``wait`` seconds, and starts none.

    Where `Recovery` would start or replace a core, or gives up, this raises `NotRunning` or what the core said.
    """

    __slots__ = ("_wait",)

    def __init__(self, wait: float) -> None:
        super().__init__()
        self._wait = wait

    def refused(self, now: float, error: OSError) -> float:
        # without a socket nobody stopped in the middle: no supervisor is about to start a core again
        if not_running(error) and isinstance(error, FileNotFoundError):
            raise NotRunning
        return self.broke(now)

    def broke(self, now: float) -> float:
        self._broke_at = now if self._broke_at is None else self._broke_at
        if now - self._broke_at >= self._wait:
            raise NotRunning
        return _FIRST_DELAY

    def outdated(self, error: CoreOutdated) -> None:
        raise error


def not_running(error: OSError) -> bool:
    """Whether ``error``, met while connecting, says that no core is running. Raises `CoreUnavailable` for anything
    but that and a core that ends, or is busy, at this moment."""
    if isinstance(error, (FileNotFoundError, ConnectionRefusedError)):
        return True
    if isinstance(error, (ConnectionResetError, BlockingIOError, TimeoutError)):
        return False  # it ends at this moment, or its queue of connections is full
    raise CoreUnavailable(
        f"cannot connect to the core: {error.strerror or error}", hint="check who owns its runtime directory"
    ) from error
