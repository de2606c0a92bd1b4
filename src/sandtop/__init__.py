"""sandtop: an operator's console for microVM sandboxes.

The names below are the Python SDK; ``docs/sdk.md`` shows them at work. Each is imported when it is first used, so
``import sandtop`` itself costs nothing.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # not imported: typing would take most of the time that importing this module takes
if TYPE_CHECKING:
    from sandtop.core.client.sdk import (
        Connection,
        CoreStatus,
        Detached,
        Egress,
        Event,
        Exited,
        ExitRecord,
        FileChange,
        FileInfo,
        Files,
        Gap,
        GivenSecret,
        Happening,
        HostHistory,
        HostStats,
        ImageConfig,
        ImageDetails,
        ImageInfo,
        ImageLayer,
        Inspection,
        Log,
        LogPiece,
        LogStream,
        MergedLogStream,
        Mount,
        Outcome,
        Output,
        Overview,
        PortForward,
        Process,
        Processes,
        ProcessInfo,
        Pruned,
        PublishedPort,
        Redrawn,
        Sample,
        Sandbox,
        SandboxHistory,
        SandboxInfo,
        SandboxStats,
        Screen,
        Secret,
        SessionInfo,
        SessionStats,
        Source,
        Started,
        Stderr,
        Stdout,
        TerminalStream,
        VolumeInfo,
        VolumesPruned,
        build_dockerfile,
        build_image,
        core_status,
        create_volume,
        events,
        exec_all,
        follow_events,
        follow_stats,
        image_command,
        images,
        inspect_image,
        inspect_volume,
        load_images,
        merged_logs,
        prune_images,
        prune_volumes,
        pull_image,
        remove_image,
        remove_volume,
        serve_metrics,
        sessions,
        shell_all,
        stats,
        stop_core,
        tag_image,
        volumes,
        warm_image,
    )
    from sandtop.core.errors import (
        AlreadyExists,
        ChannelError,
        ConnectionRefused,
        CoreFailure,
        CoreUnavailable,
        FileError,
        FileExists,
        FileNotFound,
        ImageError,
        InvalidRequest,
        IsADirectory,
        MachineError,
        MissingDependency,
        NotADirectory,
        NotFound,
        PermissionDenied,
        SandtopError,
        SpawnError,
        StorageError,
        TimedOut,
        WrongState,
    )

# `just generate` writes these after core/client/sdk/__init__.py, and after the imports of the errors above.
_HOME = {
    "sandtop.core.client.sdk": (
        "Connection", "CoreStatus", "Detached", "Egress", "Event", "ExitRecord", "Exited", "FileChange", "FileInfo",
        "Files", "Gap", "GivenSecret", "Happening", "HostHistory", "HostStats", "ImageConfig", "ImageDetails",
        "ImageInfo", "ImageLayer", "Inspection", "Log", "LogPiece", "LogStream", "MergedLogStream", "Mount", "Outcome",
        "Output", "Overview", "PortForward", "Process", "ProcessInfo", "Processes", "Pruned", "PublishedPort",
        "Redrawn", "Sample", "Sandbox", "SandboxHistory", "SandboxInfo", "SandboxStats", "Screen", "Secret",
        "SessionInfo", "SessionStats", "Source", "Started", "Stderr", "Stdout", "TerminalStream", "VolumeInfo",
        "VolumesPruned", "build_dockerfile", "build_image", "core_status", "create_volume", "events", "exec_all",
        "follow_events", "follow_stats", "image_command", "images", "inspect_image", "inspect_volume", "load_images",
        "merged_logs", "prune_images", "prune_volumes", "pull_image", "remove_image", "remove_volume", "serve_metrics",
        "sessions", "shell_all", "stats", "stop_core", "tag_image", "volumes", "warm_image",
    ),
    "sandtop.core.errors": (
        "AlreadyExists", "ChannelError", "ConnectionRefused", "CoreFailure", "CoreUnavailable", "FileError",
        "FileExists", "FileNotFound", "ImageError", "InvalidRequest", "IsADirectory", "MachineError",
        "MissingDependency", "NotADirectory", "NotFound", "PermissionDenied", "SandtopError", "SpawnError",
        "StorageError", "TimedOut", "WrongState",
    ),
}  # fmt: skip

__all__ = [
    "AlreadyExists", "ChannelError", "Connection", "ConnectionRefused", "CoreFailure", "CoreStatus", "CoreUnavailable",
    "Detached", "Egress", "Event", "ExitRecord", "Exited", "FileChange", "FileError", "FileExists", "FileInfo",
    "FileNotFound", "Files", "Gap", "GivenSecret", "Happening", "HostHistory", "HostStats", "ImageConfig",
    "ImageDetails", "ImageError", "ImageInfo", "ImageLayer", "Inspection", "InvalidRequest", "IsADirectory", "Log",
    "LogPiece", "LogStream", "MachineError", "MergedLogStream", "MissingDependency", "Mount", "NotADirectory",
    "NotFound", "Outcome", "Output", "Overview", "PermissionDenied", "PortForward", "Process", "ProcessInfo",
    "Processes", "Pruned", "PublishedPort", "Redrawn", "Sample", "Sandbox", "SandboxHistory", "SandboxInfo",
    "SandboxStats", "SandtopError", "Screen", "Secret", "SessionInfo", "SessionStats", "Source", "SpawnError",
    "Started", "Stderr", "Stdout", "StorageError", "TerminalStream", "TimedOut", "VolumeInfo", "VolumesPruned",
    "WrongState", "__version__", "build_dockerfile", "build_image", "core_status", "create_volume", "events",
    "exec_all", "follow_events", "follow_stats", "image_command", "images", "inspect_image", "inspect_volume",
    "load_images", "merged_logs", "prune_images", "prune_volumes", "pull_image", "remove_image", "remove_volume",
    "serve_metrics", "sessions", "shell_all", "stats", "stop_core", "tag_image", "volumes", "warm_image",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """Import the module that has ``name`` (PEP 562)."""
    import importlib

    for module, names in _HOME.items():
        if name in names:
            value: object = getattr(importlib.import_module(module), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'sandtop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
