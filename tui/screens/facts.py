"""All that is known of one sandbox or one session, as names and values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandtop.tui.text import age, neutral

if TYPE_CHECKING:
    from sandtop.core.client.sdk import SandboxInfo
    from sandtop.tui.store import SandboxView, SessionView

Fact = tuple[str, str]
"""A name and a value."""


def sandbox_facts(sandbox: SandboxView, now: float) -> list[Fact]:
    """All that the console knows of a sandbox."""
    info = sandbox.info
    facts = [
        ("name", info.name),
        ("uuid", info.uuid),
        ("state", f"{info.state}{f': {info.reason}' if info.reason else ''}"),
        ("attention", sandbox.need.text or "–"),
        ("image", info.image),
        ("processors", str(info.cpus)),
        ("memory", f"{info.memory} MiB"),
        ("disk", f"{info.disk} MiB"),
        ("network", _network(info)),
        ("accelerator", info.accelerator or "–"),
        ("machine's pid", str(info.pid or "–")),
        ("created", f"{age(now - info.created_at)} ago"),
        ("started", f"{age(now - info.started_at)} ago" if info.started_at else "–"),
        ("workdir", info.workdir),
        ("shell", info.shell),
        ("user", info.user),
        ("sessions", f"{sum(not s.ended for s in sandbox.sessions)} running of {len(sandbox.sessions)}"),
    ]
    facts += [(f"label {neutral(key, 30)}", value) for key, value in sorted(info.labels.items())]
    return facts + [(f"env {neutral(key, 30)}", value) for key, value in sorted(info.env.items())]


def _network(info: SandboxInfo) -> str:
    if info.network != "filtered":
        return info.network
    return f"filtered: {', '.join(info.allow) or 'nothing is allowed'}"


def session_facts(session: SessionView) -> list[Fact]:
    """All that the console knows of a session."""
    info = session.info
    facts = [
        ("id", info.id), ("command", session.command), ("state", info.state), ("ended", session.badge),
        ("pid", str(info.pid or "–")), ("terminal", "yes" if info.tty else "no"),
        ("stdout", f"{info.stdout_bytes} bytes"), ("stderr", f"{info.stderr_bytes} bytes"),
        ("stdin", f"{info.stdin_bytes} bytes"), ("followed by", str(info.attached)),
        ("keyboard", info.input_holder or "nobody"),
    ]  # fmt: skip
    if info.left:
        facts.append(("left running", f"{info.left} processes; forgetting it ends them"))
    return facts


def sandbox_values(sandbox: SandboxView) -> dict[str, str]:
    """What a command of the user's own may take of a sandbox; see `sandtop.tui.config.VALUES`."""
    info = sandbox.info
    session = info.attention_session or (sandbox.sessions[-1].id if sandbox.sessions else "")
    found = {
        "name": info.name, "uuid": info.uuid, "state": info.state, "image": info.image, "session": session,
        "cause": info.attention or "",
    }  # fmt: skip
    return found | {f"label.{name}": text for name, text in info.labels.items()}


def session_values(sandbox: SandboxView, session: SessionView) -> dict[str, str]:
    """What a command of the user's own may take of a session and its sandbox; see `sandtop.tui.config.VALUES`."""
    record = session.info.record
    found = {
        "session": session.id, "command": session.command, "state": session.info.state,
        "cause": (record.cause if record else None) or "",
    }  # fmt: skip
    return sandbox_values(sandbox) | found
