"""What a sandbox reaches and what reaches it, on anyio: allow-lists, and connections to its ports."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from sandtop.core.client.link.asynchronous import AsyncConversation, call
from sandtop.core.client.link.connecting import Forward
from sandtop.core.client.link.plain import new_id
from sandtop.core.client.link.ports import port_forward
from sandtop.core.client.link.secrets import secret
from sandtop.core.contract.net import NetAllow, NetDeny, NetLog, NetSecret
from sandtop.core.contract.sandbox import SandboxForward
from sandtop.core.groups import unwrapped

from .connection import Connection, connection

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from sandtop.core.contract.net import Egress
    from sandtop.core.contract.sandbox import PortForward, SandboxInfo
    from sandtop.core.contract.secret import GivenSecret


class Networked:
    """What a sandbox offers on networks."""

    _info: SandboxInfo

    async def allow(self, *rules: str) -> None:
        """Let it reach more: names (``git.example.org``, ``*.example.com:443``) and addresses (``192.0.2.0/24:22``).

        For connections that begin from now on. Raises `InvalidRequest`, and `WrongState` when it was made without an
        allow-list.
        """
        self._info = (
            await call(NetAllow(sandbox=self._info.uuid, rules=[*rules], request_id=new_id()))
        ).sandbox

    async def deny(self, *rules: str, end: bool = False) -> None:
        """Let it reach less: take ``rules`` from its list. With ``end`` connections end that are not allowed any more.

        Raises `NotFound` for one that is not on the list; and as `allow`.
        """
        request = NetDeny(sandbox=self._info.uuid, rules=[*rules], end=end, request_id=new_id())
        self._info = (await call(request)).sandbox

    async def give_secrets(self, *secrets: str | GivenSecret) -> None:
        """Give the core values of its secrets anew, as `create` has them: another core than that which it was made by
        knows none that was not in a file. For connections that begin from now on.

        Raises `NotFound` for one that it was not made with, `InvalidRequest`, and as `allow`.
        """
        given = [secret(each) if isinstance(each, str) else each for each in secrets]
        request = NetSecret(sandbox=self._info.uuid, secrets=given, request_id=new_id())
        self._info = (await call(request)).sandbox

    async def egress(self, *, after: int = 0) -> Sequence[Egress]:
        """What it connected to, or tried to, oldest first: the last thousand, with an id higher than ``after``.

        Raises `WrongState` when it was made without an allow-list.
        """
        return (await call(NetLog(sandbox=self._info.uuid, after=after))).connections

    async def connect(self, port: int) -> Connection:
        """A TCP connection to ``port`` in it, on 127.0.0.1 there or else on ::1, whatever its network.

        Raises `ConnectionRefused` when nothing listens there, `TimedOut` when what listens does not take it,
        `WrongState` when the sandbox does not run or has 1,024 connections already; `ChannelError`.
        """
        return await connection(self._info.uuid, self._info.name, port)

    @asynccontextmanager
    async def forward(self, *ports: str) -> AsyncGenerator[Sequence[PortForward]]:
        """While in this context, ports of the host lead to ports of it, whatever its network: gives where they are.

        Such as ``"8080:80"``, ``"80"`` for any port that is free, or ``"0.0.0.0:8080:80"`` for all who reach the
        host. A core that was killed listens on the same ports again; connections end with it. Raises `AlreadyExists`
        for a port that is taken, `InvalidRequest`, and `WrongState` when the sandbox does not run, or no more.
        """
        forward = Forward(
            SandboxForward(sandbox=self._info.uuid, ports=[port_forward(text) for text in ports])
        )
        conversation = AsyncConversation(forward)
        try:
            while forward.forwarding is None:
                await conversation.advance()
            with unwrapped():
                async with anyio.create_task_group() as group:
                    group.start_soon(conversation.run)
                    yield forward.forwarding.ports
                    group.cancel_scope.cancel()
        finally:
            await conversation.aclose()
