"""All sandboxes and sessions, looked at again and again, as a console does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from sandtop.core.client.link.asynchronous import AsyncConversation
from sandtop.core.client.link.operation import Operation
from sandtop.core.contract.codec import decode_result
from sandtop.core.contract.record import is_list, is_object
from sandtop.core.contract.sandbox import SandboxInfo, SandboxList
from sandtop.core.contract.session import SessionList
from sandtop.core.contract.session_results import SessionInfo
from sandtop.core.errors import CoreFailure

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sandtop.core.contract.record import Request

    Raw = dict[str, object]

Info = TypeVar("Info", SandboxInfo, SessionInfo)
PAGES: Final = 4
"""Answers of the core that a look takes of each list, each of up to a MiB: some thousands of sessions."""


class Overview:
    """All sandboxes and sessions: the newest that four answers of the core hold, of each.

    Whoever looks every second pays for what has changed: what did not is the object that the last look gave.
    """

    def __init__(self) -> None:
        self._sandboxes: dict[str, tuple[Raw, SandboxInfo]] = {}
        self._sessions: dict[str, tuple[Raw, SessionInfo]] = {}

    async def look(self) -> tuple[list[SandboxInfo], list[SessionInfo]]:
        """How they are now, oldest first. Starts the core if need be. Raises `CoreUnavailable`, `CoreFailure`."""
        sandboxes = await _newest(lambda before: SandboxList(before=before), "sandboxes", "uuid")
        sessions = await _newest(lambda before: SessionList(before=before), "sessions", "id")
        self._sandboxes = _read(SandboxInfo, "uuid", sandboxes, self._sandboxes)
        self._sessions = _read(SessionInfo, "id", sessions, self._sessions)
        return [info for _, info in self._sandboxes.values()], [info for _, info in self._sessions.values()]


async def _newest(ask: Callable[[str | None], Request[Any]], name: str, key: str) -> list[Raw]:
    """The newest `PAGES` pages of a list, as the core's JSON."""
    items: list[Raw] = []
    before: str | None = None
    for _ in range(PAGES):
        operation = Operation(ask(before))
        await AsyncConversation(operation).run()
        result = operation.result or {}
        page = result.get(name)
        found = [item for item in page if is_object(item)] if is_list(page) else []
        items = found + items
        if result.get("more") is not True or not found:
            break
        before = str(found[0].get(key))
    return items


def _read(
    kind: type[Info], key: str, raws: list[Raw], known: dict[str, tuple[Raw, Info]]
) -> dict[str, tuple[Raw, Info]]:
    """``raws`` as records, by their ``key``; to find out that one did not change costs a comparison."""
    read: dict[str, tuple[Raw, Info]] = {}
    for raw in raws:
        name = raw.get(key)
        if not isinstance(name, str):
            raise CoreFailure(f"the core's answer lacks the field {key}", hint="see its log")
        before = known.get(name)
        read[name] = before if before and before[0] == raw else (raw, decode_result(kind, raw))
    return read
