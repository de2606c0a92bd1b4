"""Where a sandbox stands in the order of urgency, by its state and by what the core says that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandtop.tui.text import neutral

from .model import Need, Urgency

if TYPE_CHECKING:
    from sandtop.core.client.sdk import SandboxInfo

_BY_KIND: Final = {
    "failed": Urgency.FAILED,
    "lost": Urgency.LOST,
    "session": Urgency.FAILURE,
    "alert": Urgency.ALERT,
    "prompt": Urgency.PROMPT,
    "silent": Urgency.SILENT,
}
_BY_STATE: Final = {
    "creating": Urgency.BUSY,
    "starting": Urgency.BUSY,
    "stopping": Urgency.BUSY,
    "paused": Urgency.PAUSED,
    "stopped": Urgency.STOPPED,
    "failed": Urgency.STOPPED,
    "lost": Urgency.STOPPED,
}


def need_of(info: SandboxInfo) -> Need:
    """What the sandbox ``info`` needs. A kind of attention that this console does not know counts as trouble."""
    if info.attention:
        urgency = _BY_KIND.get(info.attention_kind or "", Urgency.TROUBLE)
        return Need(urgency, neutral(info.attention), info.attention_at)
    return Need(_BY_STATE.get(info.state, Urgency.RUNNING))
