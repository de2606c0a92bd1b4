"""Images from a real registry: what comes, what is fetched once, and every way in which a registry can fail."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from sandtop.core.errors import ImageError, MissingDependency, NotFound, SandtopError
from sandtop.core.guest import GuestStore, Pull, Reference

from ...tar.making import file
from .making import Layout
from .registry import PASSWORD, USER, Registry, before, needs_skopeo, registry
from .ten import TEN
from .trees import tree_of, unsquashed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandtop.core.guest import Image
    from sandtop.core.paths import Paths

pytestmark = [needs_skopeo, pytest.mark.slow]

ARM: dict[str, str] = {"os": "linux", "architecture": "arm64"}
BASE = file(b"base", b"1" * 4000)
TOP = file(b"top", os.urandom(300_000))
LYING = b'{"manifests": [{"digest": "sha256:%b", "size": 1}]}' % (b"0" * 64)
CONFIG = {"Env": ["A=b"], "Cmd": ["/top"]}


@pytest.fixture
def store(empty_paths: Paths) -> GuestStore:
    return GuestStore(empty_paths)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry(tmp_path_factory.mktemp("registry")) as made:
        yield made


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


def pull(store: GuestStore, name: str, said: list[str] | None = None, **options: object) -> Image:
    wanted = Pull(Reference.parse(name), **{"insecure": True, **options})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return store.pull_image(wanted, (said if said is not None else []).append)


def layer_of(layout: Layout, manifest: dict[str, object], number: int) -> str:
    """The digest of a layer, in hexadecimal."""
    data = (layout.root / "blobs" / str(manifest["digest"]).replace(":", "/")).read_bytes()
    digest: str = json.loads(data)["layers"][number]["digest"]
    return digest.removeprefix("sha256:")


def left(store: GuestStore) -> list[str]:
    """Files below the cache, but for locks and whole layers."""
    return [
        path.name
        for path in store.paths.cache.rglob("*")
        if path.is_file() and path.name != ".lock" and path.parent.name != "sha256"
    ]


def test_an_image_comes_whole_and_is_pinned(
    store: GuestStore, real: Registry, layout: Layout, tmp_path: Path
) -> None:
    manifest = layout.image(BASE, TOP, name="a", config=CONFIG)
    name = real.push(layout.root, "a", "whole:1.0")
    said: list[str] = []
    image = pull(store, name, said)
    assert image.name == name
    assert image.container is not None
    assert image.source == image.container.pinned == f"{real.host}/whole@{manifest['digest']}"
    assert image.container.config.cmd == ("/top",)
    assert sorted(tree_of(unsquashed(image.path, tmp_path / "out"))) == ["base", "top"]
    layers = [line for line in said if ": layer " in line]
    assert sorted(line.partition(": layer ")[2][:6] for line in layers) == ["1 of 2", "2 of 2"]
    assert all(line.startswith(f"image {name}: ") for line in said)

    assert pull(store, name, said) == image
    assert said[-1] == f"image {name}: is what the registry has"
    by_digest = pull(store, f"{real.host}/whole@{manifest['digest']}")
    assert (by_digest.digest, by_digest.path) == (image.digest, image.path)
    assert [found.name for found in store.images()] == sorted((name, by_digest.name))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root unpacks capabilities and devices")
def test_ten_images_come_as_they_are(
    store: GuestStore, real: Registry, layout: Layout, tmp_path: Path
) -> None:
    """Each is, by way of the registry, what the archive of it is; and that is what umoci unpacks (`test_unpacking`)."""
    for name, made in TEN.items():
        layers, config = made()
        layout.image(*layers, name=name, config=config)
        pulled = pull(store, real.push(layout.root, name, f"ten/{name}"))
        archive = Layout(tmp_path / name)
        archive.image(*layers, name=name, config=config, packed="none")
        (loaded,) = store.load_images(archive.archive(tmp_path / f"{name}.tar"), None)
        assert pulled.container is not None
        assert loaded.container is not None
        assert pulled.container.config == loaded.container.config
        ours = tree_of(unsquashed(pulled.path, tmp_path / f"{name}-pulled"))
        assert ours == tree_of(unsquashed(loaded.path, tmp_path / f"{name}-loaded"))


def test_layers_are_fetched_once_and_go_with_the_last_that_has_them(
    store: GuestStore, real: Registry, layout: Layout
) -> None:
    first = layout.image(BASE, TOP, name="a")
    layout.image(BASE, file(b"other"), name="b")
    base, top = layer_of(layout, first, 0), layer_of(layout, first, 1)
    real.push(layout.root, "a", "shared/a")
    real.push(layout.root, "b", "shared/b")
    with before(real, base) as between:
        one = pull(store, f"{between.host}/shared/a")
        other = pull(store, f"{between.host}/shared/b")
        assert between.layers_asked().count(f"sha256:{base}") == 1
    blobs = store.paths.layers / "blobs" / "sha256"
    store.remove_image(one.name, lambda _: None)
    assert (blobs / base).exists()
    assert not (blobs / top).exists()
    store.remove_image(other.name, lambda _: None)
    assert not (blobs / base).exists()


def test_a_moved_tag_is_fetched_and_the_old_image_stays_with_its_digest(
    store: GuestStore, real: Registry, layout: Layout
) -> None:
    layout.image(BASE, name="a")
    layout.image(TOP, name="b")
    name = real.push(layout.root, "a", "moved")
    first = pull(store, name)
    real.push(layout.root, "b", "moved")
    second = pull(store, name)
    assert first.digest != second.digest
    assert store.images() == [second]


def test_of_several_platforms_ours_is_taken(store: GuestStore, real: Registry, layout: Layout) -> None:
    arm, ours = layout.image(TOP, platform=ARM), layout.image(BASE)
    whole = layout.list_of(
        {**arm, "platform": ARM}, {**ours, "platform": {"os": "linux", "architecture": "amd64"}}, name="a"
    )
    name = real.push(layout.root, "a", "several")
    with before(real, layer_of(layout, arm, 0)) as between:
        image = pull(store, name.replace(real.host, between.host))
        assert f"sha256:{layer_of(layout, arm, 0)}" not in between.layers_asked()
    assert image.container is not None
    assert image.container.pinned == f"{between.host}/several@{whole['digest']}"


@pytest.mark.parametrize("listed", [True, False])
def test_an_image_that_is_not_for_us_is_refused_before_its_layers_come(
    store: GuestStore, real: Registry, layout: Layout, listed: bool
) -> None:
    arm = layout.image(TOP, name=None if listed else "a", platform=ARM)
    if listed:
        layout.list_of({**arm, "platform": ARM}, name="a")
    real.push(layout.root, "a", f"arm-{listed}".lower())
    with before(real, layer_of(layout, arm, 0)) as between:
        with pytest.raises(ImageError, match=r"it is not for linux/amd64, but for linux/arm64"):
            pull(store, f"{between.host}/arm-{listed}".lower())
        assert f"sha256:{layer_of(layout, arm, 0)}" not in between.layers_asked()
    assert not left(store)


def test_what_the_registry_does_not_have(store: GuestStore, real: Registry, layout: Layout) -> None:
    layout.image(BASE, name="a")
    real.push(layout.root, "a", "there:1")
    for name in ("there:2", "nowhere", f"there@sha256:{'0' * 64}"):
        with pytest.raises(NotFound, match=rf"^{real.host}/{name}.*: {real.host} has no such image"):
            pull(store, f"{real.host}/{name}")
    assert not left(store)


def test_a_registry_that_is_away(store: GuestStore) -> None:
    with pytest.raises(
        ImageError, match=r"^127.0.0.1:1/x:latest: the registry 127.0.0.1:1 cannot be reached"
    ):
        pull(store, "127.0.0.1:1/x")
    assert not left(store)


FAULTS = {
    "cut": "the connection to {host} was cut",
    "lie": "sent something that is not what its digest says",
    "hang": "the registry {host} sent nothing for 1 s",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_registry_that_does_wrong_is_named_and_whole_layers_are_kept(
    store: GuestStore, real: Registry, layout: Layout, tmp_path: Path, fault: str
) -> None:
    manifest = layout.image(BASE, TOP, name="a")
    base, top = layer_of(layout, manifest, 0), layer_of(layout, manifest, 1)
    real.push(layout.root, "a", f"faulty-{fault}")
    with before(real, top, fault) as between:
        name = f"{between.host}/faulty-{fault}"
        with pytest.raises(ImageError) as caught:
            pull(store, name, patience=1.0)
        assert FAULTS[fault].format(host=between.host) in str(caught.value)
        assert str(caught.value).startswith(name)
        assert "\n" not in str(caught.value)
        assert not left(store)
        blobs = store.paths.layers / "blobs" / "sha256"
        assert not (blobs / top).exists()
        assert not [path for path in blobs.glob("*") if path.name.startswith(".")]
        here = (blobs / base).exists()  # it may come after the fault
        between.fault = ""
        between.asked.clear()
        image = pull(store, name)
        assert (f"sha256:{base}" in between.layers_asked()) is not here
    assert sorted(tree_of(unsquashed(image.path, tmp_path / "out"))) == ["base", "top"]


def test_two_who_want_one_image_at_once_fetch_it_once(
    store: GuestStore, real: Registry, layout: Layout
) -> None:
    top = layer_of(layout, layout.image(BASE, TOP, name="a"), 1)
    real.push(layout.root, "a", "together")
    waits = threading.Event()

    def hear(line: str) -> None:
        if line.endswith("it is being fetched already; waiting"):
            waits.set()

    with before(real, top, "slow") as between, ThreadPoolExecutor(2) as threads:
        name = f"{between.host}/together"
        first = threads.submit(pull, store, name)
        assert between.hangs.wait(20)
        second = threads.submit(store.pull_image, Pull(Reference.parse(name), insecure=True), hear)
        assert waits.wait(20)
        between.release.set()
        assert first.result(30).digest == second.result(30).digest
        assert between.layers_asked().count(f"sha256:{top}") == 1


def test_a_pull_that_is_killed_goes_on_from_its_layers(
    store: GuestStore, real: Registry, layout: Layout, tmp_path: Path
) -> None:
    """The whole process is killed, as a core may be; and with it what fetches."""
    manifest = layout.image(BASE, TOP, name="a")
    base, top = layer_of(layout, manifest, 0), layer_of(layout, manifest, 1)
    real.push(layout.root, "a", "killed")
    blobs = store.paths.layers / "blobs" / "sha256"
    program = (
        "import sys; from pathlib import Path; from sandtop.core.paths import Paths\n"
        "from sandtop.core.guest import GuestStore, Pull, Reference\n"
        "paths = Paths(*map(Path, sys.argv[2:]))\n"
        "GuestStore(paths).pull_image(Pull(Reference.parse(sys.argv[1]), insecure=True))\n"
    )
    with before(real, top, "hang") as between:
        name = f"{between.host}/killed"
        folders = (store.paths.data, store.paths.cache, store.paths.config, store.paths.runtime)
        with subprocess.Popen([sys.executable, "-c", program, name, *folders]) as process:
            assert between.hangs.wait(30)
            deadline = time.monotonic() + 20
            while not (blobs / base).exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            fetching = _children(process.pid)
            process.kill()
        assert fetching
        while any(_lives(pid) for pid in fetching) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not any(_lives(pid) for pid in fetching)
        between.release.set()
        between.fault = ""
        between.asked.clear()
        image = pull(store, name)
        assert between.layers_asked().count(f"sha256:{top}") == 1
        assert f"sha256:{base}" not in between.layers_asked()
    assert sorted(tree_of(unsquashed(image.path, tmp_path / "out"))) == ["base", "top"]
    assert sorted(left(store)) == sorted((image.path.name, f"{quote(image.name, safe='')}.json"))


def _children(pid: int) -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, timeout=10, check=False
    )
    return [int(word) for word in found.stdout.split()]


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (b"[" * (1 << 20), "a document whose parts are in each other without end"),
        (b'{"manifests": ' + b"[" * (1 << 20), "a document whose parts are in each other without end"),
        (b'{"schemaVersion": 2, "manifests": []}', "it is not for linux/amd64"),
        (b'{"manifests": [1]}', "something else in the place of an object"),
        (b" " * (5 << 20), "4194304"),
        (LYING, "sent a manifest that is not what its digest says"),
    ],
    ids=["deep", "deep-list", "empty", "wrong", "long", "lying"],
)
def test_a_manifest_list_that_is_hostile(
    store: GuestStore, real: Registry, document: bytes, words: str
) -> None:
    with before(real, "none") as between:
        between.manifest = document
        with pytest.raises(SandtopError) as caught:
            pull(store, f"{between.host}/hostile")
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{between.host}/hostile:latest: ")
    assert not left(store)


# TLS and passwords


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """With TLS and a password, and the image ``secret``."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("private")
    with registry(folder, tls=True, password=True) as made:
        layout = Layout(folder / "layout")
        layout.image(BASE, name="a")
        made.push(layout.root, "a", "secret")
        yield made


@pytest.fixture
def trusted(private: Registry, tmp_path: Path) -> Registry:
    """The same, and this user trusts its certificate."""
    folder = tmp_path / ".config" / "containers" / "certs.d" / private.host
    folder.mkdir(parents=True)
    assert private.certificate is not None
    shutil.copy(private.certificate, folder / "ca.crt")
    return private


def docker_config(folder: Path, content: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(content))
    return folder / "config.json"


def login(registry: Registry, password: str = PASSWORD) -> object:
    return {"auths": {registry.host: {"auth": base64.b64encode(f"{USER}:{password}".encode()).decode()}}}


def pull_secret(store: GuestStore, registry: Registry, config: Path | None = None) -> Image:
    return pull(store, f"{registry.host}/secret", insecure=False, config=config)


def test_a_certificate_that_nobody_vouches_for(store: GuestStore, private: Registry) -> None:
    with pytest.raises(
        ImageError, match=rf"the certificate of {private.host} is not trusted.*--insecure-registry"
    ):
        pull_secret(store, private)
    assert not left(store)


def test_no_password_and_a_wrong_one(store: GuestStore, trusted: Registry, tmp_path: Path) -> None:
    wrong = docker_config(tmp_path / "wrong", login(trusted, "nonsense"))
    for config in (None, wrong):
        with pytest.raises(
            ImageError, match=rf"{trusted.host} wants a password.*docker login {trusted.host}"
        ) as caught:
            pull_secret(store, trusted, config)
        assert "nonsense" not in str(caught.value)
    assert not left(store)


@pytest.mark.parametrize("place", ["usual", "named", "store", "helper"])
def test_the_password_is_where_docker_has_it_and_nowhere_else(
    store: GuestStore, trusted: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """In no command line, in nothing that is said or kept."""
    (tmp_path / "bin").mkdir()
    real = shutil.which("skopeo")
    skopeo = tmp_path / "bin" / "skopeo"
    skopeo.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{tmp_path}/argv\nexec {real} "$@"\n')
    helper = tmp_path / "bin" / "docker-credential-mine"
    answer = json.dumps({"ServerURL": trusted.host, "Username": USER, "Secret": PASSWORD})
    helper.write_text(
        f'#!/bin/sh\n[ "$1" = get ] && [ "$(cat)" = {trusted.host} ] || exit 1\necho \'{answer}\'\n'
    )
    for path in (skopeo, helper):
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    config = None
    if place == "usual":
        docker_config(tmp_path / ".docker", login(trusted))
    elif place == "named":
        config = docker_config(tmp_path / "elsewhere", login(trusted))
    elif place == "store":
        docker_config(tmp_path / ".docker", {"credsStore": "mine"})
    else:
        config = docker_config(tmp_path / "elsewhere", {"credHelpers": {trusted.host: "mine"}})
    said: list[str] = []
    pull(store, f"{trusted.host}/secret", said, insecure=False, config=config)
    secrets = (PASSWORD, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
    kept = [path.read_bytes() for path in store.paths.cache.rglob("*") if path.is_file()]
    texts = [*said, (tmp_path / "argv").read_text(), *(data.decode(errors="replace") for data in kept)]
    assert not [text for text in texts if any(secret in text for secret in secrets)]


def test_a_helper_that_fails_or_is_not_there(
    store: GuestStore, trusted: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = docker_config(tmp_path / "elsewhere", {"credsStore": "mine"})
    with pytest.raises(ImageError, match="the credential helper docker-credential-mine is not installed"):
        pull_secret(store, trusted, config)
    helper = tmp_path / "bin" / "docker-credential-mine"
    helper.parent.mkdir()
    helper.write_text(f"#!/bin/sh\necho {PASSWORD}; exit 3\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helper.parent}:{os.environ['PATH']}")
    with pytest.raises(ImageError, match=r"docker-credential-mine failed with status 3$"):
        pull_secret(store, trusted, config)
    helper.write_text("#!/bin/sh\necho credentials not found in native keychain; exit 1\n")
    with pytest.raises(ImageError, match="wants a password"):
        pull_secret(store, trusted, config)


def test_without_skopeo_it_is_named(
    store: GuestStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    for program in ("rm", "setpriv"):
        (tmp_path / "bin" / program).symlink_to(shutil.which(program) or "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(MissingDependency, match=r"^skopeo is not installed .*install"):
        pull(store, "127.0.0.1:1/x")
