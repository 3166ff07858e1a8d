"""`code: ./file.py:attr` or `package.module:attr`: what somebody's own Python stands for.

A file beside the YAML is imported under a private name, once, and `sys.path` stays as it is, so that two
configurations may each have their `agents.py`. Below: errors. Above: config.build.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import cast

from aixgo.contract import Agent
from aixgo.errors import ConfigError
from aixgo.keys import duration_seconds
from aixgo.loading import installed, module_of_file, shown_module
from aixgo.message import JSONValue
from aixgo.tools.base import TIMEOUT, FunctionTool, Tool, as_tool, tool

__all__ = ["agent_from_code", "load_code", "missing_file", "tools_from_code"]

WIRING = frozenset({"code", "depends_on", "folder", "inputs", "listen", "outputs", "type"})
"""Keys of an entry that the runtime reads, never the code."""


def load_code(reference: str, folder: Path) -> object:
    """The object `reference` names; files are looked for in `folder`.

    Raises:
        ConfigError: the file, the module or the attribute is not there, or importing it failed.
    """
    source, colon, attribute = reference.rpartition(":")
    if not (colon and source and attribute.isidentifier()):
        raise ConfigError(f"code {reference!r} must be ./file.py:name or package.module:name")
    if source.endswith(".py"):
        module = _from_file((folder / source).resolve(), reference)
    else:
        module = _from_package(source, reference, folder)
    try:
        return cast("object", getattr(module, attribute))
    except AttributeError as exc:
        raise ConfigError(f"code {reference!r}: there is no {attribute!r} in {source}") from exc


def missing_file(reference: str, folder: Path) -> Path | None:
    """The file that `reference` names and that is not there, if it names one."""
    source, _, _ = reference.rpartition(":")
    file = (folder / source).resolve()
    return file if source.endswith(".py") and not file.is_file() else None


def agent_from_code(
    reference: str,
    folder: Path,
    settings: Mapping[str, JSONValue],
    extras: Mapping[str, JSONValue],
) -> Agent:
    """The agent `reference` is, or makes of an entry's extra keys.

    A callable gets the extras by name, and any other key of the entry that it has a parameter for.

    Raises:
        ConfigError: it is neither an agent nor makes one, or the extras do not fit its parameters.
    """
    found = load_code(reference, folder)
    if isinstance(found, Agent) and not isinstance(found, type):
        if extras:
            raise ConfigError(
                f"code {reference!r} is an agent, which takes no settings: {', '.join(extras)}"
            )
        return found
    if not callable(found):
        raise ConfigError(
            f"code {reference!r} is {type(found).__name__}, neither an agent nor callable"
        )
    make = cast("Callable[..., object]", found)
    parameters = inspect.signature(make).parameters
    asked = {
        name: value for name, value in settings.items() if name in parameters and name not in WIRING
    }
    arguments = {**extras, **asked}
    try:
        inspect.signature(make).bind(**arguments)
    except TypeError as exc:
        raise ConfigError(f"code {reference!r}: {exc}") from exc
    made = make(**arguments)
    if not isinstance(made, Agent):
        raise ConfigError(
            f"code {reference!r} returned {type(made).__name__}, which is no agent; use @agent"
        )
    return made


def tools_from_code(entries: Sequence[Mapping[str, JSONValue]], folder: Path) -> list[Tool]:
    """The tools of an agent's entry that have code, under the names the file gives them.

    `code` names a function or a tool; without it, an installed package may have registered one under the
    tool's name. What the entry says (description, input_schema, timeout) comes before
    what the function's signature and docstring do.

    Raises:
        ConfigError: there is no such code, or no tool can be made of it.
    """
    made = []
    for entry in entries:
        reference = str(entry.get("code") or "")
        name = str(entry["name"])
        found = load_code(reference, folder) if reference else installed("tools", name)
        if found is not None:
            made.append(_tool(entry, found, reference or name))
    return made


def _tool(entry: Mapping[str, JSONValue], found: object, reference: str) -> Tool:
    name = str(entry["name"])
    own = found if isinstance(found, FunctionTool) else None
    if own is None and isinstance(found, Tool) and not isinstance(found, type):
        if others := sorted({"description", "input_schema", "timeout"} & entry.keys()):
            raise ConfigError(
                f"code {reference!r} is a tool that brings its own {', '.join(others)}"
            )
        if found.name != name:
            raise ConfigError(f"code {reference!r} is the tool {found.name!r}, not {name!r}")
        return as_tool(found)
    if not callable(found):
        raise ConfigError(
            f"code {reference!r} is {type(found).__name__}, neither a function nor a tool"
        )
    seconds = duration_seconds(entry["timeout"], "timeout") if "timeout" in entry else None
    schema = cast("Mapping[str, JSONValue] | None", entry.get("input_schema"))
    return tool(
        name=name,
        description=str(entry.get("description") or (own.description if own else "")),
        timeout=seconds or (own.timeout if own else TIMEOUT),
        parameters=own.given_parameters if own and schema is None else schema,
    )(own.function if own else cast("Callable[..., object]", found))


def _from_file(file: Path, reference: str) -> ModuleType:
    name = module_of_file(file)
    if name in sys.modules:
        return sys.modules[name]
    if not file.is_file():
        raise ConfigError(f"code {reference!r}: there is no file {file}")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look their module up by name
    own = logging.getLogger(shown_module(name)).level  # what `logging.loggers` says of the file
    logging.getLogger(name).setLevel(
        own or logging.getLogger("aixgo").level
    )  # else as loud as we are
    try:
        spec.loader.exec_module(module)
    except Exception as exc:  # whatever somebody's module raises, it is that file's fault
        del sys.modules[name]
        raise ConfigError(f"code {reference!r}: importing it failed: {_brief(exc)}") from exc
    return module


def _from_package(module: str, reference: str, folder: Path) -> ModuleType:
    try:
        return importlib.import_module(module)
    except Exception as exc:  # whatever somebody's module raises, it is that module's fault
        beside = (folder / f"{module}.py").is_file()
        hint = f"; the file beside this one is './{module}.py:…'" if beside else ""
        raise ConfigError(f"code {reference!r}: importing it failed: {_brief(exc)}{hint}") from exc


def _brief(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}"
