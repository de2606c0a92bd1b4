"""The screen worker: takes messages from the core on a socket, and in between draws one slice of one screen at a time.

It is the only process, beside clients, that parses what programs write to their terminals. All that it knows is in
the sessions' folders, so it may be killed at any moment: the next worker goes on from checkpoints and logs.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import select
import socket
import sys
import time
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sandtop.agent.wire import Control, Decoder, encode, split
from sandtop.core.screens.breadcrumb import Breadcrumb
from sandtop.core.screens.look import BadPattern, Pattern
from sandtop.core.screens.screen import AnswererChanged, Asked, DrawnScreen, Resized

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandtop.agent.wire import Frame

log = logging.getLogger(__name__)
_CHUNK: Final = 256 * 1024
_SEND_SECONDS: Final = 30.0
"""Seconds for the core to read what the worker sends. When it does not the worker ends."""
_MOST_LOADED: Final = 64
"""Screens in memory. When there are more, those that were drawn longest ago are dropped into their checkpoints."""
_MOST_ANSWER: Final = 48 << 20
"""Bytes of one answer."""
_TELL: Final = 64 * 1024
"""Bytes drawn of a session after which the core is told, for flow control."""
_REST: Final = 0.02
"""Seconds between two searches of a screen that keeps changing …"""
_SHARE: Final = 10
"""… or this many times as long as a search takes, if that is longer."""
_NICE: Final = 5
"""The worker's niceness: what runs in a sandbox, and who types there, goes first."""

Message = dict[str, Any]


class _Waiter:
    """A request that waits for a pattern to show.

    Attributes:
        ready: whether the screen has reached the offset of the request, so that it may be searched.
        due: when to search next, by time.monotonic.
    """

    __slots__ = ("due", "options", "pattern", "ready")

    def __init__(self, pattern: Pattern, options: Message) -> None:
        self.pattern = pattern
        self.options = options
        self.due = 0.0
        self.ready = False


class _Open:
    """A session that the core has opened.

    Attributes:
        told: the offset up to which the core was told that its output is drawn.
        changed: whether the screen has changed since it was searched.
        waiters: by request.
    """

    __slots__ = ("changed", "screen", "told", "waiters")

    def __init__(self, screen: DrawnScreen) -> None:
        self.screen = screen
        self.told = 0
        self.changed = False
        self.waiters: dict[int, _Waiter] = {}


class Worker:
    """Serves the core at the other end of ``link``; notes in ``breadcrumb`` what it draws, in case it dies of that."""

    def __init__(self, link: socket.socket, breadcrumb: Breadcrumb) -> None:
        self._link = link
        self._breadcrumb = breadcrumb
        self._decoder = Decoder()
        self._sessions: OrderedDict[int, _Open] = OrderedDict()
        """By number; the one that was drawn longest ago first."""
        self._handlers: dict[str, Callable[[Message], None]] = {
            "open": self._open_session,
            "end": self._end,
            "size": self._size,
            "answerer": self._answerer,
            "close": self._close,
            "dump": self._dump,
            "look": self._look,
            "forget": self._forget,
        }

    def run(self) -> None:
        """Serve until the core is gone."""
        poll = select.poll()
        poll.register(self._link, select.POLLIN)
        while True:
            timeout = self._work()
            if poll.poll(timeout):
                self._link.settimeout(_SEND_SECONDS)
                data = self._link.recv(_CHUNK)
                if not data:
                    return
                for frame in self._decoder.feed(data):
                    self._take(frame)

    def _take(self, frame: Frame) -> None:
        assert isinstance(frame, Control)
        self._handlers[str(frame.message["type"])](frame.message)

    def _say(self, kind: str, **fields: object) -> None:
        self._link.sendall(encode(Control({"type": kind, **fields})))

    # work

    def _work(self) -> float | None:
        """Draw one slice of one screen, then search screens that are waited for.

        Returns the milliseconds until there is more to do; None: not before the core sends something.
        """
        busy = [number for number, each in self._sessions.items() if each.screen.behind]
        number = next((number for number in busy if self._sessions[number].screen.asked), None)
        if number is None and busy:
            number = busy[0]
        if number is not None:
            each = self._sessions[number]
            self._sessions.move_to_end(number)
            self._breadcrumb.leave(number, each.screen.offset)
            changed = each.screen.advance()  # who asks first there also says that it has changed
            each.changed = each.changed or changed
            self._breadcrumb.leave(0, 0)
            self._tell(number, each)
        due = [self._search(number, each) for number, each in self._sessions.items() if each.waiters]
        if number is not None:
            self._make_room()
            return 0
        return min((later for later in due if later is not None), default=None)

    def _tell(self, number: int, each: _Open) -> None:
        offset = each.screen.offset
        if offset - each.told >= _TELL:
            each.told = offset
            self._say("drew", n=number, offset=offset)

    def _make_room(self) -> None:
        loaded = [each.screen for each in self._sessions.values() if each.screen.loaded]
        for screen in loaded[: max(0, len(loaded) - _MOST_LOADED)]:
            if not screen.behind:
                screen.unload()

    # sessions

    def _open_session(self, message: Message) -> None:
        number = int(message["n"])
        screen = DrawnScreen(
            Path(message["folder"]),
            (int(message["rows"]), int(message["columns"])),
            message["answered"],
            partial(self._reply, number),
            most_bytes=int(message["most_bytes"]),
        )
        screen.end = int(message["end"])
        for size in message["sizes"]:
            screen.note(Resized(size[1], size[0], size[2], size[3]))
        if message["aside"]:
            screen.set_aside("workers ended while they drew it")
        self._sessions[number] = _Open(screen)

    def _reply(self, number: int, offset: int, data: bytes) -> None:
        self._say("reply", n=number, offset=offset, data=base64.b64encode(data).decode())

    def _end(self, message: Message) -> None:
        self._sessions[message["n"]].screen.end = int(message["end"])

    def _size(self, message: Message) -> None:
        size = Resized(message["offset"], message["number"], message["rows"], message["columns"])
        self._sessions[message["n"]].screen.note(size)

    def _answerer(self, message: Message) -> None:
        self._sessions[message["n"]].screen.note(AnswererChanged(message["offset"], message["client"]))

    def _close(self, message: Message) -> None:
        """The session has ended: it is closed when all of its output is drawn."""
        number = int(message["n"])
        screen = self._sessions[number].screen
        screen.note(Asked(screen.end, partial(self._closed, number)))

    def _closed(self, number: int, screen: DrawnScreen) -> None:
        self._last_chance(self._sessions.pop(number))
        screen.unload()

    def _last_chance(self, each: _Open) -> None:
        """This screen will not change any more: search it once more, and fail the requests whose pattern it lacks."""
        for request, waiter in each.waiters.items():
            if self._try(request, waiter, each):
                self._fail(request, "ended", "the session has ended, and its last screen does not have it")
        each.waiters.clear()

    # answers

    def _dump(self, message: Message) -> None:
        screen = self._sessions[message["n"]].screen
        screen.note(Asked(screen.end, partial(self._dumped, message["req"])))

    def _dumped(self, request: int, screen: DrawnScreen) -> None:
        checkpoint = screen.checkpoint()
        size = {"rows": checkpoint.rows, "columns": checkpoint.columns}
        self._answer(request, checkpoint.dump, offset=screen.offset, number=checkpoint.number, **size)

    def _look(self, message: Message) -> None:
        """Answer what shows at the present end of the log; with ``wait_for``, as soon as that pattern shows."""
        request, each = int(message["req"]), self._sessions[message["n"]]
        if message["wait_for"] is None:
            seen = partial(self._looked, request, message)
        else:
            try:
                each.waiters[request] = _Waiter(Pattern(message["wait_for"]), message)
            except BadPattern as error:
                self._fail(request, "invalid", str(error))
                return
            seen = partial(self._first_look, request)
        each.screen.note(Asked(each.screen.end, seen))

    def _first_look(self, request: int, screen: DrawnScreen) -> None:
        for each in self._sessions.values():
            if each.screen is screen and (waiter := each.waiters.get(request)) is not None:
                waiter.ready = each.changed = True
                if waiter.options["final"]:
                    self._last_chance(each)
                return

    def _looked(self, request: int, options: Message, screen: DrawnScreen) -> None:
        seen = screen.look(scrollback=options["scrollback"], ansi=options["ansi"])
        self._answer(request, json.dumps(seen).encode())

    def _search(self, number: int, each: _Open) -> float | None:
        """Search a screen that has changed for the patterns that are waited for; milliseconds until the next search."""
        if not each.changed:
            return None
        now = time.monotonic()
        waiting = [item for item in each.waiters.items() if item[1].ready]
        later = [waiter.due for _, waiter in waiting if waiter.due > now]
        for request, waiter in waiting:
            if waiter.due <= now and not self._try(request, waiter, each):
                del each.waiters[request]
        if not later:
            each.changed = False
            return None
        return max(1.0, (min(later) - now) * 1000)

    def _try(self, request: int, waiter: _Waiter, each: _Open) -> bool:
        """Search once; whether the request goes on waiting."""
        begun = time.monotonic()
        try:
            found = waiter.pattern.found(each.screen.emulator, scrollback=waiter.options["scrollback"])
        except BadPattern as error:
            self._fail(request, "invalid", str(error))
            return False
        now = time.monotonic()
        waiter.due = now + max(_REST, _SHARE * (now - begun))
        if found:
            self._looked(request, waiter.options, each.screen)
        return not found

    def _forget(self, message: Message) -> None:
        for each in self._sessions.values():
            each.waiters.pop(message["req"], None)

    def _answer(self, request: int, blob: bytes, **fields: object) -> None:
        if len(blob) > _MOST_ANSWER:
            self._fail(request, "large", "this screen is too large to be shown")
            return
        for piece in split(request, 0, blob):
            self._link.sendall(encode(piece))
        self._say("answer", req=request, **fields)

    def _fail(self, request: int, code: str, why: str) -> None:
        self._say("failed", req=request, code=code, message=why)


def main() -> int:
    """Serve the core at descriptor 0, with the breadcrumb page at the descriptor in argv; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    os.nice(_NICE)
    with socket.socket(fileno=os.dup(0)) as link:
        try:
            Worker(link, Breadcrumb(int(sys.argv[1]))).run()
        except OSError as error:  # the core died while something was sent to it
            log.info("the core is gone: %s", error)
    return 0
