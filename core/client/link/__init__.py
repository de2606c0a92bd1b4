"""The connection to the core: its protocol without I/O, a blocking skin and one on anyio, recovery, launch."""

from __future__ import annotations

from sandtop.core.client import lazily

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from .blocking import Operation, call, call_all, call_running, hold, open_link, progress_line, stop_core
    from .exchange import HELLO_SECONDS, Exchange, Listing, as_list, as_object, as_objects
    from .plain import Link, LinkLost, ask, new_id, request
    from .records import CoreStatus, ExitRecord, ImageInfo, SandboxInfo, SessionInfo
    from .recovery import Recovery
    from .values import image_source, limits, signal_number

__all__ = [
    "HELLO_SECONDS", "CoreStatus", "Exchange", "ExitRecord", "ImageInfo", "Link", "LinkLost", "Listing",
    "Operation", "Recovery", "SandboxInfo", "SessionInfo", "as_list", "as_object", "as_objects", "ask", "call",
    "call_all", "call_running", "hold", "image_source", "limits", "new_id", "open_link", "progress_line", "request",
    "signal_number", "stop_core",
]  # fmt: skip

__getattr__ = lazily(
    __name__,
    {
        "blocking": (
            "Operation", "call", "call_all", "call_running", "hold", "open_link", "progress_line",
            "stop_core",
        ),
        "exchange": ("HELLO_SECONDS", "Exchange", "Listing", "as_list", "as_object", "as_objects"),
        "plain": ("Link", "LinkLost", "ask", "new_id", "request"),
        "records": ("CoreStatus", "ExitRecord", "ImageInfo", "SandboxInfo", "SessionInfo"),
        "recovery": ("Recovery",),
        "values": ("image_source", "limits", "signal_number"),
    },
)  # fmt: skip
