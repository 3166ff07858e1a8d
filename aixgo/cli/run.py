"""`aixgo run`: a configuration, an input, an answer."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from aixgo.cli.answer import error_object, outcome_object, print_json, print_payload
from aixgo.cli.given import read_input
from aixgo.cli.invocation import exit_code, explain, run_loop
from aixgo.cli.logs import Tracebacks, in_json, log_to_stderr, say
from aixgo.cli.observing import LogFormat, LogLevel, Observing, Otel, Prometheus
from aixgo.cli.running import RunOptions, run_config
from aixgo.cli.view import show_costs, show_progress
from aixgo.config import Config, Overrides, load_config
from aixgo.errors import (
    AgentRefused,
    AixgoError,
    ConfigError,
    DeadlineExceeded,
    LimitExceeded,
    ProviderError,
    Unavailable,
)
from aixgo.keys import duration_seconds
from aixgo.ledger import Budget, Ledger
from aixgo.message import Message
from aixgo.observability import setup

__all__ = ["command"]

SPEAK_FOR_THEMSELVES = (
    AgentRefused,
    DeadlineExceeded,
    LimitExceeded,
    ProviderError,
    Unavailable,
)
"""Errors whose text is all there is to know; of others the traceback is shown."""


def command(
    config: Annotated[Path, typer.Argument(help="A YAML file, or a folder with an agent.yaml.")],
    text: Annotated[
        str | None, typer.Option("-i", "--input", help="The input; - reads standard input.")
    ] = None,
    input_file: Annotated[Path | None, typer.Option(help="A file with the input.")] = None,
    agent: Annotated[str, typer.Option(help="The agent that gets the input.")] = "",
    model: Annotated[str, typer.Option(help="The model of agents that name none.")] = "",
    offline: Annotated[
        bool, typer.Option("--offline", help="Answer by rule, without any model.")
    ] = False,
    distributed: Annotated[
        bool, typer.Option("--distributed", help="Each agent in a process of its own.")
    ] = False,
    budget: Annotated[float | None, typer.Option(help="Dollars the run may cost.")] = None,
    timeout: Annotated[str, typer.Option(help="Time for the answer, such as 30s.")] = "",
    duration: Annotated[
        str, typer.Option("--for", help="Time a flow with producers goes on.")
    ] = "",
    count: Annotated[int | None, typer.Option(min=0, help="Messages each producer sends.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of the answer.")
    ] = False,
    record: Annotated[
        bool,
        typer.Option("--record/--no-record", help="Keep the run's events for `aixgo trace`."),
    ] = True,
    record_content: Annotated[
        bool,
        typer.Option("--record-content", help="Keep inputs, answers and tool results among them."),
    ] = False,
    otel: Otel = "",
    prometheus: Prometheus = "",
    log_format: LogFormat = "",
    log_level: LogLevel = "",
) -> int:
    """Run a configuration."""
    tracebacks, costs = Tracebacks(), Ledger()
    told = Observing(otel=otel, prometheus=prometheus, log_format=log_format, log_level=log_level)
    log_to_stderr(tracebacks, told.log())
    if offline:
        os.environ["AIXGO_OFFLINE"] = "1"
    options = RunOptions(
        agent=agent,
        timeout=duration_seconds(timeout, "--timeout") if timeout else None,
        duration=duration_seconds(duration, "--for") if duration else None,
        budget=Budget(usd=budget) if budget is not None else None,
        distributed=distributed,
        overrides=Overrides(model=model, count=count),
        flags=(*_child_flags(model, count, offline=offline), *told.flags),
        record=record,
        record_content=record_content,
    )
    try:
        if record_content and not record:
            raise ConfigError("--no-record and --record-content are both given; one is enough")
        loaded = told.over(load_config(config))
        log_to_stderr(tracebacks, loaded.logging)
        for warning in loaded.warnings:
            say(warning, logging.WARNING)
        given = read_input(text, input_file)
        with setup(loaded.observability):
            _run(loaded, given, options, tracebacks, costs, as_json=as_json)
    except AixgoError as exc:
        if not (isinstance(exc, SPEAK_FOR_THEMSELVES) or in_json()) and (
            traceback := tracebacks.find(exc.error_id)
        ):
            print(f"traceback of error {exc.error_id}:\n{traceback}", file=sys.stderr)
        if as_json:
            print_json(error_object(exc, costs))
        say(explain(exc), logging.ERROR)
        return exit_code(exc)
    finally:
        if not in_json():
            show_costs(costs)
    return 0


def _run(
    config: Config,
    text: str | None,
    options: RunOptions,
    tracebacks: Tracebacks,
    costs: Ledger,
    *,
    as_json: bool,
) -> None:
    flowing = text is None
    with show_progress(quiet=in_json()) as observer:
        outcome = run_loop(
            run_config(
                config,
                text,
                options,
                observer=observer,
                arrived=_print_arrival if flowing and not as_json else None,
                tracebacks=tracebacks,
                costs=costs,
            )
        )
    if as_json:
        print_json(outcome_object(outcome))
    elif not flowing:
        print_payload(outcome.answer)


def _print_arrival(_: str, message: Message) -> None:
    print_payload(message.payload)


def _child_flags(model: str, count: int | None, *, offline: bool) -> tuple[str, ...]:
    flags: list[str] = []
    if model:
        flags += ["--model", model]
    if count is not None:
        flags += ["--count", str(count)]
    if offline:
        flags.append("--offline")
    return tuple(flags)
