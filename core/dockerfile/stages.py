"""The stages of a Dockerfile: what each begins from, and its instructions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sandtop.core.dockerfile.instructions import Instruction, instruction
from sandtop.core.dockerfile.lines import escape_of, logical_lines
from sandtop.core.dockerfile.words import expand, split
from sandtop.core.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

SCRATCH: Final = "scratch"
"""What a stage begins from that begins from nothing."""
_NAME: Final = re.compile(r"[a-z][a-z0-9_.-]*")
_AS: Final = re.compile(r"(?P<base>\S+)(?:\s+[aA][sS]\s+(?P<name>\S+))?")
_PLATFORM: Final = {
    f"{side}{part}": value
    for side in ("BUILD", "TARGET")
    for part, value in (("PLATFORM", "linux/amd64"), ("OS", "linux"), ("ARCH", "amd64"))
}
"""Arguments that are there without being given, for those who declare them."""
_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
_PREDEFINED: Final = frozenset((*_PROXIES, *map(str.lower, _PROXIES)))


@dataclass(slots=True)
class Stage:
    """A stage.

    Attributes:
        name: as others call it; its number, from 0, does as well.
        base: an image, another stage's name, or `SCRATCH`.
        line: that of its FROM.
    """

    name: str
    base: str
    line: int
    instructions: list[Instruction] = field(default_factory=list[Instruction])


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A Dockerfile.

    Attributes:
        escape: the character that takes their meaning from others.
        arguments: those before the first stage, with their values.
        given: those that whoever builds gave.
        warnings: lines about what is left out.
    """

    escape: str
    stages: tuple[Stage, ...]
    arguments: Mapping[str, str]
    given: Mapping[str, str]
    warnings: tuple[str, ...]

    def stage(self, name: str, before: int) -> int | None:
        """The number of the stage that is called ``name``, one of the first ``before``; None when it is no stage."""
        for number in range(before - 1, -1, -1):
            if self.stages[number].name == name.lower() or str(number) == name:
                return number
        return None

    def declared(self, text: str, variables: Mapping[str, str], *, top: bool = False) -> dict[str, str]:
        """The arguments that an ARG with these words declares. One without a value is not among them."""
        found = dict[str, str]()
        for word in split(text, {**variables}, self.escape):
            name, equals, value = word.partition("=")
            outer = {} if top else {**_PLATFORM, **self.arguments}
            if name in self.given:
                found[name] = self.given[name]
            elif equals:
                found[name] = value
            elif name in outer:
                found[name] = outer[name]
        return found

    def proxies(self) -> dict[str, str]:
        """The given arguments that count without being declared: proxies, as of ``docker build``."""
        return {name: value for name, value in self.given.items() if name in _PREDEFINED}


def parse(source: str, given: Mapping[str, str]) -> Dockerfile:
    """Raises `InvalidRequest`, by line and name, for whatever cannot be built."""
    escape = escape_of(source)
    every = [instruction(line) for line in logical_lines(source, escape)]
    first = next((at for at, one in enumerate(every) if one.name == "FROM"), None)
    if first is None:
        raise InvalidRequest("it has no FROM")
    early = next((one for one in every[:first] if one.name != "ARG"), None)
    if early is not None:
        raise early.refused("it is before the first FROM")
    made = Dockerfile(escape, (), {}, given, ())
    arguments = dict[str, str]()
    for one in every[:first]:
        arguments.update(made.declared(one.text, arguments, top=True))
    stages = list[Stage]()
    for one in every[first:]:
        if one.name == "FROM":
            stages.append(_stage(one, arguments, escape))
        elif not one.ignored:
            stages[-1].instructions.append(one)
    return Dockerfile(escape, tuple(stages), arguments, given, _warnings(every, given))


def _stage(one: Instruction, arguments: Mapping[str, str], escape: str) -> Stage:
    found = _AS.fullmatch(one.text)
    if found is None:
        raise one.refused("it takes IMAGE, or IMAGE AS NAME")
    base, name = expand(found["base"], arguments, escape), (found["name"] or "").lower()
    if not base:
        raise one.refused(f"{found['base']!r:.60} is nothing: is an ARG before it not given?")
    if name and not _NAME.fullmatch(name):
        raise one.refused(f"{name!r:.60} is no name for a stage")
    return Stage(name, base, one.line)


def _warnings(every: list[Instruction], given: Mapping[str, str]) -> tuple[str, ...]:
    lines = [
        f"line {one.line}: {one.name} is left out: nothing here asks for it" for one in every if one.ignored
    ]
    declared = {word.partition("=")[0] for one in every if one.name == "ARG" for word in one.text.split()}
    unused = sorted({*given} - declared - _PREDEFINED)
    return (*lines, *(f"no ARG declares {name}: it was given for nothing" for name in unused))
