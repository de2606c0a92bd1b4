"""Which sandbox needs somebody, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandtop.tui.text import age, neutral

from .model import Need, SessionView, Urgency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.core.client.records import SandboxInfo

SILENCE_LABEL: Final = "sandtop.silence"
"""A sandbox with this label says after how many seconds without output somebody should look."""
_PROMPT: Final = "waiting at a prompt"
_BY_STATE: Final = {
    "creating": Urgency.BUSY,
    "starting": Urgency.BUSY,
    "stopping": Urgency.BUSY,
    "paused": Urgency.PAUSED,
    "stopped": Urgency.STOPPED,
}


def judge(
    info: SandboxInfo,
    sessions: Sequence[SessionView],
    now: float,
    *,
    watched_since: float,
) -> Need:
    """What ``info`` needs."""
    if info.state in ("failed", "lost") and not info.acknowledged:
        urgency = Urgency.FAILED if info.state == "failed" else Urgency.LOST
        return Need(urgency, neutral(info.reason or info.state))
    failures = [session for session in sessions if session.needs_someone]
    if failures:
        latest = max(failures, key=lambda session: session.info.ended_at or 0.0)
        more = f" (+{len(failures) - 1})" if len(failures) > 1 else ""
        return Need(Urgency.FAILURE, f"{latest.badge}: {latest.command}{more}")
    if info.attention:
        return Need(Urgency.PROMPT if info.attention == _PROMPT else Urgency.ASKS, neutral(info.attention))
    if info.state == "running" and (silent := _silence(info, sessions, now, watched_since)):
        return Need(Urgency.SILENT, silent)
    if info.state in ("failed", "lost"):
        return Need(Urgency.STOPPED)
    return Need(_BY_STATE.get(info.state, Urgency.RUNNING))


def _silence(info: SandboxInfo, sessions: Sequence[SessionView], now: float, watched_since: float) -> str:
    """Why its silence is worth a look, for a sandbox that is labelled to speak; else empty."""
    wanted = info.labels.get(SILENCE_LABEL, "")
    if not wanted.isascii() or not wanted.isdigit() or len(wanted) > 9:
        return ""
    heard = max(
        [
            session.last_output or session.info.started_at or watched_since
            for session in sessions
            if not session.ended
        ],
        default=info.started_at or watched_since,
    )
    quiet = now - heard
    return f"silent for {age(quiet)}" if quiet >= int(wanted) else ""
