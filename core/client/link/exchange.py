"""One request to the core and all that comes back on its connection. Bytes in, frames out; no I/O."""

from __future__ import annotations

from sandtop.agent.wire import Control, Decoder, Frame, ProtocolError
from sandtop.core.errors import CoreFailure, CoreUnavailable, from_wire

from .plain import opening

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final, TypeGuard

HELLO_SECONDS: Final = 30.0
"""A core says hello at once; one that does not for this long is stuck."""


class Exchange:
    """One connection: what opens it, and what the core's bytes mean.

    Attributes:
        greeted: whether the core said hello.
        result: the fields of the core's ``result``, once it came.
    """

    __slots__ = ("_decoder", "_request", "greeted", "result")

    def __init__(self, message: dict[str, object]) -> None:
        self._decoder = Decoder()
        self._request = message
        self.greeted = False
        self.result: dict[str, object] | None = None

    def opening(self) -> bytes:
        """What to send first. Raises `InvalidRequest` when the request is too large for a frame."""
        return opening(self._request)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames in ``data`` that are the operation's own (events, progress, streams).

        Raises the core's error, `CoreOutdated`, or `CoreFailure` for bytes that make no sense.
        """
        try:
            frames = self._decoder.feed(data)
        except ProtocolError as error:
            raise CoreFailure(
                f"the core sent what this sandtop does not understand: {error}",
                hint="run 'sandtop core stop' and try again",
            ) from error
        return [frame for frame in frames if not (isinstance(frame, Control) and self._own(frame.message))]

    def again(self) -> Exchange:
        """The same request for a new connection."""
        return Exchange(self._request)

    def _own(self, message: dict[str, object]) -> bool:
        kind = message["type"]
        if kind == "hello":
            self.greeted = True
        elif kind == "result":
            self.result = message
        elif kind == "error":
            raise from_wire(message)
        else:
            return False
        return True


class Listing:
    """A list that the core gives in pages, the newest first.

    Attributes:
        fields: of the request for the next page.
        items: all that came, oldest first.
    """

    __slots__ = ("_field", "_key", "fields", "items")

    def __init__(self, op: str, fields: Mapping[str, object]) -> None:
        self._field, self._key = ("sessions", "id") if op == "session.list" else ("sandboxes", "uuid")
        self.fields = dict(fields)
        self.items: list[dict[str, object]] = []

    def take(self, result: Mapping[str, object]) -> bool:
        """Take a page; whether there is another."""
        page = as_objects(result.get(self._field))
        self.items = page + self.items
        if result.get("more") is not True or not page:
            return False
        self.fields["before"] = page[0].get(self._key)
        return True


def wants_launch(error: OSError) -> bool:
    """Whether ``error``, met while connecting, says that no core is running. Raises for anything else."""
    if isinstance(error, (FileNotFoundError, ConnectionRefusedError)):
        return True
    if isinstance(error, (ConnectionResetError, BlockingIOError, TimeoutError)):
        return False  # it ends at this moment, or its queue of connections is full
    raise CoreUnavailable(
        f"cannot connect to the core: {error.strerror or error}", hint="check who owns its runtime directory"
    ) from error


def as_list(value: object) -> list[object]:
    """``value``, a JSON list from the core; anything else is empty."""
    return value if _is_list(value) else []


def as_objects(value: object) -> list[dict[str, object]]:
    """``value``, a list of JSON objects from the core; anything else in it is left out."""
    return [item for item in as_list(value) if _is_object(item)]


def as_object(value: object) -> dict[str, object]:
    """``value``, a JSON object from the core. Raises `CoreFailure` when it is none."""
    if not _is_object(value):
        raise CoreFailure("the core's answer lacks what was asked for", hint="see the core's log")
    return value


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)
