"""A volume, a tmpfs and a disk that grows, in a real machine: over a core's death, a stop and a damaged superblock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Home

MIB = 1 << 20


def sizes(home: Home, box: str, *places: str) -> list[int]:
    """In MiB, as df has it."""
    _, *said = home.do("exec", box, "--", "df", "--output=size", "-BM", *places).decode().split()
    return [int(size.removesuffix("M")) for size in said]


def test_what_is_mounted_stays_and_a_disk_grows(home: Home) -> None:
    home.do("volume", "create", "--size", "64M", "data")
    shape = "--cold", "--disk", "256M"  # a template would take longer to be made than this boots
    home.do("create", *shape, "-v", "data:/srv/data", "--tmpfs", "/scratch:size=8m", "store")
    assert sizes(home, "store", "/scratch") == [8]
    home.do(
        "exec",
        "store",
        "--",
        "sh",
        "-c",
        "echo kept >/srv/data/file; echo gone >/scratch/file; ls -A /srv/data",
    )
    refused = home.run("create", *shape, "-v", "data:/d:ro", "second")
    assert b"the volume data is written by store" in refused.stderr
    # its disk, while it is in use and over a core's death
    (before,) = sizes(home, "store", "/")
    home.do("exec", "-d", "store", "--", "sh", "-c", "while :; do date >/busy; done")
    home.kill_core()
    home.do("update", "--disk", "1G", "store")
    (after,) = sizes(home, "store", "/")
    assert before < 256 < 900 < after
    assert home.do("exec", "store", "--", "cat", "/srv/data/file") == b"kept\n"
    (volume,) = home.json("volume", "ls")
    assert (volume["sandboxes"], volume["writer"], volume["size"]) == (["store"], "store", 64 * MIB)
    # it is whole when the sandbox was stopped; then somebody damages it, and the guest mends it
    home.do("stop", "store")
    disk = home.path / "data" / "volumes" / "data" / "disk.img"
    with disk.open("r+b") as file:
        file.seek(1024)
        superblock = file.read(1024)
        assert superblock[0x3A] == 1, "it was left clean (EXT4_VALID_FS)"
        assert not superblock[0x60] & 4, "and its journal empty (EXT4_FEATURE_INCOMPAT_RECOVER)"
        file.seek(0)
        file.write(bytes(4096))
    home.do("start", "--cold", "store")
    shown = "cat /srv/data/file; ls -A /scratch; df -T /srv/data | tail -n 1"
    text = home.do("exec", "store", "--", "sh", "-c", shown).decode().split()
    assert text[0] == "kept", text
    assert text[2] == "ext4", text
    (again,) = sizes(home, "store", "/")
    assert again == after
    home.do("rm", "--force", "store")
    home.do("volume", "rm", "data")
    assert home.json("volume", "ls") == []
