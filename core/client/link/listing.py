"""Lists that the core gives in pages, the newest first. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from sandtop.core.contract.sandbox import SandboxList
from sandtop.core.contract.session import SessionList

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandtop.core.contract.record import Request
    from sandtop.core.contract.sandbox import SandboxInfo, SandboxPage
    from sandtop.core.contract.session_results import SessionInfo, SessionPage


P = TypeVar("P", bound="SandboxPage | SessionPage")
T = TypeVar("T")


class Listing(Generic[P, T]):
    """A list of which pages come. `sandbox_listing` and `session_listing` make these.

    Attributes:
        request: the one for the next page.
        items: all that came, oldest first.
    """

    def __init__(
        self, ask: Callable[[str | None], Request[P]], items: Callable[[P], list[T]], key: Callable[[T], str]
    ) -> None:
        self._ask, self._items, self._key = ask, items, key
        self.request = ask(None)
        self.items: list[T] = []

    def take(self, page: P) -> bool:
        """Take a page; whether there is another."""
        items = self._items(page)
        self.items = items + self.items
        if not page.more or not items:
            return False
        self.request = self._ask(self._key(items[0]))
        return True


def sandbox_listing() -> Listing[SandboxPage, SandboxInfo]:
    """The list of all sandboxes."""
    return Listing(
        lambda before: SandboxList(before=before), lambda page: page.sandboxes, lambda item: item.uuid
    )


def session_listing(sandbox: str | None = None) -> Listing[SessionPage, SessionInfo]:
    """The list of the sessions of ``sandbox``, or of all."""
    return Listing(
        lambda before: SessionList(sandbox=sandbox, before=before),
        lambda page: page.sessions,
        lambda item: item.id,
    )
