"""The connection to the core: its protocol without I/O, a blocking skin and one on anyio, recovery, launch."""

from __future__ import annotations

from sandtop.core.client import lazily

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from .answers import Listing, as_list, as_object, as_objects
    from .blocking import Conversation, call, call_all, call_running, hold, progress_line, stop_core
    from .operation import HELLO_SECONDS, Operation
    from .plain import Link, ask, new_id, request
    from .records import CoreStatus, ExitRecord, ImageInfo, SandboxInfo, SessionInfo
    from .values import image_source, limits, signal_number

__all__ = [
    "HELLO_SECONDS", "Conversation", "CoreStatus", "ExitRecord", "ImageInfo", "Link", "Listing", "Operation",
    "SandboxInfo", "SessionInfo", "as_list", "as_object", "as_objects", "ask", "call", "call_all", "call_running",
    "hold", "image_source", "limits", "new_id", "progress_line", "request", "signal_number", "stop_core",
]  # fmt: skip

__getattr__ = lazily(
    __name__,
    {
        "answers": ("Listing", "as_list", "as_object", "as_objects"),
        "blocking": ("Conversation", "call", "call_all", "call_running", "hold", "progress_line", "stop_core"),
        "operation": ("HELLO_SECONDS", "Operation"),
        "plain": ("Link", "ask", "new_id", "request"),
        "records": ("CoreStatus", "ExitRecord", "ImageInfo", "SandboxInfo", "SessionInfo"),
        "values": ("image_source", "limits", "signal_number"),
    },
)  # fmt: skip
