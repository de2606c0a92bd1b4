"""What the synchronous SDK runs on: the async one, in an event loop on a thread that is there only while it is needed.

`sandtop.core.client.sync` is generated and calls this. Any number of threads may be in calls at once; they share the
loop. The thread begins with the first call and ends with the last, or with the last `Process`, `Connection` or `hold`
that is open.
"""

from __future__ import annotations

import weakref
from collections import deque
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio
from anyio.from_thread import BlockingPortalProvider
from anyio.to_thread import run_sync

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        AsyncIterator,
        Awaitable,
        Callable,
        Generator,
        Iterable,
    )
    from contextlib import AbstractAsyncContextManager

    from sandtop.core.client.sdk.connection import Connection
    from sandtop.core.client.sdk.process import Process
    from sandtop.core.client.session.events import Event

T = TypeVar("T")
V = TypeVar("V")

_portals = BlockingPortalProvider("asyncio")


class Caller:
    """The thread that waits for a call: what the call tells meanwhile is told there, not on the loop's thread."""

    def __init__(self) -> None:
        self._news: SimpleQueue[Callable[[], object] | None] = SimpleQueue()

    def hears(self, callback: Callable[[V], object] | None) -> Callable[[V], None] | None:
        """What to give to the async SDK in place of ``callback``."""
        return None if callback is None else lambda value: self._news.put(partial(callback, value))

    def over(self) -> None:
        """The call has ended: nothing more will be told."""
        self._news.put(None)

    def listen(self) -> None:
        """Call what is to be called until the call has ended."""
        while (news := self._news.get()) is not None:
            news()

    def wait(self) -> None:
        """Wait until the call has ended, whatever it tells."""
        while self._news.get() is not None:
            pass


def run(call: Callable[[], Awaitable[T]]) -> T:
    """What ``call`` comes to, on the loop. Raises what it raises.

    When the waiting is interrupted (ctrl-c), the call is cancelled, cleans up, and only then this raises.
    """
    return run_telling(lambda _caller: call())


def run_telling(call: Callable[[Caller], Awaitable[T]]) -> T:
    """`run` for a call that tells its caller something meanwhile."""
    caller = Caller()

    async def work() -> T:
        try:
            return await call(caller)
        finally:
            caller.over()

    with _portals as portal:
        future = portal.start_task_soon(work)
        try:
            caller.listen()
        except BaseException:
            future.cancel()
            caller.wait()
            raise
        return future.result()


def run_here(call: Callable[[], Awaitable[T]]) -> T:
    """`run` on this thread, for what needs the process's signals and its terminal. For the main thread."""

    async def work() -> T:
        return await call()

    return anyio.run(work)


class Lease:
    """Keeps the loop for something that lives longer than one call. ``release`` may come more than once."""

    def __init__(self) -> None:
        _portals.__enter__()
        self._release = weakref.finalize(self, _portals.__exit__, None, None, None)
        self._release.atexit = False

    def release(self) -> None:
        self._release()


class Kept(Generic[T]):
    """What ``start`` comes to, on the loop, which is kept for it until `_left`."""

    def __init__(self, start: Callable[[], Awaitable[T]]) -> None:
        self._lease = Lease()
        try:
            self._async = run(start)
        except BaseException:
            self._lease.release()
            raise

    def _run(self, call: Callable[[], Awaitable[V]]) -> V:
        return run(call)

    def _left(self) -> None:
        self._lease.release()


class Connected(Kept[Any]):
    """A `Connection` on the loop."""

    _async: Connection


class Iterated(Kept[Any]):
    """A `Process` on the loop, whose events are taken by several at a time."""

    _async: Process

    def __init__(self, start: Callable[[], Awaitable[Process]]) -> None:
        self._ready: deque[Event] = deque()
        super().__init__(start)

    def _run(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return run(call)
        finally:
            if self._async.record is not None:  # it has ended, and its connection with it
                self._lease.release()

    def __iter__(self) -> Generator[Event]:
        events = self._async.__aiter__()
        while True:
            if not self._ready:
                self._ready.extend(self._run(events.several))
            if not self._ready:
                return
            yield self._ready.popleft()


def iterated(source: Callable[[], AsyncGenerator[T]]) -> Generator[T]:
    """What the async generator that ``source`` makes yields, on the loop, which is kept while it is iterated over."""
    lease = Lease()
    items: list[AsyncGenerator[T]] = []

    async def step() -> list[T]:
        if not items:
            items.append(source())
        return [item async for item in _first(items[0])]

    try:
        while found := run(step):
            yield from found
    finally:
        try:
            for generator in items:
                run(generator.aclose)
        finally:
            lease.release()


async def _first(items: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """The next of ``items``, or none at the end."""
    with suppress(StopAsyncIteration):
        yield await anext(items)


@contextmanager
def held(context: Callable[[], AbstractAsyncContextManager[T]]) -> Generator[T]:
    """The async ``context`` on the loop, which is kept meanwhile."""
    with _portals as portal, portal.wrap_async_context_manager(context()) as value:
        yield value


class Chunks(Generic[T]):
    """A plain iterable as an async one: each step on a worker thread, since it may wait."""

    def __init__(self, source: Iterable[T]) -> None:
        self._iterator = iter(source)

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        for value in await run_sync(self._next):
            return value
        raise StopAsyncIteration

    def _next(self) -> list[T]:
        """The next value, or none at the end: StopIteration does not pass through a future."""
        return list(islice(self._iterator, 1))


def chunks(source: Iterable[T]) -> AsyncIterable[T]:
    """See `Chunks`."""
    return Chunks(source)


def writes(write: Callable[[bytes], object]) -> Callable[[bytes], Awaitable[object]]:
    """A plain ``write`` as an async one, on a worker thread, since it may wait."""
    return lambda data: run_sync(write, data)
