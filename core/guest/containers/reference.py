"""The names of images in registries, such as docker(1) takes them.

Grammar and defaults: the ``reference`` package of docker/distribution (a tag, a digest, what is a registry's name) and
its "familiar names": ``debian`` is ``docker.io/library/debian:latest``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sandtop.core.errors import InvalidRequest

MAX_LENGTH: Final = 200
"""Characters of a name, so that a file can be called by it."""
_HUB: Final = "docker.io"
_HUB_TOO: Final = "index.docker.io"
_OFFICIAL: Final = "library/"
_LATEST: Final = "latest"
_PART: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY: Final = re.compile(rf"{_PART}(?:/{_PART})*")
_REGISTRY: Final = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
)
_WHOLE: Final = re.compile(
    r"(?P<name>[^@]+?)(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """An image in a registry, by a tag or a digest; with both, the digest counts.

    Attributes:
        registry: its host, with a port where one is given.
        repository: with ``library/`` before the official ones of Docker Hub.
        tag: empty where only a digest is given.
        digest: as ``sha256:…``, or empty.
    """

    registry: str
    repository: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        """``debian``, ``debian:12``, ``ghcr.io/user/image:tag``, ``localhost:5000/a@sha256:…``.

        Raises `InvalidRequest` for what is none.
        """
        found = _WHOLE.fullmatch(text) if len(text) <= MAX_LENGTH else None
        if found is not None:
            registry, repository = _apart(found["name"])
            if _REGISTRY.fullmatch(registry) and _REPOSITORY.fullmatch(repository):
                digest = found["digest"] or ""
                return cls(registry, repository, found["tag"] or ("" if digest else _LATEST), digest)
        raise InvalidRequest(
            f"{text!r:.100} is no name of an image in a registry",
            hint="such as debian:12, ghcr.io/user/image:tag or localhost:5000/image@sha256:…",
        )

    @property
    def remote(self) -> str:
        """The reference as clients of registries take it, with a tag or a digest."""
        return f"{self.registry}/{self.repository}{self._end}"

    @property
    def familiar(self) -> str:
        """The reference as people write it: without what is there by default, except the tag."""
        if self.registry == _HUB:
            return self.repository.removeprefix(_OFFICIAL) + self._end
        return self.remote

    def pinned(self, digest: str) -> str:
        """The reference to the image with this digest in the same repository."""
        return f"{self.registry}/{self.repository}@{digest}"

    @property
    def _end(self) -> str:
        return f"@{self.digest}" if self.digest else f":{self.tag}"


def _apart(name: str) -> tuple[str, str]:
    """The registry and the repository of a name without tag and digest."""
    first, slash, behind = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, repository = first, behind
    else:
        registry, repository = _HUB, name
    if registry == _HUB_TOO:
        registry = _HUB
    if registry == _HUB and "/" not in repository:
        repository = _OFFICIAL + repository
    return registry, repository
