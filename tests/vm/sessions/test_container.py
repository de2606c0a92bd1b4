"""A container image, from a registry to a program that runs as it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.core.guest.containers.making import Layout
from tests.core.guest.containers.registry import needs_skopeo, registry
from tests.core.tar.making import file, folder, link

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
