"""The published ports of one sandbox: they lead into it whenever its machine runs."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.contract.sandbox import PortForward, PublishedPort
from sandtop.core.errors import SandtopError, from_os_error
from sandtop.core.ports import Forwarder, free_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandtop.core.channel import GuestConnection
    from sandtop.core.store import SandboxConfig, SandboxRow

log = logging.getLogger(__name__)
_AGAIN: Final = 2.0
"""Seconds between attempts to listen where somebody else does, for a machine of an earlier core."""


class Published:
    """`open` it before the machine starts, then `serve`; or `reopen` it for one that runs; at last `close` it.

    Attributes:
        fault: why ports of a sandbox that runs lead nowhere, in words; None when they lead there.
    """

    def __init__(
        self,
        row: Callable[[], SandboxRow],
        connect: Callable[[int], Awaitable[GuestConnection]],
        nursery: trio.Nursery,
    ) -> None:
        self._row = row
        self._connect = connect
        self._nursery = nursery
        self._forwarder: Forwarder | None = None
        self._serving = False
        self._trying = trio.CancelScope()
        self.fault: str | None = None

    def all(self) -> list[PublishedPort]:
        """Which there are."""
        return [
            PublishedPort(address=address, host_port=host, guest_port=guest, listening=self._serving)
            for address, host, guest in self._row().config.publish
        ]

    def open(self) -> None:
        """Listen on all of them; who connects waits for `serve`.

        Raises `SandtopError` when one cannot be had; none is then.
        """
        row = self._row()
        if self._forwarder is not None or not row.config.publish:
            return
        ports = [
            PortForward(address=address, host_port=host, guest_port=guest)
            for address, host, guest in row.config.publish
        ]
        forwarder = Forwarder(row.name, ports, self._connect)
        forwarder.listen()
        self._forwarder = forwarder

    def serve(self) -> None:
        """The machine runs: carry what comes."""
        if self._forwarder is not None and not self._serving:
            self._serving = True
            self._nursery.start_soon(self._forwarder.serve, name=f"ports of {self._row().name}")

    def reopen(self) -> None:
        """Listen for a machine that goes on from an earlier core, as soon as nobody else has the ports."""
        if self._row().config.publish:
            self._trying = trio.CancelScope()
            self._nursery.start_soon(self._keep_trying, self._trying, name=f"ports of {self._row().name}")

    async def _keep_trying(self, scope: trio.CancelScope) -> None:
        with scope:
            while True:
                try:
                    self.open()
                except SandtopError as error:
                    if self.fault != error.message:
                        log.warning("%s", error)
                    self.fault = error.message
                else:
                    self.serve()
                    self.fault = None
                    return
                await trio.sleep(_AGAIN)

    def close(self) -> None:
        """Listen no more, and end all connections."""
        self._trying.cancel()
        self.fault = None
        if self._forwarder is not None:
            self._forwarder.close()
            self._forwarder, self._serving = None, False


def with_numbers(config: SandboxConfig) -> SandboxConfig:
    """``config`` with a port of the host that is free now wherever any would do. Raises `SandtopError`."""
    found: list[tuple[str, int, int]] = []
    for address, host, guest in config.publish:
        try:
            found.append((address, host or free_port(address), guest))
        except OSError as error:
            raise from_os_error(error, f"no port of {address} can be had") from error
    return dataclasses.replace(config, publish=tuple(found))
