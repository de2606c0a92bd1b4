"""What requests, results and events are made of: `Record`, a frozen dataclass that is cheap to import.

A checker sees dataclasses. At run time a record's class reads its own annotations, as text, and no more: to import
`dataclasses` takes longer than all that ``sandtop exec`` imports of the contract, and each class that it makes longer
than all of a noun's. What is not given is the class's attribute; a request sends only what was given.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    import dataclasses
    from typing import Any, ClassVar, Final, Generic, Never, TypeGuard, TypeVar, dataclass_transform

    from .limits import RequestId

    Result_co = TypeVar("Result_co", bound="Record", covariant=True)

    class _Answered(Generic[Result_co]):
        """Whose answer is a `Result_co`."""
else:

    def dataclass_transform(**_: bool) -> object:
        return lambda kind: kind

    Result_co = None

    class _Answered:
        __class_getitem__ = classmethod(type(list[int]))  # types.GenericAlias, without importing types


QUIET_SECONDS: Final = 60.0
"""How long the core may say nothing before a plain request is given up."""
SLOW_SECONDS: Final = 900.0
"""The same for what builds images or boots a machine."""


class _Fields:
    """A record's fields as `dataclasses` has them: so ``asdict``, ``replace`` and ``fields`` take records."""

    def __get__(self, _instance: object, kind: type[Record]) -> dict[str, dataclasses.Field[Any]]:
        import dataclasses

        empty = type("Empty", (), {"__annotations__": kind.fields})
        for name in kind.fields.keys() - kind.required:
            setattr(empty, name, getattr(kind, name))
        made: dict[str, dataclasses.Field[Any]] = vars(dataclasses.dataclass(kw_only=True)(empty))[
            "__dataclass_fields__"
        ]
        return made


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Record:
    """A value with named fields, which are never assigned.

    Attributes:
        fields: the name and the annotation of each, in the order in which they are sent. A name that Python keeps for
            itself has an underscore behind it, which is not sent.
        required: the names of those without a default.
    """

    fields: ClassVar[dict[str, str]] = {}
    required: ClassVar[frozenset[str]] = frozenset()
    __match_args__ = ()
    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]
    else:
        __dataclass_fields__ = _Fields()

        def __init__(self, **given: object) -> None:
            if not (self.required <= given.keys() <= self.fields.keys()):
                missing, unknown = self.required - given.keys(), given.keys() - self.fields.keys()
                wrong = ("lacks", missing) if missing else ("has no field", unknown)
                raise TypeError(f"{type(self).__name__} {wrong[0]} {', '.join(sorted(wrong[1]))}")
            self.__dict__.update(given)

    def __init_subclass__(cls) -> None:
        own = {name: kind for name, kind in cls.__annotations__.items() if not kind.startswith("ClassVar")}
        cls.fields = {**cls.fields, **own}
        cls.required = cls.required.union([name for name in own if name not in vars(cls)])

    def to_json(self) -> dict[str, object]:
        """All its fields, such as JSON takes them."""
        return {name.removesuffix("_"): plain(getattr(self, name)) for name in self.fields}

    def __setattr__(self, name: str, value: object) -> Never:
        raise AttributeError(f"{type(self).__name__} is read-only: cannot assign to {name}")

    def __delattr__(self, name: str) -> Never:
        raise AttributeError(f"{type(self).__name__} is read-only: cannot delete {name}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.fields)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self.fields))

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.fields)})"
        )


def plain(value: object) -> object:
    """``value`` as JSON takes it: a record becomes an object."""
    if isinstance(value, Record):
        return value.to_json()
    if is_list(value) and value and isinstance(value[0], Record):
        # of a command line of 100,000 arguments no more is looked at: what is in a list is of one kind
        return [plain(item) for item in value]
    return value


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Whether ``value``, which came out of JSON, is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[object]]:
    """Whether ``value``, which came out of JSON, is a list."""
    return isinstance(value, list)


class Part(Record):
    """An object in a request, which takes no more of unknown fields than the request."""


class Nothing(Record):
    """The result of an operation that has nothing to tell."""


OPERATIONS: Final[dict[str, type[Request[Any]]]] = {}
"""By name, those whose modules were imported: `sandtop.core.contract.operations` has all."""


class Request(Record, _Answered[Result_co]):
    """What a client asks of the core. One that is only this changes nothing, or nothing more when it comes again.

    Attributes:
        op: the operation's name.
        slow: it builds an image or waits for a build, or boots or ends machines: the core may say nothing for long.
        long: it may be longer than a frame.
        outdated: fields that clients of earlier releases send, and that mean nothing.
    """

    op: ClassVar[str] = ""
    slow: ClassVar[bool] = False
    long: ClassVar[bool] = False
    outdated: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(
        cls, op: str = "", *, slow: bool = False, long: bool = False, outdated: tuple[str, ...] = ()
    ) -> None:
        super().__init_subclass__()
        if op:
            cls.op, cls.slow, cls.long, cls.outdated = op, slow, long, frozenset(outdated)
            OPERATIONS[op] = cls

    @classmethod
    def patience(cls) -> float:
        """Seconds that the core may say nothing while it works on this."""
        return SLOW_SECONDS if cls.slow else QUIET_SECONDS

    def message(self) -> dict[str, object]:
        """What is sent: no more than what was given."""
        return {
            "type": "request",
            "op": self.op,
            **{name: plain(value) for name, value in vars(self).items()},
        }


class Change(Request[Result_co]):
    """One that is done once, however often it is sent: the core gives a repeat the result of the first.

    Attributes:
        request_id: by which a repeat is known. Made by the client; without one there are no repeats.
    """

    request_id: RequestId | None = None


class Stream(Request[Result_co]):
    """One whose connection carries more than its result: events, output, input."""


class Event(Record):
    """A control message beside requests and results: something that happened, or that is to be done at once.

    Attributes:
        kind: its ``type``.
    """

    kind: ClassVar[str] = ""

    def __init_subclass__(cls, kind: str) -> None:
        super().__init_subclass__()
        cls.kind = kind

    def message(self) -> dict[str, object]:
        """What is sent."""
        return {"type": self.kind, **self.to_json()}
