"""What this machine has of what sandtop needs, and how to get the rest. Looks; builds and starts nothing.

The one exception is the accelerator: that KVM works is known by booting under it. A "no" that was kept is not believed.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandtop import __version__
from sandtop.core.client.link import call_running
from sandtop.core.contract.core import Status
from sandtop.core.errors import CoreOutdated, SandtopError
from sandtop.core.findings import Finding, Verdict, whoami
from sandtop.core.fleet.room import FIRST_WRITES, may_grow, space
from sandtop.core.guest import GuestStore, archive, foundation, kernel, runtime, tools
from sandtop.core.machine import host_memory
from sandtop.core.machine.registry import ANY_CHANNEL, driver_for
from sandtop.core.place import here, how_to_install
from sandtop.core.settings import GUEST_RELEASE, Settings
from sandtop.core.store import SandboxConfig
from sandtop.core.templates import trial_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandtop.core.guest import Kernel
    from sandtop.core.guest.archive import Archive
    from sandtop.core.machine import Driver
    from sandtop.core.paths import Paths

_SETUP: Final = "sandtop setup"
SUBORDINATE_IDS: Final = (Path("/etc/subuid"), Path("/etc/subgid"))
"""See subuid(5)."""
_BUILD_MIB: Final = 1024
"""What building kernel, runtime and base image from nothing takes at its height."""
_RUN_MIB: Final = 64
"""Below this a sandbox has no room for its own first writes."""
_COMFORT_MIB: Final = 4096


def examine(paths: Paths) -> Iterator[Finding]:
    """Each finding as soon as it is known. Raises nothing that is a fault of the machine's: that is a finding."""
    yield here().finding
    home = _home(paths)
    yield home
    driver = driver_for(paths, channel_of(paths))
    yield from driver.examine()
    release = release_of(paths)
    store = GuestStore(paths, release=release)
    debian = archive.at(paths.cache, release)
    linux = kernel.find(debian, paths.cache)
    has_runtime, runtime_finding = _runtime(debian, paths, linux)
    prepared = has_runtime and bool(store.images())
    yield from _build_tools(prepared)
    yield _registries()
    yield Finding("guest", Verdict.OK, f"Debian {release}: kernel, runtime and the image base, on every host")
    yield _kernel(linux)
    yield runtime_finding
    yield _images(store)
    if home.verdict is not Verdict.FAIL:
        yield _accelerator(driver, store, paths, prepared=prepared)
    yield driver.examine_channel()
    yield from _disk(paths, prepared)
    yield _memory()
    yield _core()


def release_of(paths: Paths) -> str:
    """The Debian release that guests are made of here."""
    try:
        return Settings.load(paths.settings).guest_release
    except SandtopError:  # the core says so
        return GUEST_RELEASE


def channel_of(paths: Paths) -> str:
    """The channel that the settings ask for here."""
    try:
        return Settings.load(paths.settings).channel
    except SandtopError:  # the core says so
        return ANY_CHANNEL


def _home(paths: Paths) -> Finding:
    try:
        paths.ensure()
    except SandtopError as error:
        return Finding("home", Verdict.FAIL, error.message, error.hint)
    return Finding(
        "home", Verdict.OK, f"{paths.data}, built things in {paths.cache}, sockets in {paths.runtime}"
    )


def _build_tools(prepared: bool) -> Iterator[Finding]:
    """Tools are needed to build; with all built, they are missed only when something changes."""
    bad = Verdict.WARN if prepared else Verdict.FAIL
    missing = tools.not_here()
    packages = sorted({tools.PACKAGES[name] for name in missing})
    if archive.keyring_here() is None:
        missing.append("the keys of Debian's archive")
        packages.append("debian-archive-keyring")
    if missing:
        yield Finding("build-tools", bad, f"not installed: {', '.join(missing)}", how_to_install(*packages))
    else:
        yield Finding("build-tools", Verdict.OK, ", ".join(tools.TO_BUILD))
    if os.geteuid() != 0:
        yield _user_namespaces(bad)


def _registries() -> Finding:
    """What fetches container images; nothing else needs it."""
    name = "registries"
    if shutil.which("skopeo", path=tools.environment()["PATH"]) is None:
        return Finding(
            name, Verdict.WARN, "skopeo is not installed: no image can be pulled", how_to_install("skopeo")
        )
    return Finding(name, Verdict.OK, "skopeo fetches images")


def _user_namespaces(bad: Verdict) -> Finding:
    """Without root mmdebstrap builds in a user namespace with a range of subordinate ids: so make one, the way it does.

    Where it is installed, it makes it itself: Ubuntu's AppArmor lets some programs do that and others not.
    """
    name = "user-namespaces"
    if shutil.which("newuidmap") is None:
        return Finding(name, bad, "newuidmap is not installed", how_to_install("uidmap"))
    user = whoami()
    for file in SUBORDINATE_IDS:
        try:
            given = f"\n{user}:" in "\n" + file.read_text()
        except OSError:
            given = False
        if not given:
            ids = "--add-subuids 100000-165535 --add-subgids 100000-165535"
            return Finding(name, bad, f"{file} has no ids for {user}", f"sudo usermod {ids} {user}")
    argv = ["unshare", "--map-root-user", "--map-auto", "true"]
    if shutil.which("mmdebstrap") is not None:
        argv = ["mmdebstrap", "--unshare-helper", "true"]
    try:
        subprocess.run(argv, capture_output=True, timeout=10, check=True)
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().replace("\n", " / ")
        return Finding(name, bad, f"cannot be made: {said}", f"sudo sysctl {_forbidding()}")
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(name, bad, f"cannot be made: {error}", how_to_install("util-linux"))
    return Finding(name, Verdict.OK, f"work, with subordinate ids of {user}")


def _forbidding() -> str:
    """The kernel's setting that lets users make namespaces: Ubuntu's where it forbids them, or Debian's."""
    try:
        if Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").read_text().strip() == "1":
            return "kernel.apparmor_restrict_unprivileged_userns=0"
    except OSError:
        pass  # not Ubuntu's kernel
    return "kernel.unprivileged_userns_clone=1"


def _kernel(linux: Kernel | None) -> Finding:
    if linux is None:
        return Finding("kernel", Verdict.WARN, "not fetched yet; the first sandbox does it", _SETUP)
    return Finding("kernel", Verdict.OK, linux.version)


def _runtime(debian: Archive, paths: Paths, linux: Kernel | None) -> tuple[bool, Finding]:
    """Whether the runtime of this very agent and kernel is there, and what to say about it."""
    name = "runtime"
    agent = importlib.util.find_spec("sandtop.agent")
    try:
        stands_on = foundation.find(debian, paths.cache)
        if linux is None or stands_on is None or agent is None or agent.origin is None:
            found = None
        else:
            found = runtime.find(paths.cache, linux, stands_on, Path(agent.origin).parent)
    except SandtopError as error:
        return False, Finding(name, Verdict.FAIL, error.message, error.hint)
    if found is None:
        return False, Finding(name, Verdict.WARN, "not built yet; the first sandbox does it", _SETUP)
    size = found.initrd.stat().st_size / 1e6
    return True, Finding(
        name, Verdict.OK, f"{found.digest[:12]}, {size:.0f} MB, agent of sandtop {__version__}"
    )


def _images(store: GuestStore) -> Finding:
    images = store.images()
    if not images:
        return Finding("images", Verdict.WARN, "none yet; the first sandbox builds base", _SETUP)
    return Finding(
        "images", Verdict.OK, ", ".join(f"{image.name} ({image.size / 1e6:.0f} MB)" for image in images)
    )


def _accelerator(driver: Driver, store: GuestStore, paths: Paths, *, prepared: bool) -> Finding:
    if not prepared:
        return driver.examine_accelerator(None, "auto", paths.settings)
    try:
        asked = Settings.load(paths.settings).accelerator
        trial = trial_of(store.boot_files(store.images()[0].digest), paths.runtime)
    except SandtopError as error:
        return Finding("accelerator", Verdict.FAIL, error.message, error.hint)
    return driver.examine_accelerator(trial, asked, paths.settings)


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _run_mib(paths: Paths, data: Path) -> int:
    """What `create` asks for, the reserve included."""
    try:
        settings = Settings.load(paths.settings)
    except SandtopError:  # the core says so
        settings = Settings()
    return max(_RUN_MIB, (space(data, settings.disk_reserve_bytes).reserve + FIRST_WRITES) >> 20)


def _disk(paths: Paths, prepared: bool) -> Iterator[Finding]:
    """Free space where sandboxes write and where things are built: one finding for each file system."""
    data = _existing(paths.data)
    needed = {paths.data: _run_mib(paths, data), paths.cache: _RUN_MIB if prepared else _BUILD_MIB}
    seen: set[int] = set()
    for path, least in sorted(needed.items(), key=lambda item: -item[1]):
        existing = _existing(path)
        device = existing.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        free = shutil.disk_usage(existing).free >> 20
        detail = f"{free} MiB free at {existing}"
        promised = may_grow(paths.sandboxes.glob("*/overlay.img")) >> 20
        if device == data.stat().st_dev and promised > free:
            detail += f", the disks of its sandboxes may take {promised} MiB"
        if free < least:
            yield Finding(
                "disk", Verdict.FAIL, f"{detail}, {least} are needed", "free some, or set SANDTOP_HOME"
            )
        else:
            yield Finding("disk", Verdict.OK if free >= _COMFORT_MIB else Verdict.WARN, detail)


def _memory() -> Finding:
    total, available = host_memory()
    default = SandboxConfig().memory
    detail = f"{available} of {total} MiB available, a sandbox has {default} unless told"
    if total < default:
        return Finding("memory", Verdict.FAIL, detail, "create sandboxes with a smaller --memory")
    return Finding("memory", Verdict.OK if available >= default else Verdict.WARN, detail)


def _core() -> Finding:
    try:
        status = call_running(Status())
    except CoreOutdated as error:
        return Finding("core", Verdict.WARN, f"{error.message}; the next command replaces it")
    except SandtopError as error:
        return Finding("core", Verdict.FAIL, error.message, error.hint)
    if status is None:
        return Finding("core", Verdict.OK, "not running; the first command that needs it starts it")
    return Finding(
        "core",
        Verdict.OK,
        f"running, pid {status.pid}, version {status.version}, sandboxes that run: {status.running}",
    )
