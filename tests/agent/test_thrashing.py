"""When the agent ends what only waits for memory; `test_guest.py` has it in a real machine."""

from __future__ import annotations

import os

import pytest

from sandtop.agent.thrashing import Spells, Used

PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 1 << 20


def used(files: int, refaults: int) -> Used:
    """As in a guest of 256 MiB whose only program had taken all of it."""
    return Used(
        f"anon 161832960\nfile {files}\nkernel_stack 65536\ninactive_file {files - 4096}\nactive_file 4096\n"
        f"workingset_refault_anon 0\nworkingset_refault_file {refaults}\npgmajfault 2099\n".encode()
    )


def test_what_a_guest_said_of_its_memory() -> None:
    now = used(files=139264, refaults=69377)
    assert (now.anonymous, now.files, now.read_again) == (161832960, 139264, 69377 * PAGE)


def test_who_runs_in_circles_has_no_hope() -> None:
    spells = Spells()
    assert not spells.hopeless(27.4, used(139264, 69002))
    assert spells.hopeless(28.5, used(126976, 72066))
    assert not spells.hopeless(29.6, used(102400, 75611)), "the one that was killed needs a moment to end"
    assert spells.hopeless(30.7, used(139264, 78708))


@pytest.mark.parametrize(
    ("seconds", "files", "refaults"),
    [(1.1, 3 * MIB, 5000), (1.1, 139264, 200), (1.1, 2 * MIB, 500), (20.0, 139264, 50_000)],
    ids=[
        "there is room for what it runs",
        "it reads what is new",
        "not all was read again",
        "that was long ago",
    ],
)
def test_who_goes_on_is_left_alone(seconds: float, files: int, refaults: int) -> None:
    spells = Spells()
    assert not spells.hopeless(100.0, used(files, 69002))
    assert not spells.hopeless(100.0 + seconds, used(files, 69002 + refaults))
