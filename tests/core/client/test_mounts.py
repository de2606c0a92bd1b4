"""What is mounted, as people write it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandtop.core.client.link import mount, short_mount, tmpfs_mount
from sandtop.core.contract.mount import Mount
from sandtop.core.errors import InvalidRequest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("type=volume,src=data,dst=/data", Mount(type="volume", source="data", target="/data")),
        ("source=data,target=/data", Mount(type="volume", source="data", target="/data")),
        ("type=bind,source=/a b,destination=/w,readonly",
         Mount(type="bind", source="/a b", target="/w", read_only=True)),
        ("type=bind,src=/a,dst=/w,ro=true", Mount(type="bind", source="/a", target="/w", read_only=True)),
        ("type=bind,src=/a,dst=/w,readonly=false", Mount(type="bind", source="/a", target="/w")),
        ('type=bind,"src=/a,b",dst=/w', Mount(type="bind", source="/a,b", target="/w")),
        ("type=tmpfs,dst=/t", Mount(type="tmpfs", target="/t")),
        ("type=tmpfs,dst=/t,tmpfs-size=64m,tmpfs-mode=700",
         Mount(type="tmpfs", target="/t", size=64 << 20, mode=0o700)),
        ("type=tmpfs,dst=/t,tmpfs-size=1GiB", Mount(type="tmpfs", target="/t", size=1 << 30)),
        ("type=tmpfs,dst=/t,tmpfs-size=65536", Mount(type="tmpfs", target="/t", size=65536)),
    ],
)  # fmt: skip
def test_a_mount(text: str, expected: Mount) -> None:
    assert mount(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("type=volume,src=data,dst=/d,propagation=shared", "has no key 'propagation'"),
        ("volume", "has no key 'volume'"),
        ("", "has no key ''"),
        ("type=nfs,src=a,dst=/d", "has an unknown type 'nfs'"),
        ("type=volume,dst=/d", "names no volume"),
        ("type=bind,dst=/d", "names no folder of this host"),
        ("type=bind,src=,dst=/d", "names no folder of this host"),
        ("type=volume,src=data", "does not say where"),
        ("type=volume,src=data,dst=data", "no absolute path in the sandbox: 'data'"),
        ("type=volume,src=data,dst", "has no value for dst"),
        ("src=a,source=b,dst=/d", "says source twice"),
        ("src=a,dst=/d,ro=perhaps", "says ro='perhaps'"),
        ("type=tmpfs,src=a,dst=/d", "is a tmpfs, which has no source"),
        ("src=a,dst=/d,tmpfs-size=1m", "has a size or a mode and is no tmpfs, but a volume"),
        ("type=tmpfs,dst=/d,tmpfs-size=lots", "has no size such as 64m or 1g, but 'lots'"),
        ("type=tmpfs,dst=/d,tmpfs-size=1mm", "has no size such as 64m or 1g, but '1mm'"),
        ("type=tmpfs,dst=/d,tmpfs-mode=999", "has no mode in octal such as 1777, but '999'"),
    ],
)
def test_what_is_none(text: str, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        mount(text)
    assert says in str(caught.value)
    assert caught.value.hint


def test_a_folder_of_the_host_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    folder = os.path.realpath(tmp_path)
    assert mount("type=bind,src=sub,dst=/w").source == f"{folder}/sub"
    assert short_mount("./sub:/w") == Mount(type="bind", source=f"{folder}/sub", target="/w")
    assert short_mount(".:/w:ro") == Mount(type="bind", source=folder, target="/w", read_only=True)
    assert short_mount("~/x:/w:rw") == Mount(type="bind", source="/home/me/x", target="/w")


def test_a_volume_in_short() -> None:
    assert short_mount("data:/d") == Mount(type="volume", source="data", target="/d")
    assert short_mount("data:/d:ro") == Mount(type="volume", source="data", target="/d", read_only=True)


@pytest.mark.parametrize("text", ["", "/d", ":/d", "data:", "data:/d:z", "data:/d:ro:x", "data:d"])
def test_what_is_none_in_short(text: str) -> None:
    with pytest.raises(InvalidRequest, match="the mount"):
        short_mount(text)


def test_a_tmpfs_in_short() -> None:
    assert tmpfs_mount("/t") == Mount(type="tmpfs", target="/t")
    assert tmpfs_mount("/t:size=64m,mode=755,ro") == Mount(
        type="tmpfs", target="/t", size=64 << 20, mode=0o755, read_only=True
    )
    with pytest.raises(InvalidRequest, match="has no option 'noexec'"):
        tmpfs_mount("/t:noexec")
