"""What an image's config says of the programs that run in it: the defaults of sandboxes made from it.

Source: OCI image specification, "OCI Image Configuration"; Docker's has the same fields.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import ImageError
from sandtop.core.guest.containers.documents import get_list, get_object, get_text

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CHARACTERS: Final = 128 * 1024
"""Characters of all texts of a config that sandboxes get: as many as the environment of a sandbox may have."""
_PORT: Final = re.compile(r"[0-9]{1,5}(?:-[0-9]{1,5})?(?:/(?:tcp|udp|sctp))?")


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """The defaults that an image has.

    Attributes:
        env: the environment, names and values.
        user: a name, a uid, ``uid:gid`` …; empty for root.
        workdir: where programs begin; empty for ``/``.
        entrypoint: the program, and its first arguments; what is run are they and the command.
        cmd: the command where none is given.
        stop_signal: by which its program is asked to end; empty for SIGTERM.
        labels: names and values.
        volumes: folders whose content is meant to outlive a container; nothing is mounted there.
        ports: those that its programs listen on, as ``80/tcp``; none is opened.
    """

    env: Mapping[str, str] = field(default_factory=dict[str, str])
    user: str = ""
    workdir: str = ""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    stop_signal: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    volumes: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()

    @classmethod
    def of(cls, document: Mapping[str, object], doing: str) -> ContainerConfig:
        """The ``config`` of an image's configuration. Raises `ImageError`, which begins with ``doing``."""
        raw = get_object(document, "config", doing)
        env = dict[str, str]()
        for entry in _texts(raw, "Env", doing):
            name, equals, value = entry.partition("=")
            if name and equals:  # docker ignores others
                env[name] = value
        labels = get_object(raw, "Labels", doing)
        made = cls(
            env=env,
            user=_text(get_text(raw, "User", doing), "User", doing),
            workdir=_path(get_text(raw, "WorkingDir", doing), "WorkingDir", doing),
            entrypoint=_texts(raw, "Entrypoint", doing),
            cmd=_texts(raw, "Cmd", doing),
            stop_signal=_text(get_text(raw, "StopSignal", doing), "StopSignal", doing),
            labels={
                name: _text(value, "Labels", doing)
                for name, value in labels.items()
                if name and not {"=", "\0"} & {*name}  # which no label of a sandbox can be called
            },
            volumes=tuple(_path(path, "Volumes", doing) for path in get_object(raw, "Volumes", doing)),
            ports=tuple(port for port in get_object(raw, "ExposedPorts", doing) if _PORT.fullmatch(port)),
        )
        if made.characters() > MAX_CHARACTERS:
            raise ImageError(f"{doing}: its config has more than {MAX_CHARACTERS >> 10} Ki characters")
        return made

    @classmethod
    def from_json(cls, data: Mapping[str, object], doing: str) -> ContainerConfig:
        """The inverse of `dataclasses.asdict`. Raises `ImageError`."""
        env, labels = (get_object(data, name, doing) for name in ("env", "labels"))
        return cls(
            env={name: _text(value, "env", doing) for name, value in env.items()},
            user=get_text(data, "user", doing),
            workdir=get_text(data, "workdir", doing),
            entrypoint=_texts(data, "entrypoint", doing),
            cmd=_texts(data, "cmd", doing),
            stop_signal=get_text(data, "stop_signal", doing),
            labels={name: _text(value, "labels", doing) for name, value in labels.items()},
            volumes=_texts(data, "volumes", doing),
            ports=_texts(data, "ports", doing),
        )

    def document(self) -> dict[str, object]:
        """The JSON object ``config`` of an image's configuration, as `of` reads it."""
        return {
            "Env": [f"{name}={value}" for name, value in self.env.items()],
            "User": self.user,
            "WorkingDir": self.workdir,
            "Entrypoint": [*self.entrypoint],
            "Cmd": [*self.cmd],
            "StopSignal": self.stop_signal,
            "Labels": dict(self.labels),
            "Volumes": {path: {} for path in self.volumes},
            "ExposedPorts": {port: {} for port in self.ports},
        }

    def characters(self) -> int:
        """How many characters all its texts have."""
        pairs = [*self.env.items(), *self.labels.items()]
        texts = (
            self.user,
            self.workdir,
            self.stop_signal,
            *self.entrypoint,
            *self.cmd,
            *self.volumes,
            *self.ports,
        )
        return sum(map(len, texts)) + sum(len(name) + len(value) for name, value in pairs)


def _text(value: object, key: str, doing: str) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ImageError(f"{doing}: {key} of its config is no text")
    return value


def _texts(document: Mapping[str, object], key: str, doing: str) -> tuple[str, ...]:
    return tuple(_text(value, key, doing) for value in get_list(document, key, doing))


def _path(text: str, key: str, doing: str) -> str:
    """An absolute path without ``..``; empty for an empty one. Docker takes a relative one from the root."""
    if not text:
        return ""
    parts = [part for part in _text(text, key, doing).split("/") if part not in ("", ".")]
    if ".." in parts or len(text) > 4096:
        raise ImageError(f"{doing}: {key} of its config is no path: {text!r:.80}")
    return "/" + "/".join(parts)
