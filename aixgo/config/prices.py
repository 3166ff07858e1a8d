"""Prices that users state: `prices:` of a file, and the price file it may name.

A price is in dollars per million tokens, as vendors print it, under `provider:model`. Below: config.read,
pricing. Above: config.parse.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import cast

from aixgo.config.check import Findings
from aixgo.config.read import Block, read_file
from aixgo.message import JSONValue
from aixgo.pricing import OnUnpriced, Price, Prices

__all__ = ["read_prices"]

FIELDS = ("prompt", "completion", "cached", "cache_write")


def read_prices(block: Block, base: Path, findings: Findings) -> Prices | None:
    """What `prices:` of the root `block` puts into force, or None without one.

    The file it names is taken relative to the folder `base`; where both price a model, `models:` decides.
    Faults go to `findings`, each with the file and line it is in.
    """
    given = block.get("prices")
    if not isinstance(given, Block):
        return None
    own: dict[str, Price] = {}
    name = given.get("file")
    if isinstance(name, str):
        path = base / Path(name).expanduser()
        there = Findings(str(path))
        own |= _models(read_file(path), "", there)
        findings.errors += there.errors
    models = given.get("models")
    if isinstance(models, Block):
        own |= _models(models, "prices.models", findings)
    elif models is not None:
        findings.fault(given.lines["models"], "prices.models", "must be a mapping")
    return Prices(own=own, on_unpriced=cast("OnUnpriced | None", given.get("on_unpriced")))


def _models(block: Block, path: str, findings: Findings) -> dict[str, Price]:
    found: dict[str, Price] = {}
    for name, value in block.items():
        where = f"{path}.{name}" if path else name
        if not all(name.partition(":")):
            findings.fault(block.lines[name], where, "must be written provider:model")
        elif not isinstance(value, Block):
            findings.fault(block.lines[name], where, "must be a mapping with prompt and completion")
        elif (price := _price(value, where, findings)) is not None:
            found[name] = price
    return found


def _price(block: Block, where: str, findings: Findings) -> Price | None:
    faults = len(findings.errors)
    for name, value in block.items():
        if name not in FIELDS:
            known = ", ".join(FIELDS)
            findings.fault(block.lines[name], f"{where}.{name}", f"is none of {known}")
        elif not _is_amount(value):
            text = "must be a number of dollars per million tokens, not negative"
            findings.fault(block.lines[name], f"{where}.{name}", text)
    for name in ("prompt", "completion"):
        if name not in block:
            findings.fault(block.line, where, f"the key {name!r} is missing")
    if len(findings.errors) > faults:
        return None
    amounts = cast("dict[str, float]", block)
    return Price.usd(
        amounts["prompt"],
        amounts["completion"],
        amounts.get("cached"),
        cache_write=amounts.get("cache_write"),
    )


def _is_amount(value: JSONValue) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 <= cast("float", value) < math.inf
