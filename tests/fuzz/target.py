"""What a fuzz target is: something that takes hostile bytes, and what it may cost."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast, runtime_checkable

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

_HERE: Final = Path(__file__).parent
SEEDS: Final = _HERE / "seeds"
"""One folder a target, with the inputs that once did wrong and those worth starting from."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What one input may cost; more of it is a finding.

    Attributes:
        cpu: seconds of processor time for any input, however small …
        cpu_per_kib: … and for each KiB of it.
        memory: bytes by which the process may grow while an input runs.
        hang: seconds after which an input that has not ended counts as hung.
    """

    cpu: float = 0.5
    cpu_per_kib: float = 0.05
    memory: int = 64 << 20
    hang: float = 20.0

    def seconds(self, size: int) -> float:
        """Seconds of processor time for an input of ``size`` bytes."""
        return self.cpu + self.cpu_per_kib * size / 1024


class Dear(AssertionError):
    """An input cost more than its target allows. It is run again before that is believed: the machine may be busy."""


@runtime_checkable
class Target(Protocol):
    """A module ``tests/fuzz/targets/<name>.py`` has one as ``TARGET``.

    Attributes:
        budget: what one input may cost.
        seeds: built-in inputs to begin with, beside those in ``tests/fuzz/seeds/<name>``.
        mutate: whether seeds are also cut, spliced and changed byte by byte; of no use where `run` only draws its
            choices from the bytes.
    """

    @property
    def budget(self) -> Budget: ...

    @property
    def seeds(self) -> Sequence[bytes]: ...

    @property
    def mutate(self) -> bool: ...

    def generate(self, rng: random.Random) -> bytes:
        """An input of the kind that gets far. All chance comes from ``rng``, so that a seed makes it again."""
        ...

    def run(self, data: bytes) -> None:
        """Take ``data`` as the code under test would. Raises whatever when something is wrong.

        What the code under test says of bad input is no fault: catch those errors here, by their type.
        """
        ...


def names() -> list[str]:
    """The targets that there are."""
    return sorted(path.stem for path in (_HERE / "targets").glob("*.py") if path.stem != "__init__")


def load(name: str) -> Target:
    """The target ``name``. Raises LookupError when there is none, TypeError when its module has no ``TARGET``."""
    if name not in names():
        raise LookupError(f"no target {name!r}; there are: {', '.join(names())}")
    target = cast("object", getattr(importlib.import_module(f"tests.fuzz.targets.{name}"), "TARGET", None))
    if not isinstance(target, Target):
        raise TypeError(f"tests/fuzz/targets/{name}.py has no TARGET that is one")
    return target


def kept(name: str) -> list[Path]:
    """The files in the folder of ``name``'s seeds."""
    folder = SEEDS / name
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.exists() else []
