"""One command in several sandboxes at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .outcome import outcomes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandtop.core.client.link.values import Rlimit

    from .collect import Output
    from .execute import StderrTo
    from .outcome import Outcome
    from .sandbox import Sandbox

MAX_EACH: Final = 64 << 10
"""Bytes of each stream that are kept of each sandbox, unless told otherwise."""


async def exec_all(
    sandboxes: Sequence[str],
    program: str,
    args: Sequence[str] = (),
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 - the sandboxes keep it, also without us
    rlimits: Mapping[str, Rlimit] | None = None,
    stderr: StderrTo | None = None,
    labels: Mapping[str, str] | None = None,
    max_output: int = MAX_EACH,
) -> list[Outcome]:
    """Run ``program`` in all ``sandboxes`` (names or uuids) at once and wait for all ends; one outcome each, in order.

    One in which it cannot run is an outcome with an error, and keeps no other from running. Of each stream
    ``max_output`` bytes are kept. ``timeout`` is for each; one that has not said how it ended 20 s after that gets the
    error `TimedOut`. Cancelled, it ends the command everywhere. All else as in `Sandbox.exec`.
    """

    async def one(sandbox: Sandbox) -> Output:
        return await sandbox.exec(
            program,
            args,
            cwd=cwd,
            env=env,
            user=user,
            timeout=timeout,
            rlimits=rlimits,
            stderr=stderr,
            labels=labels,
            max_output=max_output,
        )

    return await outcomes(sandboxes, one, timeout)


async def shell_all(
    sandboxes: Sequence[str],
    script: str,
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 - the sandboxes keep it, also without us
    rlimits: Mapping[str, Rlimit] | None = None,
    stderr: StderrTo | None = None,
    labels: Mapping[str, str] | None = None,
    max_output: int = MAX_EACH,
) -> list[Outcome]:
    """Run ``script`` by the shell of each of ``sandboxes``; everything else as in `exec_all`."""

    async def one(sandbox: Sandbox) -> Output:
        return await sandbox.shell(
            script,
            cwd=cwd,
            env=env,
            user=user,
            timeout=timeout,
            rlimits=rlimits,
            stderr=stderr,
            labels=labels,
            max_output=max_output,
        )

    return await outcomes(sandboxes, one, timeout)
