"""What every verb goes through: arguments parsed, errors printed, exit code chosen, loop owned.

Below: everything. Above: one module per verb.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import TypeVar, cast

import typer

from aixgo.cli import USAGE, VERBS
from aixgo.cli.logs import say
from aixgo.errors import (
    AgentNotReady,
    AixgoError,
    BudgetExceeded,
    ConfigError,
    DeadlineExceeded,
    DeliveryExpired,
)

__all__ = ["INTERRUPTED", "exit_code", "explain", "invoke", "run_loop"]

OK, EXECUTION, EXHAUSTED, INTERRUPTED = 0, 2, 3, 4

T = TypeVar("T")
Command = Callable[..., int]


def invoke(name: str, module: str, arguments: list[str]) -> int:
    """Parse `arguments` for a verb, run it, and return the exit code."""
    command = cast("Command", import_module(module).command)
    codes: list[int] = []

    @functools.wraps(command)
    def guarded(**given: object) -> None:
        codes.append(_guard(functools.partial(command, **given)))

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(help=VERBS[name].help)(guarded)
    parser = typer.main.get_command(app)
    for parameter in parser.params:  # `--timeout TIMEOUT`, whichever way this typer would write it
        if parameter.name and not getattr(parameter, "is_flag", False):
            parameter.metavar = parameter.metavar or parameter.name.upper()
    try:
        parser(args=arguments, prog_name=f"aixgo {name}")
    except SystemExit as exc:  # how the parser ends, also after a command that ran
        if codes:
            return codes[0]
        return USAGE if exc.code else OK
    return codes[0] if codes else OK


def _guard(command: Callable[[], int]) -> int:
    try:
        return command()
    except AixgoError as exc:
        say(explain(exc), logging.ERROR)
        return exit_code(exc)
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stderr.close()
        return OK


def exit_code(error: AixgoError) -> int:
    """The exit code that says what kind of failure it was."""
    cause = _cause(error)
    if isinstance(cause, ConfigError):
        return USAGE
    if isinstance(cause, (DeadlineExceeded, DeliveryExpired, BudgetExceeded)):
        return EXHAUSTED
    return EXECUTION


def explain(error: AixgoError) -> str:
    """The error in a line or more, for whoever started the command."""
    cause = _cause(error)
    if cause is not error:
        return f"{error}: {cause}"
    return str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"


def _cause(error: AixgoError) -> AixgoError:
    """The configuration error that kept an agent from starting, or the error itself."""
    cause = error.__cause__
    if isinstance(error, AgentNotReady) and isinstance(cause, ConfigError):
        return cause
    return error


def run_loop(main: Coroutine[None, None, T]) -> T:
    """Run `main` on a loop of our own, uvloop's if it is installed; SIGTERM interrupts like Ctrl-C.

    Raises:
        KeyboardInterrupt, asyncio.CancelledError: it was interrupted, and has cleaned up.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_until_signal(main))


async def _until_signal(main: Coroutine[None, None, T]) -> T:
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await main
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # an optional package: asyncio's own loop will do
    except ImportError:
        return None
    return cast("Callable[[], asyncio.AbstractEventLoop]", uvloop.new_event_loop)
