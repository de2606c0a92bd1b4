"""The wire protocol, sans I/O, shared by the agent, the core and its clients. ``docs/protocol.md`` describes it.

This is the only module of the agent that the host side imports.
"""

from __future__ import annotations

from .frames import (
    MAX_DATA,
    MAX_PAYLOAD,
    TRAILER,
    Control,
    Credit,
    Data,
    Decoder,
    Eof,
    Frame,
    ProtocolError,
    control,
    data_header,
    encode,
    split,
)

TYPE_CHECKING = False  # see frames.py
if TYPE_CHECKING:
    from typing import Final

    from .arguments import (
        LONG,
        LONG_STREAM,
        MAX_STRING,
        MOST_LONG,
        START_STREAM,
        excess,
        room,
    )
    from .handshake import TOKEN_LENGTH, AgentHandshake, HostHandshake, answer, marker
    from .streams import MAX_CONTROL_QUEUE, Outbox, ReceiveWindow, SendStream

AGENT_PROTOCOL: Final = 1
"""Version of the messages between core and agent; a core speaks to an agent one version older too."""
PORT_NAME: Final = "sandtop.agent"
"""Name of the virtio-serial port that carries the link."""

STREAMS_PER_SESSION: Final = 4
"""On the link to the agent, session n owns streams 4n (stdin), 4n+1 (stdout, or the terminal) and 4n+2 (stderr)."""

__all__ = [
    "AGENT_PROTOCOL", "LONG", "LONG_STREAM", "MAX_CONTROL_QUEUE", "MAX_DATA", "MAX_PAYLOAD", "MAX_STRING",
    "MOST_LONG", "PORT_NAME", "START_STREAM", "STREAMS_PER_SESSION", "TOKEN_LENGTH", "TRAILER", "AgentHandshake",
    "Control", "Credit", "Data", "Decoder", "Eof", "Frame", "HostHandshake", "Outbox", "ProtocolError",
    "ReceiveWindow", "SendStream", "answer", "control", "data_header", "encode", "excess", "marker", "room", "split",
]  # fmt: skip

_LATER: Final = {
    "arguments": ("LONG", "LONG_STREAM", "MAX_STRING", "MOST_LONG", "START_STREAM", "excess", "room"),
    "handshake": ("TOKEN_LENGTH", "AgentHandshake", "HostHandshake", "answer", "marker"),
    "streams": ("MAX_CONTROL_QUEUE", "Outbox", "ReceiveWindow", "SendStream"),
}
"""What a command does not need that asks the core for something, and waits: imported when it is first used."""


def __getattr__(name: str) -> object:
    for module, names in _LATER.items():
        if name in names:
            source = __import__(f"{__package__}.{module}", fromlist=names)
            globals().update({each: getattr(source, each) for each in names})
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
