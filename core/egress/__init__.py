"""What sandboxes with an allow-list reach: each connection that an agent passes on is decided, made and logged."""

from __future__ import annotations

from sandtop.core.egress.addresses import OWN, RESOLVER
from sandtop.core.egress.egress import Egress
from sandtop.core.egress.keys import Keys
from sandtop.core.egress.rules import MOST_RULES, Rules, parse
from sandtop.core.egress.secrets import TRUST, rows_of, values_of

__all__ = [
    "MOST_RULES",
    "OWN",
    "RESOLVER",
    "TRUST",
    "Egress",
    "Keys",
    "Rules",
    "parse",
    "rows_of",
    "values_of",
]
