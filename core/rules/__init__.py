"""Alert rules: an expression over what is known of a sandbox, and a name for when it holds. docs/triage.md has them."""

from __future__ import annotations

from .expression import Expression
from .pattern import Pattern
from .rule import Rule, parse_rules

__all__ = ["Expression", "Pattern", "Rule", "parse_rules"]
