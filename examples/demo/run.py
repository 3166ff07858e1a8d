"""The demo: one document, read by twelve agents in this process, then by the same agents in twelve processes.

`make demo`, `make demo DOC=LICENSE`, `make demo MODEL=openai:gpt-4o`, or `python examples/demo/run.py`. Without a model
both answers are computed from the document; they have to be equal, or the demo fails. A model writes another text each
time, so with one the two runs have to agree on the agents called, the steps, and what each step's metadata tells about.
The runs are those of `aixgo run` and `aixgo run --distributed`: what stands here chooses the document, compares, and
draws the table.

Exit codes are those of `aixgo run`: 0 fine, 1 wrong document or model, 2 a run failed or the two differ,
3 out of time, 4 interrupted.
"""

from __future__ import annotations

import asyncio
import difflib
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from aixgo.cli import prepare_grpc

prepare_grpc()  # before gRPC is imported, as the command line does

from aixgo.cli.invocation import INTERRUPTED, exit_code, explain, run_loop  # noqa: E402
from aixgo.cli.logs import Tracebacks, log_to_stderr  # noqa: E402
from aixgo.cli.progress import Step  # noqa: E402
from aixgo.cli.running import Outcome, RunOptions, run_config  # noqa: E402
from aixgo.cli.view import show_progress  # noqa: E402
from aixgo.config import Config, Overrides, load_config  # noqa: E402
from aixgo.errors import AgentFailed, AixgoError, ConfigError  # noqa: E402
from aixgo.providers import choose_model  # noqa: E402

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DEFAULT_DOCUMENT = ROOT / "docs" / "guide.md"
LARGEST_DOCUMENT = 1024 * 1024  # bytes: a book; its tokens fit the limits in config.yaml
TIMEOUT = 60.0  # seconds for one run, its processes' start not counted
MODEL_TIMEOUT = 300.0  # the same with a model, some of which think for minutes
DIFFERENT = 2  # exit code
OFFLINE = "offline"
SHOWN_LINES = 20  # of a difference

console = Console(highlight=False)


def main() -> int:
    """Run the demo and return its exit code."""
    tracebacks = Tracebacks()
    log_to_stderr(tracebacks)
    try:
        document = Path(os.environ.get("DOC") or DEFAULT_DOCUMENT)
        text = read_document(document)
        model = choose_model(os.environ.get("MODEL", ""), default_model=default_model())
        config = load_config(os.path.relpath(HERE / "config.yaml"))
        local, distributed = run_loop(run_twice(config, text, model, tracebacks))
    except AixgoError as exc:
        if isinstance(exc, AgentFailed):  # any other error says what is wrong itself
            print(tracebacks.find(exc.error_id), file=sys.stderr)
        print(f"error: {explain(exc)}", file=sys.stderr)
        return exit_code(exc)
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    lines = differences(local, distributed, exact=model == OFFLINE)
    if lines:
        print("error: the two answers differ:", file=sys.stderr)
        print("\n".join(lines[:SHOWN_LINES]), file=sys.stderr)
        return DIFFERENT
    report = text_of(local)
    if console.is_terminal:
        console.print("", Markdown(report), "")
    else:
        say(f"{report}\n")
    console.print(make_table(local, distributed))
    print_conclusion(local, distributed, document, model)
    return 0


def default_model() -> str:
    return os.environ.get("AIXGO_MODEL") or OFFLINE


def read_document(path: Path) -> str:
    """The text of the document.

    Raises:
        ConfigError: it is not there, empty, too large or no text.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_DOCUMENT + 1)
        text = raw[:LARGEST_DOCUMENT].decode("utf-8")
    except OSError as exc:
        raise ConfigError(
            f"DOC={path}: {exc.strerror or 'it cannot be read'}; name a text file, such as DOC=LICENSE"
        ) from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"DOC={path}: it is not UTF-8 text (byte {exc.start})") from exc
    if len(raw) > LARGEST_DOCUMENT:
        raise ConfigError(f"DOC={path}: it is larger than {LARGEST_DOCUMENT // 1024**2} MiB")
    if not text.strip():
        raise ConfigError(f"DOC={path}: it is empty; name a file with text in it")
    return text


async def run_twice(
    config: Config, text: str, model: str, tracebacks: Tracebacks
) -> tuple[Outcome, Outcome]:
    """The same configuration and input, in one process and in many."""
    leaves = len(config.agents)
    say(f"1. {leaves} agents in this process (number {os.getpid()})")
    local = await run_once(config, text, model, tracebacks, distributed=False)
    say(f"2. The same {leaves} agents in {leaves} processes, over gRPC")
    distributed = await run_once(config, text, model, tracebacks, distributed=True)
    return local, distributed


async def run_once(
    config: Config, text: str, model: str, tracebacks: Tracebacks, *, distributed: bool
) -> Outcome:
    options = RunOptions(
        timeout=TIMEOUT if model == OFFLINE else MODEL_TIMEOUT,
        distributed=distributed,
        overrides=Overrides(model=model),
        flags=("--model", model),
    )
    with show_progress() as observer:
        return await run_config(config, text, options, observer=observer, tracebacks=tracebacks)


# -- what is shown --------------------------------------------------------------------------------------------


def make_table(local: Outcome, distributed: Outcome) -> Table:
    """One row per call in both runs, then the agents that had a process and no call."""
    table = Table(title="Who did what, and where", title_justify="left")
    table.add_column("agent", no_wrap=True)
    table.add_column("process")
    for heading in ("local", "distributed", "tokens", "cost"):
        table.add_column(heading, justify="right")
    alone = {step.key: step for step in local.steps}
    for step in as_tree(distributed.steps):
        pid = distributed.processes.get(step.agent)
        table.add_row(
            "  " * step.key.count("/") + step.agent,
            str(pid) if pid else "this one",
            milliseconds(alone.get(step.key)),
            milliseconds(step),
            f"{step.usage.tokens_total:,}" if step.usage else "",
            f"${step.usage.cost_usd:.4f}" if step.usage else "",
        )
    called = {step.agent for step in distributed.steps}
    for name, pid in distributed.processes.items():
        if name not in called:
            table.add_row(name, str(pid), "not called", "not called", "", "", style="dim")
    return table


def as_tree(steps: Sequence[Step]) -> list[Step]:
    """The steps, each after the one that called it, and among those in the order they began."""
    began = {step.key: step.began for step in steps}

    def place(step: Step) -> list[float]:
        names = step.key.split("/")
        return [began["/".join(names[: depth + 1])] for depth in range(len(names))]

    return sorted(steps, key=place)


def print_conclusion(local: Outcome, distributed: Outcome, document: Path, model: str) -> None:
    """What was shown, and what to try next."""
    distinct = len(set(distributed.processes.values()))
    if model == OFFLINE:
        same = "The two answers are equal."
    else:
        same = (
            f"The two runs are alike: {len(distributed.agents)} agents called, {len(distributed.steps)} steps, the "
            f"same metadata keys. {model} wrote parts of the texts, so those may differ."
        )
    say(
        f"{same} This process took {local.duration_s:.1f} s; {distinct} processes took "
        f"{distributed.duration_s:.1f} s, their start included."
    )
    if model == OFFLINE:
        say("No model was asked: the offline provider answered by rule, at no cost.")
    command = command_line()
    other = "LICENSE" if document.name != "LICENSE" else "CONTRIBUTING.md"
    say(
        "Try next:\n"
        f"  make demo DOC={other}\n"
        f"  {command} run {shown(HERE / 'config.yaml')} --input-file {shown(document)} --distributed --json\n"
        f"  {command} run {shown(ROOT / 'agents/keywords')} --input-file {shown(document)}\n"
        f"  $EDITOR {shown(HERE / 'agents.py')}"
    )


def differences(local: Outcome, distributed: Outcome, *, exact: bool) -> list[str]:
    """Where the two runs differ, as lines of a diff: in their texts if they have to be `exact`, else in their shape."""
    describe = text_of if exact else shape_of
    if exact and local.answer == distributed.answer:
        return []
    return list(
        difflib.unified_diff(
            describe(local).splitlines(),
            describe(distributed).splitlines(),
            "one process",
            "many processes",
            lineterm="",
        )
    )


def shape_of(outcome: Outcome) -> str:
    """A run without its texts: each step with its agent and the keys of its metadata, and those of the answer."""
    steps = sorted(
        f"{step.key} by {step.agent}: {', '.join(step.metadata_keys)}" for step in outcome.steps
    )
    kind = type(outcome.answer).__name__ if outcome.answer else "nothing"
    return "\n".join([*steps, f"answer: {kind} with {', '.join(sorted(outcome.metadata))}"])


def text_of(outcome: Outcome) -> str:
    return outcome.reply.text if outcome.reply is not None else ""


def say(text: str) -> None:
    print(f"\n{text}", flush=True)  # progress goes to standard error, so order needs the flush


def milliseconds(step: Step | None) -> str:
    return f"{step.seconds * 1000:.1f} ms" if step is not None and step.ok else ""


def command_line() -> str:
    """How this checkout's `aixgo` is called from here."""
    beside = Path(sys.executable).parent / "aixgo"
    found = shutil.which("aixgo")
    if found and Path(found).resolve() == beside.resolve():
        return "aixgo"
    return shown(beside) if beside.exists() else f"{shown(Path(sys.executable))} -m aixgo"


def shown(path: Path) -> str:
    """The path as a shell in this folder takes it, the short way."""
    relative = os.path.relpath(path)
    return shlex.quote(str(path) if relative.startswith("..") else relative)


if __name__ == "__main__":
    sys.exit(main())
