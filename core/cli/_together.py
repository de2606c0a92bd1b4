"""Makes one request for each of several names, all at once. The core decides how many it works on at a time."""

from __future__ import annotations

import queue
import threading

from sandtop.core.client.link import call
from sandtop.core.errors import SandtopError

from ._output import Progress

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final, TypeVar

    from sandtop.core.contract.record import Record, Request

    R = TypeVar("R", bound=Record)

AT_ONCE: Final = 64
"""Requests that are under way at a time: one client must not take all of the core's connections."""


def together(requests: Sequence[Request[R]], done: Callable[[int, R | SandtopError], None]) -> None:
    """Make all ``requests``. As each ends, ``done`` is called with its place among them and its outcome.

    Meanwhile the progress of the latest is shown, with how many have ended. The same warning is said once only.
    """
    todo, news = iter(enumerate(requests)), queue.SimpleQueue[tuple[int, "str | R | SandtopError"]]()
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                found = next(todo, None)
            if found is None:
                return
            place, request = found

            def tell(line: str, place: int = place) -> None:
                news.put((place, line))

            try:
                news.put((place, call(request, tell)))
            except SandtopError as error:
                news.put((place, error))

    for _ in range(min(AT_ONCE, len(requests))):
        # daemon threads: after ctrl-c this process ends without them, and the core finishes what was asked
        threading.Thread(target=work, daemon=True).start()
    ended, warned = 0, set[str]()
    with Progress() as progress:
        while ended < len(requests):
            place, what = news.get()
            if isinstance(what, str):
                if what not in warned:
                    progress(what if what.startswith("warning: ") else f"{ended} of {len(requests)} · {what}")
                if what.startswith("warning: "):
                    warned.add(what)
            else:
                ended += 1
                progress.clear()
                done(place, what)
