"""The exit status of commands that follow a session to its end."""

from __future__ import annotations

from sandtop.core.cli import say
from sandtop.core.client.session import outcome, part


def status_of(result: dict[str, object], sandbox: str) -> int:
    """The exit status of a session that ended with ``result``. What it does not tell goes to stderr."""
    status = outcome(result, sandbox)
    reason = part(result, "record").get("reason")
    if reason in ("oom", "timeout"):
        say(
            "the sandbox had no memory left and killed it"
            if reason == "oom"
            else "it took too long and was killed"
        )
    return status
