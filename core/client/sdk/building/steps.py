"""What the instructions of a stage come to: steps, each known by a key of all that it depends on."""

from __future__ import annotations

import hashlib
import json
import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sandtop.core.dockerfile import Settings, expand, split
from sandtop.core.errors import InvalidRequest

from .archives import is_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sandtop.core.dockerfile import Dockerfile, Instruction

    from .context import Context, Selected

_VERSION: Final = "1"
"""Of how steps are taken: those of another are taken again."""
_URLS: Final = ("http://", "https://", "git@", "git://", "ssh://")


@dataclass(frozen=True, slots=True)
class Run:
    """A program to be run."""

    argv: Sequence[str]
    env: Mapping[str, str]
    user: str
    workdir: str


@dataclass(frozen=True, slots=True)
class Copy:
    """Files to be copied to ``target``: ``selected`` ones of the context, or ``sources`` of another stage.

    Attributes:
        stage: its number, of those that there are.
        owner: whom they are to belong to, as ``user:group``; empty for root, or whom they belong to in the stage.
        mode: that they get; None for their own.
        archive: a tar of the context whose content is copied.
    """

    sources: Sequence[str]
    target: str
    selected: Selected | None = None
    stage: int | None = None
    owner: str = ""
    mode: int | None = None
    archive: str | None = None


@dataclass(slots=True)
class Step:
    """An instruction to be carried out.

    Attributes:
        key: of what has a layer; None of what changes the configuration alone.
        work: that of the layer.
        workdir: the folder that a WORKDIR sees to.
        settings: the configuration after it.
    """

    instruction: Instruction
    settings: Settings
    key: str | None = None
    work: Run | Copy | None = None
    workdir: str | None = None


@dataclass(slots=True)
class Planned:
    """A stage that is planned.

    Attributes:
        chain: what the next key is made of.
        image: the image that it begins from; empty when that is ``scratch``.
        settings: the configuration at its beginning; and in the end, that at its end.
        key: the step that it begins after; None: its image is all.
        root: the step that all of the image is, where its layers are not known; else None.
        below: the number of the stage that it begins from; None when that is an image.
        cold: whether the image has no template to go on from.
        begun: the configuration at its beginning.
    """

    chain: str
    image: str
    settings: Settings
    key: str | None = None
    root: str | None = None
    below: int | None = None
    cold: bool = False
    begun: Settings = field(init=False)
    steps: list[Step] = field(default_factory=list[Step])

    def __post_init__(self) -> None:
        self.begun = self.settings.frozen()

    @property
    def last(self) -> str | None:
        """The key of its last step that has one, or of what it begins from."""
        return next((step.key for step in reversed(self.steps) if step.key is not None), self.key)


def key_of(*parts: object) -> str:
    """A key of all ``parts``, such as JSON takes them."""
    return hashlib.sha256(json.dumps([_VERSION, *parts], sort_keys=True).encode()).hexdigest()


class Planner:
    """Plans stages, before anything is run. ``stages`` are those that are planned already, by number.

    ``find`` gives the number of the stage that an instruction copies from, which is planned then.
    """

    def __init__(
        self,
        dockerfile: Dockerfile,
        context: Context,
        find: Callable[[str, int], int],
        chains: Mapping[int, Planned],
    ) -> None:
        self._dockerfile = dockerfile
        self._context = context
        self._find = find
        self._chains = chains

    def plan(self, number: int, stage: Planned) -> None:
        """Add its steps. Raises `InvalidRequest`, by line and name."""
        dockerfile = self._dockerfile
        settings, chain = stage.settings, stage.chain
        arguments = dockerfile.proxies()
        for one in dockerfile.stages[number].instructions:
            try:
                if one.name == "ARG":
                    arguments |= dockerfile.declared(one.text, {**arguments, **settings.env})
                    continue
                step = self._step(one, number, settings, arguments, chain)
            except InvalidRequest as error:
                if error.message.startswith("line "):
                    raise
                named = one.refused(error.message)
                named.hint = error.hint
                raise named from error
            chain = step.key or chain
            stage.steps.append(step)
        stage.chain = chain

    def _step(
        self, one: Instruction, number: int, settings: Settings, arguments: Mapping[str, str], chain: str
    ) -> Step:
        if settings.apply(one, arguments, self._dockerfile.escape):
            workdir = settings.workdir if one.name == "WORKDIR" else None
            return Step(one, settings.frozen(), workdir=workdir)
        if one.name == "RUN":
            env = {**arguments, **settings.env}
            run = Run(settings.command(one), env, settings.user, settings.workdir or "/")
            key = key_of("run", chain, run.argv, env, run.user, run.workdir)
            return Step(one, settings.frozen(), key, run)
        copy = self._copy(one, number, settings, arguments)
        digest = copy.selected.digest() if copy.selected is not None else ""
        below = self._chains[copy.stage].chain if copy.stage is not None else ""
        facts = [*copy.sources] if copy.stage is not None else []
        key = key_of(
            one.name,
            chain,
            copy.target,
            copy.owner,
            copy.mode,
            copy.archive is not None,
            digest,
            below,
            facts,
        )
        return Step(one, settings.frozen(), key, copy)

    def _copy(self, one: Instruction, number: int, settings: Settings, arguments: Mapping[str, str]) -> Copy:
        variables, escape = {**arguments, **settings.env}, self._dockerfile.escape
        words = (
            split(one.text, variables, escape)
            if one.argv is None
            else [expand(word, variables, escape) for word in one.argv]
        )
        if len(words) < 2:
            raise InvalidRequest("it takes SOURCE… TARGET")
        *sources, target = words
        if len(sources) > 1 and not target.endswith("/"):
            raise InvalidRequest(f"several sources need a folder: {target!r:.60} has no slash at its end")
        folder = "/" if target.endswith("/") or target in (".", "./") else ""
        whole = posixpath.normpath(posixpath.join("/", settings.workdir, target)).rstrip("/") + folder
        owner = expand(one.flags.get("chown", ""), variables, escape)
        owner = owner if not owner or ":" in owner else f"{owner}:{owner}"
        mode = int(one.flags["chmod"], 8) if "chmod" in one.flags else None
        if "from" in one.flags:
            if mode is not None:
                raise InvalidRequest("--chmod with --from is not supported")
            if any({*"*?["} & {*source} for source in sources):
                raise InvalidRequest("patterns with --from are not supported: name the files")
            stage = self._find(expand(one.flags["from"], variables, escape), number)
            paths = [posixpath.normpath(posixpath.join("/", source)) for source in sources]
            return Copy(paths, whole or "/", stage=stage, owner=owner)
        if one.name == "ADD" and any(source.startswith(_URLS) for source in sources):
            raise InvalidRequest("only files of the context can be added: RUN can fetch others")
        selected = self._context.select(sources)
        archive = None
        if one.name == "ADD" and len(selected.entries) == 1 and not selected.into_folder:
            path = selected.entries[0].path
            archive = path if is_archive(path) else None
        elif one.name == "ADD" and any(
            is_archive(entry.path) for entry in selected.entries if "/" not in entry.name
        ):
            raise InvalidRequest("an archive is added alone: give each a line of its own")
        return Copy(sources, whole or "/", selected=selected, owner=owner, mode=mode, archive=archive)
