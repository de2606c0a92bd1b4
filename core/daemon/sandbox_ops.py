"""The operations on sandboxes and images.

``repeated`` says that the same request was made before, of a core that died: what it asks for may be done already.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from sandtop.core.daemon.connection import ClientGone
from sandtop.core.daemon.views import page, sandbox_view
from sandtop.core.errors import InvalidRequest, NotFound, WrongState
from sandtop.core.fleet import State, accelerator_from_request, check_name, config_from_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sandtop.core.daemon.connection import Connection
    from sandtop.core.fleet import Fleet
    from sandtop.core.guest import GuestStore, Image
    from sandtop.core.templates import TemplateInfo

Result = dict[str, object]


async def create(
    fleet: Fleet, request: Mapping[str, object], progress: Callable[[str], None], *, repeated: bool
) -> Result:
    """``sandbox.create``."""
    name = check_name(request.get("name"))
    config = config_from_request(request)
    request_id = request.get("request_id")
    known = request_id if isinstance(request_id, str) else ""
    sandbox = await fleet.create(name, config, known, progress, cold=request.get("cold") is True)
    return {"sandbox": sandbox_view(sandbox)}


async def start(
    fleet: Fleet, request: Mapping[str, object], progress: Callable[[str], None], *, repeated: bool
) -> Result:
    """``sandbox.start``."""
    sandbox = fleet.get(request.get("sandbox"))
    if not (repeated and sandbox.state is State.RUNNING):
        accelerator = accelerator_from_request(request)
        await sandbox.start(progress, cold=request.get("cold") is True, accelerator=accelerator)
    return {"sandbox": sandbox_view(sandbox)}


async def stop(
    fleet: Fleet, request: Mapping[str, object], progress: Callable[[str], None], *, repeated: bool
) -> Result:
    """``sandbox.stop``."""
    sandbox = fleet.get(request.get("sandbox"))
    if not (repeated and sandbox.state is State.STOPPED):
        await sandbox.stop(force=request.get("force") is True)
    return {"sandbox": sandbox_view(sandbox)}


async def restart(
    fleet: Fleet, request: Mapping[str, object], progress: Callable[[str], None], *, repeated: bool
) -> Result:
    """``sandbox.restart``."""
    sandbox = fleet.get(request.get("sandbox"))
    force, cold = request.get("force") is True, request.get("cold") is True
    await sandbox.restart(progress, force=force, cold=cold, accelerator=accelerator_from_request(request))
    return {"sandbox": sandbox_view(sandbox)}


async def pause(
    fleet: Fleet, request: Mapping[str, object], progress: Callable[[str], None], *, repeated: bool
) -> Result:
    """``sandbox.pause``."""
    sandbox = fleet.get(request.get("sandbox"))
    if not (repeated and sandbox.state is State.PAUSED):
        await sandbox.pause()
    return {"sandbox": sandbox_view(sandbox)}


async def resume(
    fleet: Fleet, request: Mapping[str, object], progress: Callable[[str], None], *, repeated: bool
) -> Result:
    """``sandbox.resume``."""
    sandbox = fleet.get(request.get("sandbox"))
    if not (repeated and sandbox.state is State.RUNNING and sandbox.stands_still is None):
        await sandbox.resume()
    return {"sandbox": sandbox_view(sandbox)}


async def remove(
    fleet: Fleet, request: Mapping[str, object], progress: Callable[[str], None], *, repeated: bool
) -> Result:
    """``sandbox.rm``."""
    try:
        sandbox = fleet.get(request.get("sandbox"))
    except NotFound:
        if repeated:
            return {}
        raise
    await fleet.remove(
        sandbox, force=request.get("force") is True, keep_history=request.get("keep_history") is True
    )
    return {}


def acknowledge(fleet: Fleet, request: Mapping[str, object]) -> Result:
    """``sandbox.acknowledge``: somebody has seen that it failed."""
    sandbox = fleet.get(request.get("sandbox"))
    sandbox.record.acknowledge()
    return {"sandbox": sandbox_view(sandbox)}


def list_sandboxes(fleet: Fleet, request: Mapping[str, object]) -> Result:
    """``sandbox.list``."""
    found, more = page(fleet.all(), sandbox_view, "uuid", request.get("before"))
    return {"sandboxes": found, "more": more}


def inspect(fleet: Fleet, request: Mapping[str, object]) -> Result:
    """``sandbox.inspect``: the sandbox, with how the driver runs its machine as data."""
    sandbox = fleet.get(request.get("sandbox"))
    machine: dict[str, object] | None = None
    if sandbox.machine is not None:
        machine = sandbox.machine.vm.facts(sandbox.machine.spec)
    return {
        "sandbox": sandbox_view(sandbox),
        "machine": machine,
        "timings": dict(sandbox.timings),
        "console": sandbox.machine.vm.console_tail() if sandbox.machine else None,
        "image_digest": sandbox.row.image_digest,
        "folder": str(sandbox.folder),
    }


async def ping(fleet: Fleet, request: Mapping[str, object]) -> Result:
    """``sandbox.ping``: the agent's round trip in seconds."""
    sandbox = fleet.get(request.get("sandbox"))
    await sandbox.adopted()
    return {"seconds": await sandbox.running_machine("ping").link.ping()}


async def hold(fleet: Fleet, connection: Connection, request: Mapping[str, object]) -> Result | None:
    """``sandbox.hold``: the sandbox lives as long as this connection, if it was made ephemeral."""
    sandbox = fleet.get(request.get("sandbox"))
    fleet.hold(sandbox)
    try:
        await connection.message("held", {"sandbox": sandbox_view(sandbox)})
        while True:
            await connection.receive()
    except ClientGone:
        return None
    finally:
        with trio.CancelScope(shield=True):
            await fleet.let_go(sandbox)


# images


def _image_view(
    image: Image, users: Mapping[str, str], templates: Sequence[TemplateInfo] = (), standing_by: int = 0
) -> Result:
    its = [template for template in templates if template.image_digest == image.digest]
    return {
        "name": image.name,
        "digest": image.digest,
        "size": image.size,
        "created_at": image.created_at,
        "source": image.source,
        "used_by": users.get(image.digest),
        "templates": len(its),
        "template_size": sum(template.size for template in its),
        "templates_outdated": sum(template.outdated for template in its),
        "standing_by": standing_by,
    }


async def list_images(guest: GuestStore, fleet: Fleet, request: Mapping[str, object]) -> Result:
    """``image.list``."""
    images = await trio.to_thread.run_sync(guest.images)
    templates = await trio.to_thread.run_sync(fleet.templates.on_disk)
    users = fleet.images_in_use()
    ready = fleet.standing_by
    return {"images": [_image_view(image, users, templates, ready.get(image.digest, 0)) for image in images]}


async def build_image(
    guest: GuestStore,
    fleet: Fleet,
    request: Mapping[str, object],
    progress: Callable[[str], None],
    *,
    repeated: bool,
) -> Result:
    """``image.build``."""
    name, source = request.get("name"), request.get("source")
    if not isinstance(name, str):
        raise InvalidRequest("the image needs a name")

    def tell(line: str) -> None:
        trio.from_thread.run_sync(progress, line)

    if source is None:
        if name != "base":
            raise InvalidRequest(
                f"what should the image {name} be built from?", hint="give a folder or a tar: --from DIR|TAR"
            )
        image = await trio.to_thread.run_sync(partial(guest.build_base, tell))
    else:
        path = Path(str(source))
        if not path.is_absolute():
            raise InvalidRequest(f"{path} is not an absolute path")
        image = await trio.to_thread.run_sync(partial(guest.build_image, name, path, tell))
    await _prune(guest, fleet)
    return {"image": _image_view(image, fleet.images_in_use())}


async def warm_image(
    fleet: Fleet, request: Mapping[str, object], progress: Callable[[str], None], *, repeated: bool
) -> Result:
    """``image.warm``: the fields of `create` that make a shape."""
    await fleet.prepare(config_from_request(request), progress)
    return {}


async def remove_image(guest: GuestStore, fleet: Fleet, request: Mapping[str, object]) -> Result:
    """``image.rm``. Raises `WrongState` while a sandbox is made of it."""
    name = request.get("name")
    if not isinstance(name, str):
        raise InvalidRequest("which image? Its name is missing", hint="sandtop image ls lists them")
    image = await trio.to_thread.run_sync(guest.image, name)
    user = fleet.images_in_use().get(image.digest)
    if user is not None:
        raise WrongState(
            f"the image {name} is used by the sandbox {user}",
            sandbox=user,
            hint=f"remove that first: sandtop rm {user}",
        )
    await trio.to_thread.run_sync(guest.remove_image, name)
    await _prune(guest, fleet)
    return {}


async def _prune(guest: GuestStore, fleet: Fleet) -> None:
    """Free what images that no name and no sandbox has any more, and their templates, take on the disk."""
    await trio.to_thread.run_sync(guest.prune_images, list(fleet.images_in_use()))
    named = {image.digest for image in await trio.to_thread.run_sync(guest.images)}
    await fleet.forget_images(named | fleet.images_in_use().keys())
