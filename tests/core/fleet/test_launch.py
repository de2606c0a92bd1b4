"""Starting a sandbox's machine: what is said when that fails."""

from __future__ import annotations

from sandtop.core.errors import MachineError
from sandtop.core.fleet.launch import under_kvm


def test_a_start_that_fails_says_how_to_go_on() -> None:
    met = MachineError("box could not start: it hangs", hint="sandtop doctor checks this host")
    error = under_kvm(met, "box", wanted=False)
    assert error.message == "box could not start: it hangs (under KVM)"
    assert error.hint == (
        "sandtop doctor checks this host; KVM worked when this host was probed; "
        'without it: --accelerator tcg, or accelerator = "tcg" in config.toml'
    )
