"""Secrets of a sandbox: values that its core puts into what it sends to one host, and that are never in the sandbox."""

from __future__ import annotations

from .record import Part, Record

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from .limits import Text


class Secret(Record):
    """A secret of a sandbox, less its value.

    Attributes:
        name: of the environment variable that has the placeholder.
        host: the host that gets the value, by TLS alone.
        port: on which.
        file: the file of the core's host that the value is read from, at each connection; None for one that was given.
        known: whether the core has the value, or a file for it. A core keeps what it was given in memory alone: the
            next one has to be given it again.
    """

    name: str
    host: str
    port: int
    file: str | None = None
    known: bool


class GivenSecret(Part):
    """A secret with its value, or with the file that the value is in: one of both.

    Attributes:
        name: of an environment variable.
        host: HOST or HOST:PORT; without a port it is 443.
        value: 8 to 4,096 visible characters of ASCII.
        file: an absolute path on the core's host.
    """

    name: Text
    host: Text
    value: str | None = None
    file: Text | None = None

    def __repr__(self) -> str:
        """Without the value: this is what logs and tracebacks show."""
        return f"GivenSecret(name={self.name!r}, host={self.host!r}, file={self.file!r})"
