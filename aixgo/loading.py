"""Where a family's implementation is found by its kind.

A family is a folder whose every module but `base` is one implementation, named after its kind. `load`
imports `aixgo.<family>.<kind>`, looks for an entry point only when there is no such module, and is the
only place where a missing package becomes `MissingExtra`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pkgutil
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import cast

from aixgo.errors import ConfigError, MissingExtra, nearest

__all__ = ["installed", "kinds", "load", "module_of_file", "shown_module"]

OF_FILE = "_aixgo_code_"  # begins the names of modules that are a file beside a configuration

EXTRAS = {  # top-level package → the extra of aixgo that installs it
    "anthropic": "anthropic",
    "cryptography": "tls",
    "openai": "openai",
    "uvloop": "uvloop",
}


def module_of_file(file: Path) -> str:
    """The name a file beside a configuration is imported under: two folders may each have an `agents.py`."""
    return f"{OF_FILE}{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"


def shown_module(name: str) -> str:
    """A module's name for people: the file's own where it is one of those."""
    return f"{name.removeprefix(OF_FILE)[:-13]}.py" if name.startswith(OF_FILE) else name


def load(family: str, kind: str) -> ModuleType:
    """The module that implements `kind` of `family`, such as ("orchestration", "parallel").

    Raises:
        ConfigError: there is no such kind; the text names the nearest.
        MissingExtra: its package is not installed.
    """
    name = kind.replace("-", "_")
    if not kind.startswith(("_", "base")) and name.isidentifier():
        try:
            found = importlib.util.find_spec(f"aixgo.{family}.{name}")
        except ModuleNotFoundError:
            found = None
        if found is not None:
            return _import(f"aixgo.{family}.{name}", f"{family} {kind!r}")
    for entry in entry_points(group=f"aixgo.{family}", name=kind):
        return _import(entry.module, f"{family} {kind!r}")
    known = kinds(family)
    near = nearest(kind, known)
    hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(known)}"
    raise ConfigError(f"{family} has no kind {kind!r}; {hint}")


def kinds(family: str) -> list[str]:
    """The kinds `load` finds in `family`, sorted."""
    package = importlib.import_module(f"aixgo.{family}")
    own = {
        module.name
        for module in pkgutil.iter_modules(package.__path__)
        if not module.name.startswith("_") and module.name != "base"
    }
    return sorted(own | {entry.name for entry in entry_points(group=f"aixgo.{family}")})


def installed(family: str, name: str) -> object | None:
    """What an installed package registered as `name` of `family`, or None; for families of plain objects.

    Raises:
        ConfigError: the package cannot be imported.
    """
    for entry in entry_points(group=f"aixgo.{family}", name=name):
        try:
            return cast("object", entry.load())
        except (ImportError, AttributeError) as exc:
            raise ConfigError(f"{family} {name!r}: importing {entry.value} failed: {exc}") from exc
    return None


def _import(module: str, feature: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        missing = (exc.name or "").partition(".")[0]
        if missing in EXTRAS:
            raise MissingExtra(feature, EXTRAS[missing]) from exc
        raise
