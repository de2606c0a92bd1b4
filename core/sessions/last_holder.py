"""Who held a session's input last, also when the core has died since.

Bytes that a client typed and nobody acknowledged have offsets that count from what it held. When another client has
typed meanwhile they must not go out, so whoever comes back after the core's death is compared with this.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sandtop.core.paths import make_private, private

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


class LastHolder:
    """The id of a session's last holder, in the file ``lease`` of ``folder``; without one it is ``starter``.

    So a session that only its own starter ever typed into costs no file.
    """

    __slots__ = ("_client", "_path", "_starter")

    def __init__(self, folder: Path, starter: str) -> None:
        self._path = folder / "lease"
        self._starter = starter
        self._client: str | None = None

    @property
    def client(self) -> str:
        """Who it is."""
        if self._client is None:
            try:
                self._client = self._path.read_text(encoding="utf-8")
            except FileNotFoundError:
                self._client = self._starter
            except (OSError, UnicodeDecodeError) as error:
                log.warning("the lease %s cannot be read: %s", self._path, error)
                self._client = ""  # nobody: better a client that must attach again than keys of two mixed up
        return self._client

    def pass_to(self, client: str) -> None:
        """``client`` has it now."""
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
            # it holds for as long as this core lives
            log.warning("the lease %s cannot be written: %s", self._path, error)
