"""The command line: a table of verbs. A verb's module is imported when it is invoked, so help is quick.

Exit codes: 0 ok, 1 configuration or usage, 2 execution, 3 deadline or budget, 4 interrupted.
"""

from __future__ import annotations

import os
import sys
from typing import NamedTuple, NoReturn

from aixgo import __version__

__all__ = ["VERBS", "Verb", "prepare_grpc", "main", "run_verb"]


class Verb(NamedTuple):
    """What a verb does, and where its `command` is."""

    module: str
    help: str


VERBS = {
    "run": Verb("aixgo.cli.run", "Run a configuration on an input and print the answer."),
    "serve": Verb("aixgo.cli.serve", "Serve the agents of a configuration to other processes."),
    "trace": Verb("aixgo.cli.trace", "Show a run: its calls, their time, tokens, cost and errors."),
    "runs": Verb("aixgo.cli.runs", "List the runs that are recorded here."),
    "call": Verb("aixgo.cli.call", "Call one agent that is served somewhere."),
    "dev": Verb("aixgo.cli.dev", "Run the whole fleet in this terminal and restart it on change."),
    "health": Verb("aixgo.cli.health", "Ask whether a server, or one of its agents, takes calls."),
    "validate": Verb("aixgo.cli.validate", "Check a configuration without running it."),
    "certs": Verb("aixgo.cli.certs", "Make certificates, and an authority, for a fleet."),
    "schema": Verb("aixgo.cli.schema", "Print the JSON Schema of configuration files."),
    "index": Verb("aixgo.cli.index", "Make an index of documents, for retrievers to search."),
    "models": Verb(
        "aixgo.cli.models", "List the models that can be named, and what is set up here."
    ),
    "version": Verb("aixgo.cli.version", "Print the versions of aixgo and what it runs on."),
}

USAGE = 1  # exit code

EXPERIMENTS = "-event_engine_client,-event_engine_listener"
"""gRPC's older event loop: a call between processes takes about half as long with it."""


def main() -> NoReturn:
    """Run the command line of this process."""
    raise SystemExit(run_verb(sys.argv[1:]))


def run_verb(arguments: list[str]) -> int:
    """Run `aixgo ARGUMENTS…` and return its exit code."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    name, *rest = arguments
    if name in ("-V", "--version"):
        print(f"aixgo {__version__}")
        return 0
    if name not in VERBS:
        print(_unknown(name), file=sys.stderr)
        return USAGE
    prepare_grpc()
    from aixgo.cli.invocation import invoke  # it loads typer, which help can do without

    return invoke(name, VERBS[name].module, rest)


def prepare_grpc() -> None:
    """Set gRPC's switches before it is imported, unless the environment says otherwise."""
    if os.environ.get("AIXGO_GRPC_EXPERIMENTS") != "0":
        os.environ.setdefault("GRPC_EXPERIMENTS", EXPERIMENTS)
    # A process we start replaces itself at once: gRPC need not be put to sleep for it, nor warn that it was not.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")


def _overview() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {name:<{width}}  {verb.help}" for name, verb in VERBS.items()]
    return "\n".join(
        (
            "aixgo: write an agent once, run it in one process or as a fleet of gRPC services.",
            "",
            "Usage: aixgo VERB [OPTIONS] [ARGUMENTS]",
            "",
            *lines,
            "",
            "`aixgo VERB --help` explains a verb.",
        )
    )


def _unknown(name: str) -> str:
    from aixgo.errors import nearest

    near = nearest(name, VERBS)
    hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(VERBS)}"
    return f"error: aixgo has no verb {name!r}; {hint}"
