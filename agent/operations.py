"""Operations that a core asks for by a key of its own: each is carried out once, and answered as often as it asks."""

from __future__ import annotations

from collections import OrderedDict

from .wire import ProtocolError, values
from .wire.limits import MAX_OP
from .wire.values import InvalidMessage

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final

    Message = dict[str, object]
    Operation = Callable[[Message], Message | None]
    """Returns fields for the answer. Raises InvalidMessage, `OperationFailed` or OSError, of which the answer tells."""

_REMEMBERED: Final = 1024
"""Answers that are kept in case the core repeats a request."""


class OperationFailed(Exception):
    """An operation failed; its ``done`` says so to the core."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Operations:
    """Carries out ``operations``, each by the type of its message. Each answer, a ``done``, goes to ``send``."""

    def __init__(self, operations: Mapping[str, Operation], send: Callable[[Message], object]) -> None:
        self._operations = operations
        self._send = send
        self._answers: OrderedDict[str, Message] = OrderedDict()

    def __contains__(self, kind: str) -> bool:
        return kind in self._operations

    def carry_out(self, message: Message) -> None:
        """Do what ``message`` asks for, unless that was done before, and answer. Raises ProtocolError."""
        try:
            key = values.text(message, "op")
        except InvalidMessage as error:
            raise ProtocolError(f"'{message['type']}': {error}") from error
        if len(key) > MAX_OP:
            raise ProtocolError(f"an op of {len(key)} characters")
        if key not in self._answers:
            outcome = _outcome(self._operations[str(message["type"])], message)
            self._answers[key] = {"type": "done", "op": key, **outcome}
            if len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
        self._send(self._answers[key])


def _outcome(operation: Operation, message: Message) -> Message:
    """Carry ``operation`` out; the fields of its ``done``."""
    try:
        return {"error": None, **(operation(message) or {})}
    except InvalidMessage as error:
        code = "invalid"
        said = str(error)
    except OperationFailed as error:
        code = error.code
        said = str(error)
    except OSError as error:
        code = "os-error"
        said = str(error)
    return {"error": {"code": code, "message": said}}
