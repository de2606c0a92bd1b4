"""Who may import whom, at run time: what importing a room really loads (import-linter reads only the source)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"

LOAD_ALL = """
import pkgutil
for module in pkgutil.walk_packages(sys.modules[room].__path__, room + "."):
    if not module.name.endswith(".__main__"):
        importlib.import_module(module.name)
"""
MEMORY = "sandtop.core.machine.memory"


def loaded(room: str, *options: str, then: str = LOAD_ALL) -> set[str]:
    """The names of all modules that a fresh Python has once it imported ``room`` and, unless told, all below it."""
    program = f"import importlib, sys; sys.path.insert(0, {str(SOURCE)!r}); room = {room!r}\n"
    program += f"importlib.import_module(room)\n{then}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, *options, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def roots(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def within(modules: set[str], *packages: str) -> set[str]:
    """Those of ``modules`` that are one of ``packages`` or below one."""
    return {name for name in modules if any(name == p or name.startswith(p + ".") for p in packages)}


def test_the_agent_runs_on_the_standard_library_alone() -> None:
    modules = loaded("sandtop.agent", "-I", "-S")  # -S: no site-packages, as in the guest
    assert "sandtop.agent.wire" in modules
    assert roots(modules) <= sys.stdlib_module_names | {"__main__", "sandtop"}
    assert within(modules, "sandtop") - within(modules, "sandtop.agent") == {"sandtop"}


def test_the_front_door_costs_nothing_until_it_is_used() -> None:
    modules = loaded("sandtop", "-I", "-S", then="")
    assert within(modules, "sandtop") == {"sandtop"}
    assert roots(modules) <= sys.stdlib_module_names | {"__main__", "sandtop"}


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("sandtop.core", {"textual", "sandtop.tui"}),
        ("sandtop.core.daemon", {"textual", "rich", "pyte", "sandtop.core.cli", "sandtop.core.terminal"}),
        ("sandtop.core.client", {"textual", "rich", "pyte", "trio", "sandtop.core.daemon"}),
        ("sandtop.tui", {"trio", "sandtop.core.daemon", "sandtop.core.cli", "sandtop.core.machine"}),
    ],
)
def test_a_room_does_not_load(room: str, forbidden: set[str]) -> None:
    modules = loaded(room)
    assert room in modules
    assert within(modules, *forbidden) == set()


def test_of_the_agent_the_host_side_loads_the_wire_alone() -> None:
    """All but the driver in memory, which only tests use: it runs the real agent, in place of a guest."""
    others = f"sys.modules[{MEMORY!r}] = None\n" + LOAD_ALL.replace(
        "if not", f"if module.name != {MEMORY!r} and not"
    )
    core = loaded("sandtop.core", then=others)
    assert "sandtop.core.machine.qemu" in core
    modules = within(core | loaded("sandtop.tui"), "sandtop.agent")
    assert modules - within(modules, "sandtop.agent.wire") == {"sandtop.agent"}


def test_the_wire_loads_nothing_of_the_rest_of_the_agent() -> None:
    names = "from sandtop.agent.wire import *"  # some of it is imported when it is first used
    face = within(loaded("sandtop.agent.wire", "-I", "-S", then=names), "sandtop")
    assert face - {"sandtop", "sandtop.agent"} == within(face, "sandtop.agent.wire")
    assert "sandtop.agent.wire.streams" in face


def test_a_request_costs_no_more_than_its_classes() -> None:
    """What a hot command imports of the contract: none of what `dataclasses` would take with it."""
    modules = loaded(
        "sandtop.core.contract.session", "-I", "-S", then="from sandtop.core.contract.session import *"
    )
    assert within(modules, "sandtop.core") == {
        "sandtop.core",
        "sandtop.core.contract",
        "sandtop.core.contract.record",
        "sandtop.core.contract.session",
    }
    assert within(modules, "dataclasses", "typing", "re", "enum", "inspect", "types") == set()


DRIVERS_OWN = re.compile(r"qemu|qmp|virtserial", re.IGNORECASE)
"""The words of the one driver that runs sandboxes."""


def test_only_its_own_package_knows_the_driver() -> None:
    """The registry, which names the drivers there are, is the one exception."""
    package = ROOT / "core" / "machine" / "qemu"
    found = {
        str(source.relative_to(ROOT)): line.strip()
        for room in ("agent", "core", "tui")
        for source in (ROOT / room).rglob("*.py")
        if package not in source.parents
        for line in source.read_text().splitlines()
        if DRIVERS_OWN.search(line)
    }
    assert found.keys() == {"core/machine/registry.py"}, found
