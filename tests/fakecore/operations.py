"""What the fake core does for each operation of the contract."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

from sandtop import __version__
from sandtop.agent.wire import split
from sandtop.core.contract import core as cores
from sandtop.core.contract import image as images
from sandtop.core.contract import sandbox as sandboxes
from sandtop.core.contract import session as sessions
from sandtop.core.contract.net import NetLog
from sandtop.core.contract.record import Nothing, Record
from sandtop.core.contract.session_results import (
    ScreenAnswer,
    SessionAnswer,
    SessionEnd,
    SessionPage,
    SessionsAnswer,
)
from sandtop.core.errors import InvalidRequest, NotFound, WrongState
from sandtop.core.screens.look import look
from sandtop.core.terminal import Emulator

from . import watching
from .following import Follower, send_log
from .state import sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandtop.core.contract.record import Request

    from .core import FakeCore
    from .link import Conn

_SCREEN: Final = 3


def _status(core: FakeCore, conn: Conn, request: cores.Status) -> cores.CoreStatus:
    running = sum(raw["state"] == "running" for raw in core.sandboxes.values())
    return cores.CoreStatus(
        pid=os.getpid(),
        version=__version__,
        started_at=core.clock(),
        sandboxes=len(core.sandboxes),
        running=running,
        socket=str(core.path),
        home=str(core.path.parent),
    )


def _metrics(core: FakeCore, conn: Conn, request: cores.Metrics) -> cores.Address:
    return cores.Address(address=request.address)


def _stop(core: FakeCore, conn: Conn, request: cores.Stop) -> None:
    conn.result(cores.Stopped(pid=os.getpid()))
    core.start(core.die)


# sandboxes


def _create(core: FakeCore, conn: Conn, request: sandboxes.SandboxCreate) -> sandboxes.SandboxAnswer:
    if request.name in core.sandboxes:
        raise InvalidRequest("the name is taken")
    conn.message("progress", message="booting")
    names = (
        "image",
        "cpus",
        "memory",
        "disk",
        "network",
        "env",
        "workdir",
        "shell",
        "user",
        "labels",
        "accelerator",
    )
    given = {name: value for name in names if (value := getattr(request, name)) is not None}
    now = core.clock()
    raw = sandbox(request.name, created_at=now, started_at=now) | given
    core.change(lambda: core.sandboxes.update({request.name: raw}))
    return sandboxes.SandboxAnswer(sandbox=core.info(raw))


def _list(core: FakeCore, conn: Conn, request: sandboxes.SandboxList) -> sandboxes.SandboxPage:
    return sandboxes.SandboxPage(sandboxes=[core.info(raw) for raw in core.sandboxes.values()])


def _inspect(core: FakeCore, conn: Conn, request: sandboxes.SandboxInspect) -> sandboxes.Inspection:
    return sandboxes.Inspection(
        sandbox=core.info(core.find_sandbox(request.sandbox)),
        machine={"command": ["qemu"]},
        timings={},
        image_digest="0" * 64,
        folder="/nowhere",
    )


def _becomes(state: str) -> Callable[[FakeCore, Conn, Any], sandboxes.SandboxAnswer]:
    def change(core: FakeCore, conn: Conn, request: sandboxes.SandboxPause) -> sandboxes.SandboxAnswer:
        raw = core.find_sandbox(request.sandbox)
        core.change(lambda: raw.update(state=state))
        return sandboxes.SandboxAnswer(sandbox=core.info(raw))

    return change


def _remove(core: FakeCore, conn: Conn, request: sandboxes.SandboxRemove) -> Nothing:
    raw = core.find_sandbox(request.sandbox)
    if raw["state"] == "running" and not request.force:
        raise WrongState(f"cannot remove {raw['name']}: it is running", hint="stop it first, or use --force")
    its = [one for one in core.sessions.values() if one.raw["sandbox"] == raw["name"]]
    for one in its:
        core.end_program(one)
    with core.news:
        del core.sandboxes[str(raw["name"])]
        for one in its:
            del core.sessions[one.id]
        core.news.notify_all()
    return Nothing()


def _hold(core: FakeCore, conn: Conn, request: sandboxes.SandboxHold) -> None:
    conn.tell(sandboxes.Held(sandbox=core.info(core.find_sandbox(request.sandbox))))
    conn.receive()


def _acknowledge(
    core: FakeCore, conn: Conn, request: sandboxes.SandboxAcknowledge
) -> sandboxes.SandboxAnswer:
    raw = core.find_sandbox(request.sandbox)
    core.change(lambda: raw.update(acknowledged=not request.undo))
    return sandboxes.SandboxAnswer(sandbox=core.info(raw))


def _ping(core: FakeCore, conn: Conn, request: sandboxes.SandboxPing) -> sandboxes.Pong:
    raw = core.find_sandbox(request.sandbox)
    if raw["state"] != "running":
        raise WrongState(f"cannot ping {raw['name']}: it is {raw['state']}")
    return sandboxes.Pong(seconds=0.001)


# images


def _image(core: FakeCore, name: str) -> images.ImageInfo:
    user = next((raw["name"] for raw in core.sandboxes.values() if raw["image"] == name), None)
    used_by = None if user is None else str(user)
    return images.ImageInfo(
        name=name, digest="0" * 64, size=1 << 20, created_at=core.clock(), used_by=used_by
    )


def _images(core: FakeCore, conn: Conn, request: images.ImageList) -> images.Images:
    return images.Images(images=[_image(core, name) for name in core.images])


def _build(core: FakeCore, conn: Conn, request: images.ImageBuild) -> images.ImageAnswer:
    conn.message("progress", message="building")
    if request.name not in core.images:
        core.images.append(request.name)
    return images.ImageAnswer(image=_image(core, request.name))


def _pull(core: FakeCore, conn: Conn, request: images.ImagePull) -> images.ImageAnswer:
    conn.message("progress", message=f"image {request.name}: layer 1 of 1")
    if request.name not in core.images:
        core.images.append(request.name)
    return images.ImageAnswer(image=_image(core, request.name))


def _load(core: FakeCore, conn: Conn, request: images.ImageLoad) -> images.Images:
    name = request.name or "loaded:latest"
    core.images.append(name)
    return images.Images(images=[_image(core, name)])


def _commit(core: FakeCore, conn: Conn, request: images.ImageCommit) -> images.ImageAnswer:
    core.find_sandbox(request.sandbox)
    core.images.append(request.name)
    return images.ImageAnswer(image=_image(core, request.name))


def _step(core: FakeCore, conn: Conn, request: images.ImageStep) -> images.BuildStep:
    core.find_sandbox(request.sandbox)
    return images.BuildStep(layers=1, size=0)


def _steps(core: FakeCore, conn: Conn, request: images.ImageSteps) -> images.KnownSteps:
    return images.KnownSteps(keys=[])


def _assemble(core: FakeCore, conn: Conn, request: images.ImageAssemble) -> images.ImageAnswer:
    core.images.append(request.name)
    return images.ImageAnswer(image=_image(core, request.name))


def _find_image(core: FakeCore, name: str) -> str:
    if name not in core.images:
        raise NotFound(f"no image is called {name}")
    return name


def _tag(core: FakeCore, conn: Conn, request: images.ImageTag) -> images.ImageAnswer:
    _find_image(core, request.name)
    core.images.append(request.new)
    return images.ImageAnswer(image=_image(core, request.new))


def _inspect_image(core: FakeCore, conn: Conn, request: images.ImageInspect) -> images.ImageDetails:
    config = images.ImageConfig(
        env={"A": "b"}, entrypoint=["/bin/echo"], cmd=["hello"], labels={}, volumes=[], ports=[]
    )
    return images.ImageDetails(
        image=_image(core, _find_image(core, request.name)), id=f"sha256:{'0' * 64}", config=config, layers=[]
    )


def _prune(core: FakeCore, conn: Conn, request: images.ImagePrune) -> images.Pruned:
    gone = [name for name in core.images if name != "base"] if request.all else []
    core.images = [name for name in core.images if name not in gone]
    return images.Pruned(images=gone, freed=len(gone))


def _warm(core: FakeCore, conn: Conn, request: images.ImageWarm) -> Nothing:
    conn.message("progress", message="booting")
    return Nothing()


def _remove_image(core: FakeCore, conn: Conn, request: images.ImageRemove) -> Nothing:
    if request.name not in core.images:
        raise InvalidRequest(f"there is no image {request.name}")
    core.images.remove(request.name)
    return Nothing()


# sessions


def _exec(core: FakeCore, conn: Conn, request: sessions.SessionExec) -> SessionEnd | None:
    raw = core.find_sandbox(request.sandbox)
    if raw["state"] != "running":
        raise WrongState(f"cannot exec in {raw['name']}: it is {raw['state']}")
    one = core.sessions.get(request.id) or core.begin(raw, request)
    if request.detach:
        return SessionEnd(session=one.info)
    return _followed(core, Follower(core, conn, one, request), request)


def _follow(core: FakeCore, conn: Conn, request: sessions.SessionFollow) -> SessionEnd | None:
    one = core.find_session(request.sandbox, request.session)
    return _followed(core, Follower(core, conn, one, request), request)


def _followed(
    core: FakeCore, follower: Follower, request: sessions.SessionExec | sessions.SessionFollow
) -> SessionEnd | None:
    message = request.message()
    core.following.append(message)
    try:
        return follower.run()
    finally:
        core.following.remove(message)


def _logs(core: FakeCore, conn: Conn, request: sessions.SessionLogs) -> SessionAnswer | None:
    return send_log(core, conn, core.find_session(request.sandbox, request.session), request)


def _screen(core: FakeCore, conn: Conn, request: sessions.SessionScreen) -> ScreenAnswer:
    one = core.find_session(request.sandbox, request.session)
    emulator = Emulator()
    emulator.feed(bytes(one.output(1)))
    seen = look(emulator, scrollback=request.scrollback, ansi=request.ansi)
    told = {"offset": len(one.output(1)), "missing": 0, "skipped": 0}
    data = json.dumps({**seen, **told}).encode()
    conn.send(*split(_SCREEN, 0, data))
    return ScreenAnswer(session=one.info, bytes=len(data))


def _sessions(core: FakeCore, conn: Conn, request: sessions.SessionList) -> SessionPage:
    of = None if request.sandbox is None else core.find_sandbox(request.sandbox)["name"]
    return SessionPage(
        sessions=[one.info for one in core.sessions.values() if of in (None, one.raw["sandbox"])]
    )


def _signal(core: FakeCore, conn: Conn, request: sessions.SessionSignal) -> Nothing:
    one = core.find_session(request.sandbox, request.session)
    if one.ended and not one.raw["left"]:
        raise WrongState(f"cannot signal session {one.id}: it has ended")
    if one.program is not None:
        one.program.signal(request.signal)
    return Nothing()


def _resize(core: FakeCore, conn: Conn, request: sessions.SessionResize) -> Nothing:
    one = core.find_session(request.sandbox, request.session)
    core.change(lambda: one.sizes.append((request.rows, request.columns)))
    return Nothing()


def _remove_session(core: FakeCore, conn: Conn, request: sessions.SessionRemove) -> Nothing:
    one = core.find_session(request.sandbox, request.session)
    core.change(lambda: core.sessions.pop(one.id))
    return Nothing()


def _seen(core: FakeCore, conn: Conn, request: sessions.SessionAcknowledge) -> SessionsAnswer:
    found = [core.find_session(request.sandbox, key) for key in request.sessions]
    for one in found:
        core.change(lambda one=one: one.raw.update(acknowledged=not request.undo))  # type: ignore[misc]
    return SessionsAnswer(sessions=[one.info for one in found])


HANDLERS: Final[dict[type[Request[Any]], Callable[[FakeCore, Conn, Any], Record | None]]] = {
    cores.Status: _status,
    cores.Stop: _stop,
    cores.Stats: watching.stats,
    cores.Events: watching.events,
    cores.Logs: watching.logs,
    cores.Metrics: _metrics,
    sandboxes.SandboxTop: watching.top,
    sandboxes.SandboxConsole: watching.console,
    NetLog: watching.net_log,
    sandboxes.SandboxCreate: _create,
    sandboxes.SandboxList: _list,
    sandboxes.SandboxInspect: _inspect,
    sandboxes.SandboxStart: _becomes("running"),
    sandboxes.SandboxStop: _becomes("stopped"),
    sandboxes.SandboxRestart: _becomes("running"),
    sandboxes.SandboxPause: _becomes("paused"),
    sandboxes.SandboxResume: _becomes("running"),
    sandboxes.SandboxRemove: _remove,
    sandboxes.SandboxHold: _hold,
    sandboxes.SandboxAcknowledge: _acknowledge,
    sandboxes.SandboxPing: _ping,
    images.ImageList: _images,
    images.ImageAssemble: _assemble,
    images.ImageBuild: _build,
    images.ImageCommit: _commit,
    images.ImageInspect: _inspect_image,
    images.ImageLoad: _load,
    images.ImagePrune: _prune,
    images.ImagePull: _pull,
    images.ImageStep: _step,
    images.ImageSteps: _steps,
    images.ImageTag: _tag,
    images.ImageWarm: _warm,
    images.ImageRemove: _remove_image,
    sessions.SessionExec: _exec,
    sessions.SessionFollow: _follow,
    sessions.SessionLogs: _logs,
    sessions.SessionScreen: _screen,
    sessions.SessionList: _sessions,
    sessions.SessionSignal: _signal,
    sessions.SessionResize: _resize,
    sessions.SessionRemove: _remove_session,
    sessions.SessionAcknowledge: _seen,
}
