"""The names of images in registries: as docker takes them, and as people say them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtop.core.errors import InvalidRequest
from sandtop.core.guest import Reference

DIGEST = f"sha256:{'0a' * 32}"


@pytest.mark.parametrize(
    ("text", "remote", "familiar"),
    [
        ("debian", "docker.io/library/debian:latest", "debian:latest"),
        ("debian:12", "docker.io/library/debian:12", "debian:12"),
        ("docker.io/debian", "docker.io/library/debian:latest", "debian:latest"),
        ("index.docker.io/library/debian:12", "docker.io/library/debian:12", "debian:12"),
        ("user/app", "docker.io/user/app:latest", "user/app:latest"),
        ("ghcr.io/user/app:1.0-rc_2", "ghcr.io/user/app:1.0-rc_2", "ghcr.io/user/app:1.0-rc_2"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/a/b/c:x", "localhost:5000/a/b/c:x", "localhost:5000/a/b/c:x"),
        ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
        (f"debian@{DIGEST}", f"docker.io/library/debian@{DIGEST}", f"debian@{DIGEST}"),
        (f"ghcr.io/a/b:tag@{DIGEST}", f"ghcr.io/a/b@{DIGEST}", f"ghcr.io/a/b@{DIGEST}"),
    ],
)
def test_names_of_docker(text: str, remote: str, familiar: str) -> None:
    found = Reference.parse(text)
    assert (found.remote, found.familiar) == (remote, familiar)
    assert Reference.parse(found.familiar).remote == remote
    assert found.pinned(DIGEST) == f"{found.registry}/{found.repository}@{DIGEST}"


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "Debian", "a b", "a:", "a@", "-x", "--help", "/a", "a/", "a//b", "../a", "a:t:u", "a\n", "a\0",
        "dir:/etc", "docker://a", "a@sha256:12", f"a@{DIGEST.upper()}", f"a@{DIGEST}:t", "a" * 201, "ghcr.io/",
        "localhost:999999/a", "http://x/a", "a:" + "t" * 129, "ä",
    ],
)  # fmt: skip
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is no name of an image in a registry"):
        Reference.parse(text)


@given(st.text(max_size=40))
def test_whatever_is_taken_can_be_said_again_and_is_no_option(text: str) -> None:
    try:
        found = Reference.parse(text)
    except InvalidRequest:
        return
    again = Reference.parse(found.familiar)
    assert (again.remote, again.familiar) == (found.remote, found.familiar)
    assert not found.remote.startswith("-")
    assert found.remote.isprintable()
