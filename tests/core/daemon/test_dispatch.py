"""Every operation of the contract has one handler, of its own types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandtop.core.contract import operations
from sandtop.core.contract.codec import result_of
from sandtop.core.contract.image import ImageWarm
from sandtop.core.contract.record import Change, Stream
from sandtop.core.contract.sandbox import SandboxCreate, SandboxPause
from sandtop.core.daemon import sandbox_ops, server
from sandtop.core.daemon.dispatch import HANDLERS, makes
from sandtop.core.daemon.sandbox_ops import DEFAULT, shape_of
from sandtop.core.store import SandboxConfig

if TYPE_CHECKING:
    from sandtop.core.contract.record import Request


def test_every_operation_has_a_handler() -> None:
    assert {kind.op for kind in HANDLERS} == set(operations())
    modules = {module.__name__ for module in server.OPERATIONS}
    assert {handler.__module__ for handler in HANDLERS.values()} == modules


@pytest.mark.parametrize("kind", operations().values(), ids=list(operations()))
def test_a_handler_takes_the_request_and_returns_the_result_of_its_operation(
    kind: type[Request[Any]],
) -> None:
    types = dict(HANDLERS[kind].__annotations__)
    assert types.pop("core") == "Core"
    assert types.pop("request") == kind.__name__
    result, own = types.pop("return"), result_of(kind).__name__
    if issubclass(kind, Stream):
        assert result in (own, f"{own} | None", "None")
        assert types == {"connection": "Connection"}
    else:
        assert result == own
        assert types == ({"work": "Work"} if issubclass(kind, Change) else {})


def test_an_operation_has_no_second_handler() -> None:
    with pytest.raises(AssertionError, match=r"sandbox\.pause"):
        makes(SandboxPause)(sandbox_ops.pause)


def test_what_a_request_does_not_say_is_the_default() -> None:
    assert shape_of(SandboxCreate(name="a")) == shape_of(ImageWarm()) == DEFAULT == SandboxConfig()
    asked = SandboxCreate(
        name="a", cpus=2, memory=128, disk=16, network="user", accelerator="tcg", image="tools"
    )
    assert shape_of(asked) == SandboxConfig(
        image="tools", cpus=2, memory=128, disk=16, network="user", accelerator="tcg"
    )
