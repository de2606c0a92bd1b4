"""The client on a plain blocking socket, for commands that people wait for: no event loop, few imports.

`asynchronous` is the same on anyio; what both decide is in `operation` and `recovery`.
"""

from __future__ import annotations

import time

from sandtop.core.errors import CoreOutdated, CoreUnavailable

from .operation import HELLO_SECONDS, Operation
from .plain import LinkLost, begin, connect
from .recovery import SUPERVISOR_SECONDS, NotRunning, OnlyRunning, Recovery, not_running

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import TypeVar

    from sandtop.agent.wire import Frame
    from sandtop.core.contract.record import Record, Request
    from sandtop.core.contract.sandbox import SandboxPage
    from sandtop.core.contract.session_results import SessionPage

    from .listening import Listening
    from .listing import Listing
    from .plain import Link

    Progress = Callable[[str], None]
    R = TypeVar("R", bound=Record)
    P = TypeVar("P", bound=SandboxPage | SessionPage)
    T = TypeVar("T")
    Item = TypeVar("Item")


class Conversation:
    """Carries ``operation`` to its end, over as many connections as it takes; ``progress`` hears what the core tells.

    This is the one place where the blocking client connects, starts a core, or replaces one. Whoever waits for more
    than the connection derives from it: `wait`, `pause`, `take` and `connected` are there to be overridden.

    Attributes:
        link: the connection, while there is one. The first may be given.
    """

    def __init__(
        self,
        operation: Operation,
        *,
        link: Link | None = None,
        recovery: Recovery | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.operation = operation
        self.link = link
        self._recovery = recovery or Recovery()
        self._progress = progress

    def run(self) -> None:
        """Go on until the operation is over, and close the connection. Raises what the core reports."""
        try:
            while not self.operation.over:
                self.advance()
        finally:
            self.close()

    def advance(self) -> None:
        """Send what there is to send, wait for something, and take it. Raises what the core reports."""
        self._attempt(self._exchange)

    def open(self) -> Link:
        """A connection on which the operation has begun, the caller's to close. Raises what the core reports."""
        while self.link is None:
            self._attempt(lambda _: None)
        link, self.link = self.link, None
        return link

    def close(self) -> None:
        """Close the connection; `advance` makes another."""
        if self.link is not None:
            self.link.close()
            self.link = None

    def _attempt(self, step: Callable[[Link], None]) -> None:
        """Take ``step`` on the connection, made first when there is none, unless that breaks or nobody answers."""
        try:
            if self.link is not None or self.connect():
                assert self.link is not None
                step(self.link)
        except LinkLost:
            self.close()
            self.pause(self._recovery.broke(time.monotonic()))
        except CoreOutdated as error:
            self.close()
            self._recovery.outdated(error)
            stop_core()

    def connect(self) -> bool:
        """Try once to make a connection and begin the operation on it; whether there is one.

        Afterwards a core was started, or enough time has passed to try again. Raises `LinkLost`, `CoreUnavailable`.
        """
        try:
            self.link = begin(self.operation.opening)
        except OSError as error:
            delay = self._recovery.refused(time.monotonic(), error)
            if delay is not None:
                self.pause(delay)
                return False
            from .launching import launch

            launch()
            return False
        return True

    def _exchange(self, link: Link) -> None:
        self.send(link)
        if not self.wait(link):
            return
        before = self.operation.progress
        for frame in self.operation.feed(self._receive(link)):
            self.take(frame)
        if self.operation.progress > before:
            self._recovery.progressed()

    def _receive(self, link: Link) -> bytes:
        seconds = self.operation.patience
        try:
            return link.receive(seconds)
        except TimeoutError:
            raise self.operation.silence(seconds or 0.0) from None

    # for who derives from this

    def send(self, link: Link) -> None:
        """Send what there is to send."""
        while (outgoing := self.operation.pull()) is not None:
            link.send(outgoing)

    def wait(self, link: Link) -> bool:
        """Wait for ``link`` and for what else there is to wait for; whether there is something on ``link``.

        Without anything else receiving is what waits.
        """
        return True

    def pause(self, seconds: float) -> None:
        """Wait before the next attempt to connect."""
        time.sleep(seconds)

    def take(self, frame: Frame) -> None:
        """Take a frame that is the operation's own."""
        if self._progress is not None and (line := progress_line(frame)) is not None:
            self._progress(line)


def call(request: Request[R], progress: Progress | None = None) -> R:
    """Make ``request`` of the core and return its result; start the core, or wait for it to come back, when it must be.

    Raises what the core reports, or `CoreUnavailable`.
    """
    return _answer(request, Conversation(Operation(request), progress=progress))


def call_all(listing: Listing[P, T]) -> list[T]:
    """All the pages of ``listing``, oldest first. Raises as `call`."""
    while listing.take(call(listing.request)):
        pass
    return listing.items


def listen(operation: Listening[Item]) -> Generator[Item]:
    """What comes of ``operation``, until it is over. Raises as `call`."""
    conversation = Conversation(operation)
    try:
        while True:
            while operation.items:
                yield operation.items.popleft()
            if operation.over:
                return
            conversation.advance()
    finally:
        conversation.close()


def call_running(request: Request[R], *, wait: float = SUPERVISOR_SECONDS) -> R | None:
    """`call` of a core that runs already, or comes back within ``wait`` seconds; None when there is none."""
    try:
        return _answer(request, Conversation(Operation(request), recovery=OnlyRunning(wait)))
    except NotRunning:
        return None


def hold(sandbox: str) -> Link:
    """A connection that keeps a throw-away sandbox: it goes when the last of them is closed, however that comes."""
    from sandtop.core.contract.sandbox import SandboxHold

    return Conversation(Operation(SandboxHold(sandbox=sandbox))).open()


def _answer(request: Request[R], conversation: Conversation) -> R:
    conversation.run()
    from .answers import answer  # which takes longer to import than a hot command has

    return answer(request, conversation.operation.result)


def progress_line(frame: Frame) -> str | None:
    """The text of a ``progress`` message; None for any other frame."""
    from sandtop.agent.wire import Control

    if isinstance(frame, Control) and frame.message["type"] == "progress":
        return str(frame.message.get("message") or "")
    return None


def stop_core(*, machines: bool = False) -> bool:
    """End the core, and with ``machines`` every sandbox first, for which one is started; whether there was one.

    Returns when nobody listens any more. Raises what the core reports, or `CoreUnavailable` when it stays.
    """
    from sandtop.core.contract.core import Stop

    if machines:
        call(Stop(all=True))
    elif call_running(Stop()) is None:
        return False
    deadline = time.monotonic() + HELLO_SECONDS
    while time.monotonic() < deadline:
        try:
            connect().close()
        except OSError as error:
            if not_running(error):
                return True
        time.sleep(0.02)
    raise CoreUnavailable("the core was told to stop and still runs", hint="see its log")
