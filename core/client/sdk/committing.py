"""Making an image of a sandbox: the SDK's ``commit``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandtop.core.client.link.asynchronous import call
from sandtop.core.contract.image import ImageCommit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandtop.core.contract.image import ImageInfo
    from sandtop.core.contract.sandbox import SandboxInfo


class Committable:
    """What a sandbox has to become an image."""

    _info: SandboxInfo

    async def commit(
        self, name: str, *, changes: Sequence[str] = (), progress: Callable[[str], None] | None = None
    ) -> ImageInfo:
        """Make the image ``name`` of what is in it now: its image, and its own changes as a layer on top.

        Its programs stand still meanwhile. The environment, the user and the directory are those of the sandbox, all
        else its image's; ``changes`` are lines of a Dockerfile, such as ``'CMD ["server"]'``. Raises `WrongState` when
        it does not run, `InvalidRequest`, `ImageError`.
        """
        request = ImageCommit(sandbox=self._info.uuid, name=name, changes=[*changes])
        return (await call(request, progress)).image
