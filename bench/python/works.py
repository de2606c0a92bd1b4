"""The work that is measured, each as one command, and the files that it needs in the guest and on the host alike."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

FOLDER: Final = "/srv/work"
"""Where the files are, in the guest and in the host's copy of its image."""

TESTS: Final = 50

_MIX: Final = (
    "apt-cache policy >/dev/null"
    " && perl -e 'my %h; $h{$_ % 97} .= chr(65 + $_ % 26) for 1..100000; print length join q(), values %h'"
    " && find /usr/lib /etc -type f | sort | wc -l"
    " && tar -cf - /usr/lib/python3*/email /etc | wc -c"
)
WORKS: Final[dict[str, tuple[str, ...]]] = {
    "true": ("/bin/true",),
    "start": ("python3", "-c", "pass"),
    "imports": ("python3", "-c", "import asyncio, email.message, sqlite3"),
    "compute": (
        "python3",
        "-c",
        "t = 0\nfor n in range(300000):\n    t = (t * 31 + n) % 1000003\nprint(t)",
    ),
    "pytest": ("python3", "-m", "pytest", "-q", f"{FOLDER}/project"),
    "compiler": ("gcc", "-O1", "-o", "/tmp/sieve", f"{FOLDER}/sieve.c"),
    "mix": ("sh", "-c", _MIX),
}
"""``mix`` is apt, perl, find and tar, one after the other."""

_SHOP: Final = '''\
"""Prices and orders: something small to test."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from decimal import Decimal


@dataclass(frozen=True)
class Item:
    name: str
    price: Decimal
    count: int = 1

    @property
    def total(self) -> Decimal:
        return self.price * self.count


@dataclass
class Order:
    items: list[Item] = field(default_factory=list)

    def add(self, line: str) -> Item:
        match = re.fullmatch(r"(?:(\\d+) )?([a-z ]+) at (\\d+\\.\\d\\d)", line)
        if match is None:
            raise ValueError(f"not a line of an order: {line!r}")
        item = Item(match[2], Decimal(match[3]), int(match[1] or 1))
        self.items.append(item)
        return item

    @property
    def total(self) -> Decimal:
        return sum((item.total for item in self.items), Decimal(0))

    def to_json(self) -> str:
        return json.dumps([asdict(item) for item in self.items], default=str)
'''
_TESTS: Final = """\
import json
from decimal import Decimal

import pytest
from shop import Item, Order


@pytest.fixture
def order():
    order = Order()
    order.add("3 red apples at 0.40")
    return order


@pytest.mark.parametrize("count", range(5))
def test_total(order, count):
    order.add(f"{{count}} pears at 1.25")
    assert order.total == Decimal("1.20") + count * Decimal("1.25")


def test_json(order):
    assert json.loads(order.to_json()) == [{{"name": "red apples", "price": "0.40", "count": 3}}]


def test_item():
    assert Item("x", Decimal({number}), 2).total == {number} * 2


def test_bad_line(order):
    with pytest.raises(ValueError, match="not a line"):
        order.add("{number}")


def test_file(order, tmp_path):
    path = tmp_path / "order{number}.json"
    path.write_text(order.to_json())
    assert len(json.loads(path.read_text())) == 1


def test_output(capsys):
    print("order {number}")
    assert capsys.readouterr().out == "order {number}\\n"
"""
_SIEVE: Final = """\
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int main(int argc, char **argv) {
    int limit = argc > 1 ? atoi(argv[1]) : 1000, found = 0;
    char *composite = calloc(limit + 1, 1);
    for (int n = 2; n <= limit; n++) {
        if (composite[n])
            continue;
        found++;
        for (int m = 2 * n; m <= limit; m += n)
            composite[m] = 1;
    }
    qsort(argv, argc, sizeof *argv, compare);
    printf("%d primes up to %d\\n", found, limit);
    free(composite);
    return 0;
}
"""


def write(folder: Path) -> list[Path]:
    """Write the project of `TESTS` tests, the C source and the timer into ``folder``; where they are."""
    project = folder / "project"
    project.mkdir(parents=True, exist_ok=True)
    (project / "shop.py").write_text(_SHOP)
    for number in range(TESTS // 10):
        (project / f"test_shop{number}.py").write_text(_TESTS.format(number=number))
    (folder / "sieve.c").write_text(_SIEVE)
    shutil.copy(Path(__file__).with_name("timer.py"), folder)
    return [project, folder / "sieve.c", folder / "timer.py"]
