"""Which accelerator is chosen: what counts as an answer of KVM's, what is remembered, and for how long it is waited."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, cast

import pytest
import trio
import trio.testing

from sandtop.core.errors import MachineError
from sandtop.core.machine import WITHOUT_KVM, Accelerator, Trial
from sandtop.core.machine.qemu import accelerator as accelerator_module
from sandtop.core.machine.qemu import probe as probing
from sandtop.core.machine.qemu import process as process_module
from sandtop.core.machine.qemu.accelerator import Accelerators
from sandtop.core.machine.qemu.probe import Patience, probe
from sandtop.core.machine.qemu.program import Qemu

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.guest import Kernel
    from sandtop.core.machine.qemu.machine import QemuMachine

    from .conftest import MakeScript

pytestmark = pytest.mark.anyio

FOR_TCG = "console=ttyS0 quiet panic=-1 no_timer_check tsc=reliable"
AS_KVM = """
n=$#
while [ $n -gt 0 ]; do
    word=$1; shift
    case $word in kvm) word=tcg ;; host) word=max ;; esac
    set -- "$@" "$word"; n=$((n - 1))
done
exec QEMU "$@"
"""
"""A QEMU under which a guest boots when KVM was asked for, whatever this host has: it emulates."""


class MakeTrial(Protocol):
    def __call__(self, initramfs: Path, arguments: str = FOR_TCG) -> Trial: ...


@pytest.fixture
def trial(kernel: Kernel, tmp_path: Path) -> MakeTrial:
    runtime = tmp_path / "r"
    runtime.mkdir(mode=0o711)
    image = tmp_path / "image"
    image.write_bytes(bytes(4096))
    return lambda initramfs, arguments=FOR_TCG: Trial(kernel.image, initramfs, image, arguments, runtime)


@pytest.fixture
def let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a host where every machine may open /dev/kvm."""
    monkeypatch.setattr(probing, "refused", lambda: None)
    monkeypatch.setattr(accelerator_module, "refused", lambda: None)
    monkeypatch.setattr(process_module, "kvm_groups", list[int])


def nobody(_line: str) -> None:
    pass


# ---- what a probe answers


@pytest.mark.vm
@pytest.mark.usefixtures("let_in")
async def test_a_guest_whose_agent_opens_its_port(
    trial: MakeTrial, initramfs: Path, script: MakeScript, qemu: Qemu
) -> None:
    wrapped = Qemu(script(AS_KVM.replace("QEMU", str(qemu.path))), qemu.version)
    asked = trial(initramfs)
    found = await probe(asked, wrapped)
    assert found.works, found.reason
    assert os.listdir(asked.runtime) == []


@pytest.mark.vm
@pytest.mark.usefixtures("let_in")
async def test_a_guest_that_gives_up_is_a_no(
    trial: MakeTrial, initramfs: Path, script: MakeScript, qemu: Qemu
) -> None:
    wrapped = Qemu(script(AS_KVM.replace("QEMU", str(qemu.path))), qemu.version)
    found = await probe(trial(initramfs, f"{FOR_TCG} rdinit=/no"), wrapped)
    assert found.works is False
    assert "Kernel panic" in found.reason


@pytest.mark.usefixtures("let_in")
@pytest.mark.parametrize(
    ("body", "works", "says"),
    [
        ("echo 'qemu: failed to initialize kvm: Invalid argument' >&2; exit 1", False, "Invalid argument"),
        ("echo 'qemu: failed to initialize kvm: Device or resource busy' >&2; exit 1", None, "busy"),
        ("echo 'qemu: cannot set up guest memory: Cannot allocate memory' >&2; exit 1", None, "memory"),
        ("kill -KILL $$", None, "killed by SIGKILL"),
    ],
)
async def test_the_end_of_a_qemu(
    body: str, works: bool | None, says: str, trial: MakeTrial, initramfs: Path, script: MakeScript
) -> None:
    asked = trial(initramfs)
    found = await probe(asked, Qemu(script(body), "7.2"))
    assert (found.works, says in found.reason) == (works, True), found.reason
    assert os.listdir(asked.runtime) == []


@dataclass
class Monitor:
    """Answers as QEMU's did where KVM emulates, or works; each look one entry of (emulated, exits)."""

    counts: list[tuple[int, int]]

    async def execute(self, _command: str, **_arguments: object) -> object:
        emulated, exits = self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]
        stats = [{"name": "insn_emulation", "value": emulated}, {"name": "exits", "value": exits}]
        return [{"provider": "kvm", "stats": stats}]


@dataclass
class Guest:
    """A machine that is not ready, with a console that grows at the times given."""

    console_log: Path
    monitor: Monitor
    lines: list[float] = field(default_factory=list[float])

    async def ready(self) -> None:
        for at in self.lines:
            await trio.sleep(at)
            with self.console_log.open("a") as console:
                console.write("a line\n")
        await trio.sleep_forever()

    def console_tail(self, _lines: int) -> str:
        return self.console_log.read_text().splitlines()[-1] if self.console_log.exists() else ""


WORKING = [(2000, 90_000)]
EMULATING = [(59_430, 301), (88_970, 359), (89_068, 391)]


def watched(guest: Guest) -> tuple[bool | None, str, float]:
    """The answer, the reason, and the seconds that it took, by a clock that jumps."""

    async def watch() -> tuple[bool | None, str, float]:
        begun = trio.current_time()
        found = await probing._watch(cast("QemuMachine", guest), Patience(20, 120))  # pyright: ignore[reportPrivateUsage]
        return found.works, found.reason, trio.current_time() - begun

    return trio.run(watch, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_guest_that_kvm_emulates_is_a_no(tmp_path: Path) -> None:
    works, reason, seconds = watched(Guest(tmp_path / "console", Monitor(list(EMULATING))))
    assert (works, "one by one in software" in reason) == (False, True)
    assert seconds < 5


def test_a_moment_of_emulation_is_none(tmp_path: Path) -> None:
    guest = Guest(tmp_path / "console", Monitor([*EMULATING[:2], *WORKING]))
    works, _, seconds = watched(guest)
    assert (works, round(seconds)) == (None, 20)


def test_a_silent_guest_is_no_answer(tmp_path: Path) -> None:
    works, reason, seconds = watched(Guest(tmp_path / "console", Monitor(list(WORKING))))
    assert (works, round(seconds)) == (None, 20)
    assert "it printed nothing" in reason


def test_a_guest_that_prints_has_longer(tmp_path: Path) -> None:
    guest = Guest(tmp_path / "console", Monitor(list(WORKING)), [15.0, 15.0, 15.0])
    works, reason, seconds = watched(guest)
    assert (works, round(seconds)) == (None, 66)
    assert "it printed last: a line" in reason


def test_but_not_for_ever(tmp_path: Path) -> None:
    guest = Guest(tmp_path / "console", Monitor(list(WORKING)), [1.0] * 1000)
    works, _, seconds = watched(guest)
    assert (works, round(seconds)) == (None, 120)


# ---- what is made of it


@pytest.mark.usefixtures("let_in")
async def test_what_was_asked_for_is_not_probed_for(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    trial = Trial(nothing, nothing, nothing, "", nothing)
    for wanted in Accelerator:
        chosen = await Accelerators(nothing).choose(Qemu(nothing, ""), trial, nobody, wanted=wanted)
        assert (chosen.accelerator, chosen.reason) == (wanted, "asked for")


async def test_a_kvm_that_machines_may_not_open_is_refused_before_any_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a template nor a sandbox is tried: each would say the same again."""
    missing = tmp_path / "kvm"
    monkeypatch.setattr(probing, "KVM", missing)
    trial = Trial(missing, missing, missing, "", missing)
    with pytest.raises(MachineError) as caught:
        await Accelerators(missing).choose(Qemu(missing, ""), trial, nobody, wanted=Accelerator.KVM)
    assert caught.value.message.startswith(f"KVM was asked for and cannot be used: {missing} is not there")
    assert caught.value.hint == WITHOUT_KVM


@pytest.mark.usefixtures("let_in")
@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{", id="half"),
        pytest.param(b'{"works": true, "reason": "I say so", "key": {}}', id="another's"),
        pytest.param(b"\xff", id="no text"),
        pytest.param(b"[" * 100_000, id="a deep nest"),
    ],
)
async def test_what_is_remembered_is_not_believed_blindly(
    kept: bytes, trial: MakeTrial, initramfs: Path, script: MakeScript, tmp_path: Path
) -> None:
    refusing = Qemu(script("echo 'qemu: failed to initialize kvm' >&2; exit 1\n"), "7.2")
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "accelerator.json").write_bytes(kept)
    chosen = await Accelerators(cache).choose(refusing, trial(initramfs), nobody)
    assert chosen.accelerator is Accelerator.TCG
    assert chosen.reason.endswith("failed to initialize kvm")
    assert json.loads((cache / "accelerator.json").read_bytes())["works"] is False
    assert os.listdir(cache) == ["accelerator.json"]


@pytest.mark.usefixtures("let_in")
async def test_a_no_is_kept_until_somebody_asks_again(
    trial: MakeTrial, initramfs: Path, script: MakeScript, tmp_path: Path
) -> None:
    refusing = Qemu(script("echo 'qemu: no kvm' >&2; exit 1\n"), "7.2")
    tried: list[str] = []
    for again, times in ((False, 1), (False, 1), (True, 2), (False, 2)):
        chosen = await Accelerators(tmp_path).choose(refusing, trial(initramfs), tried.append, again=again)
        assert chosen.accelerator is Accelerator.TCG
        assert len(tried) == times


@pytest.mark.usefixtures("let_in")
async def test_no_answer_is_kept_by_nobody_but_this_core(
    trial: MakeTrial, initramfs: Path, script: MakeScript, tmp_path: Path
) -> None:
    killed = Qemu(script("kill -KILL $$\n"), "7.2")
    said: list[str] = []
    mine = Accelerators(tmp_path)
    for _ in range(3):
        chosen = await mine.choose(killed, trial(initramfs), said.append)
        assert chosen.accelerator is Accelerator.TCG
        assert "no answer" in chosen.reason
    assert said == ["trying whether KVM works on this host"]
    assert not (tmp_path / "accelerator.json").exists()
    await Accelerators(tmp_path).choose(killed, trial(initramfs), said.append)
    assert len(said) == 2
