"""The SDK: sandboxes, processes, files, images and the core, on anyio. ``sandtop`` passes it on.

The classes that it offers are those imported below; `just generate` adds the functions, and writes the lists.
"""

from __future__ import annotations

from sandtop.core.client import lazily

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from sandtop.core.client.link.listening import LogPiece
    from sandtop.core.client.session.events import (
        Event,
        Exited,
        ExitRecord,
        Gap,
        Redrawn,
        Started,
        Stderr,
        Stdout,
    )
    from sandtop.core.contract.core import CoreStatus
    from sandtop.core.contract.core_events import (
        Happening,
        HostHistory,
        HostStats,
        Sample,
        SandboxHistory,
        SandboxStats,
        SessionStats,
        Source,
    )
    from sandtop.core.contract.file import FileInfo
    from sandtop.core.contract.image import ImageConfig, ImageDetails, ImageInfo, ImageLayer, Pruned
    from sandtop.core.contract.mount import Mount
    from sandtop.core.contract.net import Egress
    from sandtop.core.contract.sandbox import (
        Inspection,
        PortForward,
        Processes,
        ProcessInfo,
        PublishedPort,
        SandboxInfo,
    )
    from sandtop.core.contract.secret import GivenSecret, Secret
    from sandtop.core.contract.session_results import SessionInfo
    from sandtop.core.contract.volume import VolumeInfo, VolumesPruned

    from .attach import Detached
    from .collect import Log, Output
    from .connection import Connection
    from .copying import checked
    from .core import core_status, sessions, stop_core
    from .files import FileChange, Files
    from .image import (
        build_dockerfile,
        build_image,
        image_command,
        images,
        inspect_image,
        load_images,
        prune_images,
        pull_image,
        remove_image,
        tag_image,
        warm_image,
    )
    from .outcome import Outcome, outcomes
    from .overview import Overview
    from .process import Process
    from .sandbox import Sandbox
    from .screen import Screen
    from .streams import LogStream, MergedLogStream, TerminalStream
    from .together import exec_all, shell_all
    from .volume import create_volume, inspect_volume, prune_volumes, remove_volume, volumes
    from .watching import events, follow_events, follow_stats, merged_logs, serve_metrics, stats

__all__ = [
    "Connection", "CoreStatus", "Detached", "Egress", "Event", "ExitRecord", "Exited", "FileChange", "FileInfo",
    "Files", "Gap", "GivenSecret", "Happening", "HostHistory", "HostStats", "ImageConfig", "ImageDetails", "ImageInfo",
    "ImageLayer", "Inspection", "Log", "LogPiece", "LogStream", "MergedLogStream", "Mount", "Outcome", "Output",
    "Overview", "PortForward", "Process", "ProcessInfo", "Processes", "Pruned", "PublishedPort", "Redrawn", "Sample",
    "Sandbox", "SandboxHistory", "SandboxInfo", "SandboxStats", "Screen", "Secret", "SessionInfo", "SessionStats",
    "Source", "Started", "Stderr", "Stdout", "TerminalStream", "VolumeInfo", "VolumesPruned", "build_dockerfile",
    "build_image", "checked", "core_status", "create_volume", "events", "exec_all", "follow_events", "follow_stats",
    "image_command", "images", "inspect_image", "inspect_volume", "load_images", "merged_logs", "outcomes",
    "prune_images", "prune_volumes", "pull_image", "remove_image", "remove_volume", "serve_metrics", "sessions",
    "shell_all", "stats", "stop_core", "tag_image", "volumes", "warm_image",
]  # fmt: skip

_HOME = {
    "attach": ("Detached",),
    "collect": ("Log", "Output"),
    "connection": ("Connection",),
    "copying": ("checked",),
    "core": ("core_status", "sessions", "stop_core"),
    "files": ("FileChange", "Files"),
    "image": (
        "build_dockerfile", "build_image", "image_command", "images", "inspect_image", "load_images", "prune_images",
        "pull_image", "remove_image", "tag_image", "warm_image",
    ),
    "outcome": ("Outcome", "outcomes"),
    "overview": ("Overview",),
    "process": ("Process",),
    "sandbox": ("Sandbox",),
    "sandtop.core.client.link.listening": ("LogPiece",),
    "sandtop.core.client.session.events": (
        "Event", "ExitRecord", "Exited", "Gap", "Redrawn", "Started", "Stderr", "Stdout",
    ),
    "sandtop.core.contract.core": ("CoreStatus",),
    "sandtop.core.contract.core_events": (
        "Happening", "HostHistory", "HostStats", "Sample", "SandboxHistory", "SandboxStats", "SessionStats", "Source",
    ),
    "sandtop.core.contract.file": ("FileInfo",),
    "sandtop.core.contract.image": ("ImageConfig", "ImageDetails", "ImageInfo", "ImageLayer", "Pruned"),
    "sandtop.core.contract.mount": ("Mount",),
    "sandtop.core.contract.net": ("Egress",),
    "sandtop.core.contract.sandbox": (
        "Inspection", "PortForward", "ProcessInfo", "Processes", "PublishedPort", "SandboxInfo",
    ),
    "sandtop.core.contract.secret": ("GivenSecret", "Secret"),
    "sandtop.core.contract.session_results": ("SessionInfo",),
    "sandtop.core.contract.volume": ("VolumeInfo", "VolumesPruned"),
    "screen": ("Screen",),
    "streams": ("LogStream", "MergedLogStream", "TerminalStream"),
    "together": ("exec_all", "shell_all"),
    "volume": ("create_volume", "inspect_volume", "prune_volumes", "remove_volume", "volumes"),
    "watching": ("events", "follow_events", "follow_stats", "merged_logs", "serve_metrics", "stats"),
}  # fmt: skip

__getattr__ = lazily(__name__, _HOME)
