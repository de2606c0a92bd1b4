"""A container image, from a registry to a program that runs as it says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.core.guest.containers.making import Layout
from tests.core.guest.containers.registry import needs_skopeo, registry
from tests.core.guest.containers.trees import tree_of, unsquashed
from tests.core.tar.making import file, folder, link

from .conftest import PATIENCE

if TYPE_CHECKING:
    from .conftest import Home

BUSYBOX = Path("/bin/busybox")
PASSWD = b"root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/home/web:/bin/sh\n"
ENTRY = b"""#!/bin/sh
trap 'echo asked to end; exit 3' USR1
echo "$(id -un) in $(pwd) has A=$A, was given $*"
[ "$1" != wait ] || while :; do sleep 0.1; done
"""


@needs_skopeo
@pytest.mark.skipif(not BUSYBOX.exists(), reason="busybox-static is not installed")
def test_an_image_is_pulled_and_runs_as_it_says(home: Home, tmp_path: Path) -> None:
    base = folder(b"bin/") + file(b"bin/busybox", BUSYBOX.read_bytes(), mode=0o755)
    base += b"".join(link(b"bin/" + name, b"busybox") for name in (b"sh", b"id", b"sleep", b"cat"))
    base += file(b"gone")
    top = file(b"etc/passwd", PASSWD) + file(b"bin/entry", ENTRY, mode=0o755) + file(b"bin/.wh.cat")
    config = {
        "User": "web", "Env": ["PATH=/bin", "A=of the image"], "WorkingDir": "/srv/made", "Entrypoint": ["entry"],
        "Cmd": ["its", "own"], "StopSignal": "SIGUSR1", "Labels": {"from": "image"},
    }  # fmt: skip
    layout = Layout(tmp_path / "layout")
    layout.image(base, top, name="a", config=config)
    with registry(tmp_path / "registry") as real:
        name = real.push(layout.root, "a", "app:1")
        pulled = home.run("image", "pull", "--insecure-registry", name)
        assert (pulled.returncode, pulled.stdout) == (0, f"{name}\n".encode())
        assert b"layer 2 of 2" in pulled.stderr
    try:
        said = home.do("run", "--cold", "--env", "A=mine", name)
        assert said == b"web in /srv/made has A=mine, was given its own\n"

        home.do("create", "--cold", "--image", name, "boxed")
        assert home.box("boxed")["labels"] == {"from": "image"}
        shown = home.do("exec", "boxed", "--", "entry", "x")
        assert shown == b"web in /srv/made has A=of the image, was given x\n"
        assert home.run("exec", "boxed", "--", "cat").returncode == 127
        home.do("exec", "-u", "root", "boxed", "--", "sh", "-c", "echo new > /new; busybox rm /gone")
        home.do("image", "commit", "-c", 'CMD ["changed"]', "boxed", "committed")
        _check_commit(home, tmp_path)
        session = home.do("exec", "-d", "boxed", "--", "entry", "wait").decode().strip()
        log = home.popen("logs", "-f", "boxed", session, stdout=-1)
        assert log.stdout is not None
        assert log.stdout.readline() == b"web in /srv/made has A=of the image, was given wait\n"
        home.do("stop", "boxed")
        with log:
            assert log.stdout.read() == b"asked to end\n"
        assert home.session("boxed", session)["record"]["code"] == 3
    finally:
        home.run("rm", "--force", "boxed")
        home.do("image", "rm", name)


def _check_commit(home: Home, tmp_path: Path) -> None:
    """What has changed is a layer over those of its image."""
    made = json.loads(home.do("image", "inspect", "committed"))
    assert (len(made["layers"]), made["config"]["cmd"], made["config"]["user"]) == (3, ["changed"], "web")
    tree = unsquashed(_file(home, made), tmp_path / "committed")
    assert (tree / "new").read_text() == "new\n"
    assert (tree / "bin/busybox").exists()
    assert not (tree / "gone").exists()
    home.do("image", "rm", "committed")


def _file(home: Home, inspected: dict[str, Any]) -> Path:
    return home.path / "cache" / "images" / f"{inspected['image']['digest']}.squashfs"


DOCKERFILE = """\
FROM start AS made
ARG WHO
WORKDIR /srv
COPY --chown=web src .
RUN cp one two && chmod 600 two && rm gone && echo "for $WHO"
RUN echo before; [ "$WHO" = you ]
FROM scratch
ARG WHO
COPY --from=made /srv/ /out/
LABEL who=$WHO
CMD ["none"]
"""


@pytest.mark.timeout(500)  # it boots three machines, one after the other
@pytest.mark.skipif(not BUSYBOX.exists(), reason="busybox-static is not installed")
def test_a_dockerfile_is_built_and_goes_on_from_the_steps_that_are_kept(home: Home, tmp_path: Path) -> None:
    base = folder(b"bin/") + file(b"bin/busybox", BUSYBOX.read_bytes(), mode=0o755)
    base += b"".join(link(b"bin/" + name, b"busybox") for name in (b"sh", b"cp", b"chmod", b"rm"))
    base += file(b"etc/passwd", PASSWD) + file(b"etc/group", b"web:x:1000:\n")
    layout = Layout(tmp_path / "layout")
    layout.image(base, name="start")
    home.do("image", "load", "--name", "start", str(layout.root))
    context = tmp_path / "context"
    (context / "src").mkdir(parents=True)
    for name in ("one", "gone", "hidden"):
        path = context / "src" / name
        path.write_text(f"{name} {tmp_path}")  # another one each time: no step is kept of an earlier test
        path.chmod(0o644)
    (context / ".dockerignore").write_text("**/hidden\n")
    (context / "Dockerfile").write_text(DOCKERFILE)
    build = ("image", "build", "-t", "built", "--build-arg", "WHO=me")
    before = _names(home)
    try:
        failed = home.run(*build, "--no-cache", str(context), timeout=2 * PATIENCE)
        said = failed.stderr.decode()
        assert failed.returncode == 125, said
        assert "\n  for me\n" in said
        assert (
            "line 6: RUN echo before; [ \"$WHO\" = you ]: exit status 1; its last line was 'before'" in said
        )
        assert _names(home) == before, "something is left of it"

        (context / "Dockerfile").write_text(DOCKERFILE.replace("= you", "= me"))
        done = home.run(*build, "-f", str(context / "Dockerfile"), str(context), timeout=2 * PATIENCE)
        said = done.stderr.decode()
        assert (done.returncode, done.stdout) == (0, b"built\n"), said
        assert said.count(": as before\n") == 2
        again = home.run(*build, str(context))
        assert again.stderr.count(b": as before\n") == 1, "what the last stage does not need is not looked at"
        assert _names(home) == before
        made = json.loads(home.do("image", "inspect", "built"))
        config = made["config"]
        assert (config["labels"], config["cmd"], len(made["layers"])) == ({"who": "me"}, ["none"], 1)
        tree = tree_of(unsquashed(_file(home, made), tmp_path / "out"))
        found = {
            name: (each["mode"], each["owner"]) for name, each in tree.items() if name.startswith("out/")
        }
        mine = os.getuid(), os.getgid()
        web, root = ((1000, 1000), (0, 0)) if os.geteuid() == 0 else (mine, mine)  # root alone unpacks owners
        assert found == {"out/one": ("0o100644", web), "out/two": ("0o100600", root)}
    finally:
        for name in ("built", "start"):
            home.run("image", "rm", name)


def _names(home: Home) -> set[str]:
    """Of what builds make for themselves: images, and sandboxes."""
    every = (each["name"] for each in (*home.json("image", "ls"), *home.json("ls")))
    return {name for name in every if name.startswith("build-")}
