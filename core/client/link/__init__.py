"""The connection to the core: its protocol without I/O, a blocking skin and one on anyio, recovery, launch."""

from __future__ import annotations

from sandtop.core.client import lazily

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from .answers import answer
    from .blocking import Conversation, call, call_all, call_running, hold, listen, progress_line, stop_core
    from .connecting import Forward
    from .exec_messages import exec_message, request_of, takes_input
    from .files import FileListing, FileReading, FileWatching, FileWriting
    from .launching import launch
    from .listening import ConsoleListening, EventsListening, LogPiece, LogsListening, StatsListening
    from .listing import sandbox_listing, session_listing
    from .mounts import mount, short_mount, tmpfs_mount
    from .operation import HELLO_SECONDS, Operation
    from .plain import Link, ask, new_id
    from .ports import port_forward, where
    from .secrets import secret
    from .values import docker_config, image_command, image_source, limits, signal_number

__all__ = [
    "HELLO_SECONDS", "ConsoleListening", "Conversation", "EventsListening", "FileListing", "FileReading",
    "FileWatching", "FileWriting", "Forward", "Link", "LogPiece", "LogsListening", "Operation", "StatsListening",
    "answer", "ask", "call", "call_all", "call_running", "docker_config", "exec_message", "hold", "image_command",
    "image_source", "launch", "limits", "listen", "mount", "new_id", "port_forward", "progress_line", "request_of",
    "sandbox_listing", "secret", "session_listing", "short_mount", "signal_number", "stop_core", "takes_input",
    "tmpfs_mount", "where",
]  # fmt: skip

__getattr__ = lazily(
    __name__,
    {
        "answers": ("answer",),
        "blocking": (
            "Conversation", "call", "call_all", "call_running", "hold", "listen", "progress_line", "stop_core",
        ),
        "connecting": ("Forward",),
        "exec_messages": ("exec_message", "request_of", "takes_input"),
        "files": ("FileListing", "FileReading", "FileWatching", "FileWriting"),
        "launching": ("launch",),
        "listening": ("ConsoleListening", "EventsListening", "LogPiece", "LogsListening", "StatsListening"),
        "listing": ("sandbox_listing", "session_listing"),
        "mounts": ("mount", "short_mount", "tmpfs_mount"),
        "operation": ("HELLO_SECONDS", "Operation"),
        "plain": ("Link", "ask", "new_id"),
        "ports": ("port_forward", "where"),
        "secrets": ("secret",),
        "values": ("docker_config", "image_command", "image_source", "limits", "signal_number"),
    },
)  # fmt: skip
