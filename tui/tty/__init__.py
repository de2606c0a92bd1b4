"""The operator's own terminal: it is read, written and put in order again without ever holding the console up."""

from __future__ import annotations
