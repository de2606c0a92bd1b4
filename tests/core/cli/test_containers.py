"""``sandtop image`` and ``run`` with the images of containers: words in, requests out, and what is printed."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from sandtop.core.client.link import docker_config, image_command
from sandtop.core.contract.image import ImageConfig
from sandtop.core.errors import InvalidRequest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakecore import FakeCore

    from .process import Run


def asked(fake: FakeCore, op: str) -> dict[str, Any]:
    """The last request of this operation."""
    return next(request for request in reversed(fake.requests) if request["op"] == op)


def test_pull_says_what_comes_and_prints_the_name(fake: FakeCore, run: Run) -> None:
    done = run("image", "pull", "debian:12")
    assert (done.status, done.out) == (0, b"debian:12\n")
    assert b"image debian:12: layer 1 of 1" in done.err
    assert asked(fake, "image.pull")["insecure"] is False
    run("image", "pull", "--insecure-registry", "localhost:5000/x")
    assert asked(fake, "image.pull")["insecure"] is True
    assert json.loads(run("image", "pull", "debian:12", "--json").out)["name"] == "debian:12"


def test_where_dockers_passwords_are_is_said_and_no_more(
    fake: FakeCore, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    run("image", "pull", "debian:12")
    assert asked(fake, "image.pull")["docker_config"] == f"{tmp_path}/config.json"
    run("create", "--image", "debian:12", "new")
    assert asked(fake, "sandbox.create")["docker_config"] == f"{tmp_path}/config.json"
    run("create", "newer")
    assert asked(fake, "sandbox.create").get("docker_config") is None
    monkeypatch.delenv("DOCKER_CONFIG")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", "auth.json")
    assert docker_config() == os.path.abspath("auth.json")
    monkeypatch.delenv("REGISTRY_AUTH_FILE")
    assert docker_config() is None


def test_load_reads_a_file_or_stdin(fake: FakeCore, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.tar"
    file.write_bytes(b"tar")
    done = run("image", "load", "--name", "mine", str(file))
    assert (done.status, done.out) == (0, b"mine\n")
    assert asked(fake, "image.load")["path"] == str(file)
    done = run("image", "load", "-", stdin=b"1" * 100_000)
    assert (done.status, done.out) == (0, b"loaded:latest\n")
    spooled = asked(fake, "image.load")["path"]
    assert os.path.isabs(spooled)
    assert not os.path.exists(spooled)


def test_inspect_tag_and_prune(fake: FakeCore, run: Run) -> None:
    details = json.loads(run("image", "inspect", "base").out)
    assert details["image"]["name"] == "base"
    assert details["config"]["entrypoint"] == ["/bin/echo"]
    assert len(json.loads(run("image", "inspect", "base", "base").out)) == 2
    assert run("image", "tag", "base", "other").out == b"other\n"
    done = run("image", "prune", "--all")
    assert (done.status, done.out) == (0, b"other\n")
    assert b"are free now" in done.err
    assert json.loads(run("image", "prune", "--json").out) == {"images": [], "freed": 0}
    done = run("image", "inspect", "nothing")
    assert (done.status, done.out) == (125, b"")
    assert b"no image is called nothing" in done.err


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (("base",), b"hello\n"),
        (("base", "--"), b"hello\n"),
        (("base", "--", "a", "b"), b"a b\n"),
        (("--entrypoint", "printf", "base", "--", "x%s", "y"), b"xy"),
        (("--entrypoint", "", "base", "--", "echo", "z"), b"z\n"),
        (("--", "echo", "as ever"), b"as ever\n"),
    ],
)
def test_run_runs_what_docker_would(fake: FakeCore, run: Run, words: tuple[str, ...], out: bytes) -> None:
    """The fake's image says: /bin/echo hello."""
    done = run("run", *words)
    assert (done.status, done.out, done.err) == (0, out, b"")


def test_nothing_to_run_is_said_before_and_after_there_is_a_sandbox(fake: FakeCore, run: Run) -> None:
    done = run("run")
    assert done.status == 125
    assert b"no command was given" in done.err
    assert not [request for request in fake.requests if request["op"] == "sandbox.create"]
    done = run("run", "--entrypoint", "", "base")
    assert done.status == 125
    assert b"no command was given, and the image base has none of its own" in done.err
    assert fake.requests[-1]["op"] == "sandbox.rm"


def test_what_an_image_runs() -> None:
    config = ImageConfig(env={}, entrypoint=["e", "1"], cmd=["c"], labels={}, volumes=[], ports=[])
    assert image_command("x", config, []) == ["e", "1", "c"]
    assert image_command("x", config, ["d"]) == ["e", "1", "d"]
    assert image_command("x", config, ["d"], "f") == ["f", "d"]
    assert image_command("x", config, [], "f") == ["f"]
    assert image_command("x", None, ["d"]) == ["d"]
    for entrypoint in (None, ""):
        with pytest.raises(InvalidRequest, match="the image x has none of its own"):
            image_command("x", None, [], entrypoint)
