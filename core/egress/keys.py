"""What it takes to put one sandbox's secrets in: their values, its authority, and whom this host trusts."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.egress.authority import Authority
from sandtop.core.egress.secrets import Vault
from sandtop.core.ports import keep_when_closed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from sandtop.core.channel import GuestConnection
    from sandtop.core.egress.history import Entry
    from sandtop.core.store import SecretRow

_GOOD_SECONDS: Final = 24 * 3600.0
"""How long a certificate for a host is used, and how long what was read of the authorities that this host trusts."""

_CLOSING_SECONDS: Final = 5.0


def by_host() -> ssl.SSLContext:
    """A TLS client's context, which trusts whom this host trusts; of HTTP it offers version 1.1 alone."""
    made = ssl.create_default_context()
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    return made


class Keys:
    """What the connections of one sandbox need to put its secrets in. ``rows`` and ``folder`` give its secrets and its
    folder as they are at the time.

    Attributes:
        vault: the values.
    """

    def __init__(
        self,
        rows: Callable[[], Sequence[SecretRow]],
        folder: Callable[[], Path],
        trusted: Callable[[], ssl.SSLContext] = by_host,
    ) -> None:
        self.vault = Vault(rows)
        self._rows = rows
        self._folder = folder
        self._trusted = trusted
        self._authority: Authority | None = None
        self._contexts: dict[str, tuple[float, ssl.SSLContext, ssl.SSLContext]] = {}

    def certificate(self) -> str | None:
        """The certificate of the sandbox's own authority, in PEM; None without secrets. Raises `StorageError`."""
        return self._own_authority().certificate if self._rows() else None

    def _own_authority(self) -> Authority:
        if self._authority is None:
            self._authority = Authority(self._folder())
        return self._authority

    async def to(self, host: str, port: int) -> Keyed | None:
        """What is needed for a connection there; None where no secret is for it. Raises `Unknown`, `StorageError`."""
        rows = self.vault.of(host, port)
        if not rows:
            return None
        values = await trio.to_thread.run_sync(self.vault.values, rows)
        until, program, upstream = self._contexts.get(host, (0.0, None, None))
        if program is None or upstream is None or trio.current_time() > until:
            program = self._own_authority().context(host)
            upstream = await trio.to_thread.run_sync(self._trusted)
            self._contexts[host] = trio.current_time() + _GOOD_SECONDS, program, upstream
        return Keyed(
            host, port, {row.placeholder.encode(): row.name for row in rows}, values, program, upstream
        )


class Keyed:
    """A connection to ``host`` that gets ``values``, by placeholder as ``names`` are."""

    def __init__(
        self,
        host: str,
        port: int,
        names: Mapping[bytes, str],
        values: Mapping[bytes, bytes],
        program: ssl.SSLContext,
        upstream: ssl.SSLContext,
    ) -> None:
        self._host, self._port = host, port
        self._names, self._values = names, values
        self._program, self._upstream = program, upstream

    async def carry(
        self, entry: Entry, guest: GuestConnection, local: trio.SocketStream, head: bytes
    ) -> str | None:
        """Carry it, and close both; why it ended, or None where nothing was wrong. Raises trio's when one broke."""
        # of no use to a core whose sandboxes have no secrets: it imports h11
        from sandtop.core.egress import terminated

        def used(placeholders: Iterable[bytes]) -> None:
            entry.secrets = sorted({*entry.secrets, *(self._names[each] for each in placeholders)})

        try:
            there = await terminated.with_host(local, self._host, self._upstream)
            here = await terminated.with_program(terminated.Replayed(guest, head, entry), self._program)
        except terminated.Untrusted as error:
            return str(error)
        why: str | None = None
        try:
            passing = terminated.Terminated(here, there, self._host, self._port, self._values, used)
            await passing.run()
        except terminated.Unanswered as error:
            return f"the host {error}"
        except terminated.Unruly as error:  # the program was told, which is to arrive
            why = f"the program {error}"
        keep_when_closed(local)
        with trio.move_on_after(_CLOSING_SECONDS):
            await here.aclose()
            await there.aclose()
        return why
