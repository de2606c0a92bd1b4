"""The core of the clients' tests keeps to the contract."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest
from tests.fakecore.operations import HANDLERS

from sandtop.core.client.link import Conversation, Operation, call
from sandtop.core.contract import operations
from sandtop.core.contract.codec import decode_request, decode_result, result_of
from sandtop.core.contract.sandbox import SandboxList
from sandtop.core.errors import InvalidRequest

if TYPE_CHECKING:
    from tests.fakecore import FakeCore


FIELDS: dict[str, dict[str, object]] = {
    "core.status": {},
    "sandbox.create": {"name": "new", "labels": {"a": "b"}},
    "sandbox.list": {},
    "sandbox.inspect": {"sandbox": "demo"},
    "sandbox.pause": {"sandbox": "demo"},
    "sandbox.ping": {"sandbox": "demo"},
    "sandbox.acknowledge": {"sandbox": "demo"},
    "sandbox.rm": {"sandbox": "demo", "force": True},
    "image.list": {},
    "image.build": {"name": "tools", "source": "/"},
    "image.warm": {},
    "image.rm": {"name": "base"},
    "image.pull": {"name": "debian:12"},
    "image.load": {"path": "/", "name": "new"},
    "image.tag": {"name": "base", "new": "new"},
    "image.inspect": {"name": "base"},
    "image.prune": {"all": True},
    "session.exec": {"sandbox": "demo", "id": "b" * 16, "argv": ["true"], "detach": True},
    "session.list": {},
}


def test_what_it_does_is_of_the_contract() -> None:
    """Of each operation, of which one that is new need not be here, its handler takes its request."""
    for kind, handler in HANDLERS.items():
        assert operations()[kind.op] is kind
        request = list(inspect.signature(handler).parameters.values())[-1].annotation
        assert request.rpartition(".")[2] == kind.__name__ or handler.__qualname__.startswith("_becomes")


@pytest.mark.parametrize("op", FIELDS)
def test_what_it_answers_is_what_the_contract_says(fake: FakeCore, op: str) -> None:
    operation = Operation(decode_request(operations()[op], FIELDS[op]))
    Conversation(operation).run()
    result, kind = operation.result, result_of(operations()[op])
    assert result is not None
    assert decode_result(kind, result)
    assert result.keys() - {"type"} == kind.fields.keys()


def test_a_field_that_the_contract_does_not_have_is_refused(fake: FakeCore) -> None:
    class Coloured(SandboxList):
        def message(self) -> dict[str, object]:
            return {**super().message(), "colour": "blue"}

    with pytest.raises(InvalidRequest, match=r"sandbox\.list has no field 'colour'"):
        call(Coloured())
