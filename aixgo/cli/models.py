"""`aixgo models`: which models can be named, what they cost, and what is set up here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, cast

import typer

from aixgo.cli.answer import print_json
from aixgo.errors import ConfigError, nearest
from aixgo.message import JSONValue
from aixgo.pricing import price_of
from aixgo.providers import VENDORS, Vendor, other_providers

__all__ = ["command"]

MILLION_USD = 1_000_000_000  # a price is in nano-dollars per million tokens


def command(
    provider: Annotated[str, typer.Argument(help="Only this provider.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """List the models that can be named, and what is set up here."""
    others = other_providers()
    if provider and provider not in (*VENDORS, *others):
        near = nearest(provider, [*VENDORS, *others])
        hint = f"did you mean {near!r}?" if near else f"there are: {', '.join([*others, *VENDORS])}"
        raise ConfigError(f"there is no provider {provider!r}; {hint}")
    rows = [_own(name) for name in others if provider in ("", name)]
    rows += [_described(row) for row in VENDORS.values() if provider in ("", row.name)]
    if as_json:
        print_json({"providers": cast("list[JSONValue]", rows)})
    else:
        _print(rows)
    return 0


Row = dict[str, JSONValue]


def _own(name: str) -> Row:
    """A provider without a vendor."""
    return {"provider": name, "package": "", "installed": True, "key": "", "models": []}


def _described(vendor: Vendor) -> Row:
    """A vendor as it is set up here; of its key only whether there is one."""
    try:
        installed = version(vendor.package)
    except PackageNotFoundError:
        installed = ""
    models: list[JSONValue] = []
    for name in vendor.examples:
        price = _price(name, vendor.name)
        models.append({"model": f"{vendor.name}:{name}", **price})
    return {
        "provider": vendor.name,
        "package": f"{vendor.package} {installed}".strip(),
        "extra": vendor.package,
        "installed": bool(installed),
        "key": vendor.key_variable,
        "key_set": bool(vendor.key()),
        "key_needed": vendor.needs_key,
        "address": re.sub(r"//[^/@]*@", "//", vendor.address()),
        "models": models,
    }


def _price(model: str, provider: str) -> dict[str, JSONValue]:
    """Dollars per million tokens, None where no price is known."""
    found = price_of(model, provider)
    return {
        "prompt_usd": None if found is None else found.prompt / MILLION_USD,
        "completion_usd": None if found is None else found.completion / MILLION_USD,
    }


def _print(rows: list[Row]) -> None:
    lines = [("PROVIDER", "PACKAGE", "KEY", "ADDRESS")]
    lines += [(str(r["provider"]), _package(r), _key(r), str(r.get("address", ""))) for r in rows]
    _table(lines)
    models = [
        cast("Row", model) for row in rows for model in cast("list[JSONValue]", row["models"])
    ]
    if models:
        print()
        head = ("MODEL", "PROMPT", "COMPLETION (USD per million tokens; - is unknown)")
        _table(
            [
                head,
                *(
                    (str(m["model"]), _dollars(m["prompt_usd"]), _dollars(m["completion_usd"]))
                    for m in models
                ),
            ]
        )


def _package(row: Row) -> str:
    if not row["package"]:
        return "built in"
    return str(row["package"]) if row["installed"] else f"pip install 'aixgo[{row['extra']}]'"


def _key(row: Row) -> str:
    if not row["key"]:
        return "none needed"
    if row["key_set"]:
        return f"{row['key']} is set"
    return f"{row['key']} is not set" if row["key_needed"] else "none needed"


def _dollars(value: JSONValue) -> str:
    return "-" if value is None else f"{value:g}"


def _table(lines: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print(
            "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        )
