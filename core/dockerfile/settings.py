"""What instructions make of an image's configuration: those that change no file."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from sandtop.core.dockerfile.instructions import Instruction, instruction
from sandtop.core.dockerfile.lines import Line
from sandtop.core.dockerfile.words import expand, split
from sandtop.core.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PORT: Final = re.compile(r"([0-9]{1,5}(?:-[0-9]{1,5})?)(?:/(tcp|udp|sctp))?", re.IGNORECASE)
_CHANGES: Final = ("CMD", "ENTRYPOINT", "ENV", "EXPOSE", "LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR")
"""The instructions that ``commit --change`` takes."""
_PAIR: Final = re.compile(r"""(?:"[^"]*"|'[^']*'|[^\s="'])+=""")
SHELL: Final = ("/bin/sh", "-c")


@dataclass(slots=True)
class Settings:
    """A configuration, as it is changed line by line. The fields are those of `ImageConfig` in the contract.

    Attributes:
        shell: what the shell forms of RUN, CMD and ENTRYPOINT are run by.
        own_cmd: whether ``cmd`` is of this Dockerfile: an ENTRYPOINT forgets that of the image before it.
    """

    env: dict[str, str] = field(default_factory=dict[str, str])
    user: str = ""
    workdir: str = ""
    entrypoint: list[str] = field(default_factory=list[str])
    cmd: list[str] = field(default_factory=list[str])
    stop_signal: str = ""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    volumes: list[str] = field(default_factory=list[str])
    ports: list[str] = field(default_factory=list[str])
    shell: tuple[str, ...] = SHELL
    own_cmd: bool = False

    def frozen(self) -> Self:
        """A copy as things are now. SHELL and ``own_cmd``, which count within one stage, are as at its start."""
        return type(self)(
            dict(self.env), self.user, self.workdir, [*self.entrypoint], [*self.cmd], self.stop_signal,
            dict(self.labels), [*self.volumes], [*self.ports],
        )  # fmt: skip

    def apply(self, one: Instruction, variables: Mapping[str, str], escape: str = "\\") -> bool:
        """Do what ``one`` says; whether it is of those that change no file. Raises `InvalidRequest`."""
        try:
            return self._apply(one, variables, escape)
        except InvalidRequest as error:
            raise error if error.message.startswith("line ") else one.refused(error.message) from error

    def _apply(self, one: Instruction, variables: Mapping[str, str], escape: str) -> bool:
        whole = {**variables, **self.env}
        match one.name:
            case "ENV":
                self.env.update(_pairs(one, whole, escape))
            case "LABEL":
                self.labels.update(_pairs(one, whole, escape))
            case "USER":
                self.user = expand(one.text, whole, escape)
            case "WORKDIR":
                self.workdir = posixpath.normpath(
                    posixpath.join("/", self.workdir, expand(one.text, whole, escape))
                )
            case "STOPSIGNAL":
                self.stop_signal = expand(one.text, whole, escape)
            case "VOLUME":
                words = one.argv if one.argv is not None else split(one.text, whole, escape)
                self.volumes += [word for word in words if word not in self.volumes]
            case "EXPOSE":
                self._expose(split(one.text, whole, escape))
            case "SHELL":
                self.shell = one.argv or SHELL
            case "CMD":
                self.cmd, self.own_cmd = self.command(one), True
            case "ENTRYPOINT":
                self.entrypoint = self.command(one)
                if not self.own_cmd:
                    self.cmd = []
            case _:
                return False
        return True

    def command(self, one: Instruction) -> list[str]:
        """What ``one``, a RUN, CMD or ENTRYPOINT, runs."""
        if one.argv is not None:
            return [*one.argv]
        return [*self.shell, one.text] if one.text else []

    def _expose(self, words: Sequence[str]) -> None:
        for word in words:
            found = _PORT.fullmatch(word)
            if found is None:
                raise InvalidRequest(f"{word!r:.40} is no port, such as 80, 53/udp or 8000-8010")
            port = f"{found[1]}/{(found[2] or 'tcp').lower()}"
            if port not in self.ports:
                self.ports.append(port)


def change(settings: Settings, text: str) -> None:
    """Apply a line such as ``CMD ["sh"]``. Raises `InvalidRequest`."""
    try:
        one = instruction(Line(1, text.strip()))
    except InvalidRequest as error:
        raise InvalidRequest(f"{text!r:.60}: {error.message.removeprefix('line 1: ')}") from error
    if one.name not in _CHANGES:
        raise InvalidRequest(
            f"{one.name} is no change of a configuration", hint=f"one of {', '.join(_CHANGES)}"
        )
    try:
        settings.apply(one, {})
    except InvalidRequest as error:
        raise InvalidRequest(error.message.removeprefix("line 1: ")) from error


def _pairs(one: Instruction, variables: Mapping[str, str], escape: str) -> dict[str, str]:
    """Names and values: ``a=b c="d e"``, or the old form ``a b c``, which is one."""
    if not _PAIR.match(one.text):
        first = one.text.split(None, 1)
        if len(first) < 2:
            raise InvalidRequest(f"{first[0]!r:.60} has no value")
        return {expand(first[0], variables, escape): expand(first[1], variables, escape)}
    found = dict[str, str]()
    for word in split(one.text, variables, escape):
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise InvalidRequest(f"{word!r:.60} is no NAME=VALUE")
        found[name] = value
    return found
