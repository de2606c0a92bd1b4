"""The same request for several names at once: the core decides how many it works on at a time."""

from __future__ import annotations

import queue
import threading

from sandtop.core.client.link import call
from sandtop.core.errors import SandtopError

from ._output import Progress

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Final

Outcome = dict[str, object] | SandtopError
AT_ONCE: Final = 64
"""Requests under way; the core serves many clients, and this is one."""


def together(op: str, requests: Sequence[Mapping[str, object]], done: Callable[[int, Outcome], None]) -> None:
    """Make all ``requests``; ``done`` is called with the place and the outcome of each as it comes.

    Progress is shown with how many are done. What the core warns of is said once, however many it is about.
    """
    todo, news = iter(enumerate(requests)), queue.SimpleQueue[tuple[int, "str | Outcome"]]()
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
                news.put((place, call(op, request, tell)))
            except SandtopError as error:
                news.put((place, error))

    for _ in range(min(AT_ONCE, len(requests))):
        # daemons: what a client that is interrupted asked for is the core's to finish
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
