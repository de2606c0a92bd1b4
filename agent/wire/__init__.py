"""The wire: the protocol of both links, without I/O, shared by the agent, the core and its clients.

``docs/protocol.md`` describes it. This package is all of the agent that the host side imports.
"""

from __future__ import annotations

from .frames import (
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
    from_json,
    split,
)
from .limits import MAX_CONTROL_QUEUE, MAX_DATA, MAX_PAYLOAD, MAX_STRING, MOST_LONG

TYPE_CHECKING = False  # see frames.py
if TYPE_CHECKING:
    from typing import Final

    from .arguments import excess, room
    from .handshake import (
        MARKER_LENGTH,
        TOKEN_LENGTH,
        AgentHandshake,
        HostHandshake,
        answer,
        marker,
        nonce_of,
    )
    from .intake import Intake
    from .streams import Outbox, ReceiveWindow, SendStream

AGENT_PROTOCOL: Final = 1
"""Version of the messages between core and agent; a core speaks to an agent one version older too."""
PORT_NAME: Final = "sandtop.agent"
"""Name of the virtio-serial port that carries the link: the guest has it at /sys/class/virtio-ports/*/name."""
VSOCK_PORT: Final = 1023
"""The AF_VSOCK port that the agent listens on where its machine has vsock: one that takes a privilege to bind."""
CA_FILE: Final = "/usr/local/share/ca-certificates/sandtop.crt"
"""The certificate of the authority of a sandbox with secrets, there; update-ca-certificates(8) reads that folder."""
CA_BUNDLE: Final = "/etc/ssl/certs/ca-certificates.crt"
"""The certificates of all authorities that its programs trust, where Debian, Alpine and Arch have them."""

STREAMS_PER_SESSION: Final = 4
"""On the link to the agent, session n owns streams 4n (stdin), 4n+1 (stdout, or the terminal) and 4n+2 (stderr)."""
START_STREAM: Final = 3
"""A start of session n that is longer than a frame is sent to the agent on stream 4n + 3."""
LONG: Final = "long"
"""A client's operation whose request is longer than a frame and follows as data."""
LONG_STREAM: Final = 4
"""The stream on which that request follows."""

__all__ = [
    "AGENT_PROTOCOL", "CA_BUNDLE", "CA_FILE", "LONG", "LONG_STREAM", "MARKER_LENGTH", "MAX_CONTROL_QUEUE", "MAX_DATA",
    "MAX_PAYLOAD", "MAX_STRING", "MOST_LONG", "PORT_NAME", "START_STREAM", "STREAMS_PER_SESSION", "TOKEN_LENGTH",
    "TRAILER", "VSOCK_PORT", "AgentHandshake", "Control", "Credit", "Data", "Decoder", "Eof", "Frame", "HostHandshake",
    "Intake", "Outbox", "ProtocolError", "ReceiveWindow", "SendStream", "answer", "control", "data_header", "encode",
    "excess", "from_json", "marker", "nonce_of", "room", "split",
]  # fmt: skip

_LATER: Final = {
    "arguments": ("excess", "room"),
    "handshake": (
        "MARKER_LENGTH", "TOKEN_LENGTH", "AgentHandshake", "HostHandshake", "answer", "marker", "nonce_of",
    ),
    "intake": ("Intake",),
    "streams": ("Outbox", "ReceiveWindow", "SendStream"),
}  # fmt: skip
"""What a command that asks the core for one thing does not need. It is imported when it is first used."""


def __getattr__(name: str) -> object:
    for module, names in _LATER.items():
        if name in names:
            source = __import__(f"{__package__}.{module}", fromlist=names)
            globals().update({each: getattr(source, each) for each in names})
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
