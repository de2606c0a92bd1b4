"""Which client held a session's input last, kept on disk so that it outlives the core.

A client that connects again sends once more what it typed and nobody acknowledged, at the offsets that it had. If
another client has typed since, those offsets are taken. So only the last holder may resume its input.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sandtop.core.paths import make_private, private

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


class LastHolder:
    """The id of the client that held a session's input last: in the file ``lease`` of ``folder``, or else ``starter``.

    No file is written while only the client that started the session has typed, so most sessions have none.
    """

    __slots__ = ("_client", "_path", "_starter")

    def __init__(self, folder: Path, starter: str) -> None:
        self._path = folder / "lease"
        self._starter = starter
        self._client: str | None = None

    @property
    def client(self) -> str:
        """The client's id; empty when no client may resume."""
        if self._client is None:
            try:
                self._client = self._path.read_text(encoding="utf-8")
            except FileNotFoundError:
                self._client = self._starter
            except (OSError, UnicodeDecodeError) as error:
                log.warning("the lease %s cannot be read: %s", self._path, error)
                self._client = (
                    ""  # nobody may resume: better to attach again than to mix up the keys of two clients
                )
        return self._client

    def pass_to(self, client: str) -> None:
        """``client`` holds the input now; empty: no client may resume."""
        if self.client == client:
            return
        self._client = client
        try:
            make_private(self._path.parent)
            fresh = self._path.with_suffix(".new")
            with open(fresh, "w", encoding="utf-8", opener=private) as file:
                file.write(client)
            fresh.replace(self._path)
        except OSError as error:
            # this core goes by what it has in memory
            log.warning("the lease %s cannot be written: %s", self._path, error)
