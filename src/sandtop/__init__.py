"""sandtop: an operator's console for microVM sandboxes.

The names below are the Python SDK; ``docs/sdk.md`` shows them at work. Each is imported when it is first used, so
``import sandtop`` itself costs nothing.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # spelt out: typing itself would be most of what this module costs
if TYPE_CHECKING:
    from sandtop.core.client.attach import Detached
    from sandtop.core.client.collect import Log, Output
    from sandtop.core.client.events import Event, Exited, Gap, Started, Stderr, Stdout
    from sandtop.core.client.fleet import build_image, core_status, images
    from sandtop.core.client.process import Process
    from sandtop.core.client.records import CoreStatus, ExitRecord, ImageInfo, SandboxInfo, SessionInfo
    from sandtop.core.client.sandbox import Sandbox
    from sandtop.core.client.screen import Screen
    from sandtop.core.errors import (
        AlreadyExists,
        ChannelError,
        CoreFailure,
        CoreUnavailable,
        ImageError,
        InvalidRequest,
        MachineError,
        MissingDependency,
        NotFound,
        SandtopError,
        SpawnError,
        StorageError,
        TimedOut,
        WrongState,
    )

_HOME = {
    "sandtop.core.client.attach": ("Detached",),
    "sandtop.core.client.events": ("Event", "Exited", "Gap", "Started", "Stderr", "Stdout"),
    "sandtop.core.client.fleet": ("build_image", "core_status", "images"),
    "sandtop.core.client.process": ("Process",),
    "sandtop.core.client.records": ("CoreStatus", "ExitRecord", "ImageInfo", "SandboxInfo", "SessionInfo"),
    "sandtop.core.client.collect": ("Log", "Output"),
    "sandtop.core.client.sandbox": ("Sandbox",),
    "sandtop.core.client.screen": ("Screen",),
    "sandtop.core.errors": (
        "AlreadyExists", "ChannelError", "CoreFailure", "CoreUnavailable", "ImageError", "InvalidRequest",
        "MachineError", "MissingDependency", "NotFound", "SandtopError", "SpawnError", "StorageError", "TimedOut",
        "WrongState",
    ),
}  # fmt: skip

__all__ = [
    "AlreadyExists", "ChannelError", "CoreFailure", "CoreStatus", "CoreUnavailable", "Detached", "Event", "ExitRecord",
    "Exited", "Gap", "ImageError", "ImageInfo", "InvalidRequest", "Log", "MachineError", "MissingDependency",
    "NotFound", "Output", "Process", "Sandbox", "SandboxInfo", "SandtopError", "Screen", "SessionInfo", "SpawnError",
    "Started", "Stderr", "Stdout", "StorageError", "TimedOut", "WrongState", "__version__", "build_image", "core_status",
    "images",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """Import what ``name`` lives in (PEP 562)."""
    import importlib

    for module, names in _HOME.items():
        if name in names:
            value: object = getattr(importlib.import_module(module), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'sandtop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
