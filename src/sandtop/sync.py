"""The synchronous SDK: the names of ``sandtop`` without ``await``; ``docs/sdk.md`` shows them at work."""

from __future__ import annotations

# `just generate` writes all names in this file after those of sandtop.
from sandtop.core.client.sdk import (
    CoreStatus,
    Detached,
    Event,
    Exited,
    ExitRecord,
    Gap,
    ImageInfo,
    Inspection,
    Log,
    Outcome,
    Output,
    SandboxInfo,
    Screen,
    SessionInfo,
    Started,
    Stderr,
    Stdout,
)
from sandtop.core.client.sync import (
    Process,
    Sandbox,
    build_image,
    core_status,
    exec_all,
    images,
    remove_image,
    sessions,
    shell_all,
    stop_core,
    warm_image,
)
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

__all__ = [
    "AlreadyExists", "ChannelError", "CoreFailure", "CoreStatus", "CoreUnavailable", "Detached", "Event", "ExitRecord",
    "Exited", "Gap", "ImageError", "ImageInfo", "Inspection", "InvalidRequest", "Log", "MachineError",
    "MissingDependency", "NotFound", "Outcome", "Output", "Process", "Sandbox", "SandboxInfo", "SandtopError",
    "Screen", "SessionInfo", "SpawnError", "Started", "Stderr", "Stdout", "StorageError", "TimedOut", "WrongState",
    "build_image", "core_status", "exec_all", "images", "remove_image", "sessions", "shell_all", "stop_core",
    "warm_image",
]  # fmt: skip
