"""How everybody else asks the core: three packages, each with a face, and each may use those before it.

``link`` is the connection to the core, ``session`` a session that is followed, ``sdk`` what programs use. What each
offers is in its ``__all__``; nobody else imports a module behind it.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def lazily(package: str, home: Mapping[str, tuple[str, ...]]) -> Callable[[str], object]:
    """A ``__getattr__`` for ``package`` (PEP 562) that imports a name when it is first used.

    ``home`` says which names each module has: one of the package, or one of another package by its whole name. A
    command that people wait for so pays for what it uses alone.
    """

    def find(name: str) -> object:
        for module, names in home.items():
            if name in names:
                whole = module if "." in module else f"{package}.{module}"
                source = __import__(whole, fromlist=names)
                value: object = getattr(source, name)
                return value
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find
