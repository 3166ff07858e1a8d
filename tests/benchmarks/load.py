"""What a peer link does under load and at rest: floods, fan-out, chunks, big messages, idle connections."""

import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from tests.benchmarks.calls import SMALL
from tests.benchmarks.contenders import RAW, STREAM, UNARY, Contender, start
from tests.benchmarks.harness import Pace, Row, Table, by_turns, row_of, shown
from tests.benchmarks.side import Figures

WHO = (STREAM, UNARY, RAW)

FLOOD = 10_000  # calls at once
TARGETS = 1000  # of one fan-out
LINKS = 200
CHUNKS = 200  # of one stream


def chunk_rows(pace: Pace) -> Iterator[Row]:
    """Token chunks against gRPC's own streaming, and the first one against a plain call."""
    with ExitStack() as stack:
        who = [start(stack, name) for name in WHO]
        raw = who[-1]
        for streams, goal in ((1, "≥ 3×"), (16, "–")):
            columns = by_turns(
                [partial(_chunk_time, each, streams, pace.seconds) for each in who],
                pace.rounds,
            )
            for each, column in zip(who[:-1], columns, strict=False):
                yield row_of(
                    f"token chunk, {each.name}, {streams} stream{'s' * (streams > 1)}",
                    column,
                    f"{raw.name} server-streaming",
                    columns[-1],
                    goal=goal,
                    faster=True,
                )
        for each in who[:-1]:
            firsts, plain = by_turns(
                (
                    partial(_first_chunk, each, pace.seconds),
                    partial(_plain_call, each, pace.seconds),
                ),
                pace.rounds,
            )
            yield row_of(
                f"first chunk, {each.name}",
                firsts,
                "its plain call, both p50",
                plain,
                goal="≤ 1.2×",
                faster=False,
            )


def _chunk_time(who: Contender, streams: int, seconds: float) -> float:
    figures = who.client.ask("chunks", streams=streams, length=CHUNKS, seconds=seconds)
    if figures["lost"]:
        raise RuntimeError(f"{who.name} lost {figures['lost']:.0f} chunks")
    return figures["seconds"] / figures["chunks"]


def _first_chunk(who: Contender, seconds: float) -> float:
    return who.client.ask("chunks", streams=1, length=1, seconds=seconds)["first"]


def _plain_call(who: Contender, seconds: float) -> float:
    return who.calls(1, SMALL, seconds).p50


def tail_rows(pace: Pace) -> Iterator[Row]:
    """The slowest percent of small calls, alone and while one more caller passes 4 MiB messages."""
    seconds = pace.seconds * 3  # a percent of them must be many
    with ExitStack() as stack:
        for each in [start(stack, name) for name in WHO]:
            each.calls(4, SMALL, seconds / 4, big=1)  # warms
            busy, quiet = by_turns(
                (
                    partial(each.calls, 4, SMALL, seconds, big=1),
                    partial(each.calls, 4, SMALL, seconds),
                ),
                pace.rounds,
            )
            row = row_of(
                f"p99 of small calls while 4 MiB messages pass, {each.name}",
                [sample.p99 for sample in busy],
                "their quiet p99",
                [sample.p99 for sample in quiet],
                goal="≤ 5×" if each.name == STREAM else "–",
                faster=False,
            )
            rate = statistics.median(sample.big_calls for sample in busy) / seconds
            yield row.noting(f"{rate:.0f} big calls/s")


def fan_rows(pace: Pace) -> Iterator[Row]:
    """A thousand agents of one peer called at once, against a thousand bare calls."""
    with ExitStack() as stack:
        *ours, raw = [start(stack, name, agents=TARGETS) for name in WHO]
        runs = [partial(_fan, each) for each in ours]
        columns = by_turns([*runs, partial(_fan, raw, number=TARGETS)], pace.rounds + 1)
        seconds = [[figures["seconds"] for figures in column] for column in columns]
        for each, column, times in zip(ours, columns, seconds, strict=False):
            row = row_of(
                f"`call_parallel` to {TARGETS:,} agents of a peer, {each.name}",
                times[1:],  # the first one reaches the peer and warms
                f"{TARGETS:,} calls of {raw.name}",
                seconds[-1][1:],
                goal="–",
                faster=True,
            )
            frames = statistics.median(figures["frames"] for figures in column)
            yield row.noting(f"{frames:.0f} frames written") if frames else row


def _fan(who: Contender, **arguments: int) -> Figures:
    figures = who.client.ask("fan", **arguments)
    if figures["failed"]:
        raise RuntimeError(f"{who.name}: {figures['failed']:.0f} of a fan-out failed")
    return figures


def flood_table(_: Pace) -> Iterator[Table]:
    """Ten thousand calls at once, each with a text of its own and an agent that takes 0 to 4 ms."""
    table = Table(
        f"{FLOOD:,} calls at once",
        ("who", "failed", "wrong reply", "all answered after", "memory of client", "of server"),
        "Three times in a row, made without any limit by the caller; each with 200 B of its own, to an agent that "
        "takes 0–4 ms. Failures and wrong replies are of all three; memory is resident: before → peak.",
    )
    for name in WHO:
        with ExitStack() as stack:
            who = start(stack, name)
            who.calls(1, SMALL, 0.2)
            sides = (who.client, who.server)
            before = [each.memory for each in sides]
            for each in sides:
                each.reset_peak()
            taken = [who.client.ask("burst", number=FLOOD, target="jitter") for _ in range(3)]
            memory = [
                f"{_mib(was)} → {_mib(each.peak_memory)} MiB"
                for was, each in zip(before, sides, strict=True)
            ]
        table.add(
            name,
            f"{sum(each['failed'] for each in taken):,.0f}",
            f"{sum(each['wrong'] for each in taken):,.0f}",
            shown(statistics.median(each["seconds"] for each in taken)),
            *memory,
        )
    yield table


def idle_table(_: Pace) -> Iterator[Table]:
    """What a connection costs that nobody uses."""
    table = Table(
        "An idle connection",
        ("who", "memory, client + server", "descriptors", "tasks", "threads of all"),
        f"{LINKS} more connections from one process to one other, connected and left alone: the growth, for each. "
        "Threads are those of all connections together.",
    )
    for name in WHO:
        with ExitStack() as stack:
            who = start(stack, name)
            who.calls(16, SMALL, 0.2)
            sides = (who.client, who.server)
            tasks = who.client.ask("idle", number=0)
            before = [(each.memory, each.files, each.threads) for each in sides]
            tasks_now = who.client.ask("idle", number=LINKS)
            after = [(each.memory, each.files, each.threads) for each in sides]
        memory, files, threads = (
            [now[index] - was[index] for was, now in zip(before, after, strict=True)]
            for index in range(3)
        )
        more = [tasks_now[key] - tasks[key] for key in ("tasks", "server_tasks")]
        table.add(
            name,
            f"{memory[0] / LINKS / 1024:.0f} + {memory[1] / LINKS / 1024:.0f} KiB",
            f"{files[0] / LINKS:.1f} + {files[1] / LINKS:.1f}",
            f"{more[0] / LINKS:.1f} + {more[1] / LINKS:.1f}",
            f"{threads[0]:+d}, {threads[1]:+d}",
        )
    yield table


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.0f}"
