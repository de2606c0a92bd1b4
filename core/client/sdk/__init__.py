"""The SDK: sandboxes, processes, files, images and the core, on anyio. ``sandtop`` passes it on."""

from __future__ import annotations

from sandtop.core.client import lazily

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from sandtop.core.client.link.records import CoreStatus, ExitRecord, ImageInfo, SandboxInfo, SessionInfo
    from sandtop.core.client.session.events import Event, Exited, Gap, Started, Stderr, Stdout

    from .attach import Detached
    from .collect import Log, Output
    from .copying import checked
    from .fleet import build_image, core_status, images
    from .process import Process
    from .sandbox import Sandbox
    from .screen import Screen

__all__ = [
    "CoreStatus", "Detached", "Event", "ExitRecord", "Exited", "Gap", "ImageInfo", "Log", "Output", "Process",
    "Sandbox", "SandboxInfo", "Screen", "SessionInfo", "Started", "Stderr", "Stdout", "build_image", "checked",
    "core_status", "images",
]  # fmt: skip

__getattr__ = lazily(
    __name__,
    {
        "attach": ("Detached",),
        "collect": ("Log", "Output"),
        "copying": ("checked",),
        "fleet": ("build_image", "core_status", "images"),
        "process": ("Process",),
        "sandbox": ("Sandbox",),
        "sandtop.core.client.link.records": (
            "CoreStatus", "ExitRecord", "ImageInfo", "SandboxInfo", "SessionInfo",
        ),
        "sandtop.core.client.session.events": ("Event", "Exited", "Gap", "Started", "Stderr", "Stdout"),
        "screen": ("Screen",),
    },
)  # fmt: skip
