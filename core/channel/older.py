"""What is said where an agent is of the last release and lacks what was asked for."""

from __future__ import annotations

from sandtop.core.errors import WrongState


def too_old(sandbox: str, lack: str, *, instead: str = "") -> WrongState:
    """The error that the agent of ``sandbox`` (its name) ``lack``: what it does or cannot do, as words.

    ``instead`` is what does as well without a restart of the sandbox.
    """
    restart = f"restart it: sandtop restart {sandbox}"
    return WrongState(
        f"the agent of {sandbox} is of an older sandtop, and {lack}",
        sandbox=sandbox,
        hint=f"{restart}; {instead}" if instead else restart,
    )
