"""What is between a vendor's tokens and whoever reads them: two hops, and a thousand chats in one process."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from tests.benchmarks.harness import Pace, Row, Table, by_turns, row_of, shown
from tests.benchmarks.processes import Side, side

TOKENS = 200  # of one answer
CHATS = 1_000
ANSWER = 20  # tokens of each of them


def vendor_rows(pace: Pace) -> Iterator[Row | Table]:
    """Tokens over two hops against the vendor's SDK on the same stream, then many chats at once."""
    with ExitStack() as stack:
        url = stack.enter_context(side("vendor")).ready
        chat = stack.enter_context(side("chat", "agent", url))
        relay = stack.enter_context(side("chat", "relay", chat.ready))
        ours = stack.enter_context(side("chat", "caller", relay.ready))
        sdk = stack.enter_context(side("chat", "sdk", url))
        for streams in (1, 16):
            runs = [partial(_token_time, each, streams, pace.seconds) for each in (ours, sdk)]
            for run in runs:
                run()  # warms, and is not counted
            two_hops, alone = by_turns(runs, pace.rounds)
            yield row_of(
                f"vendor's token over two hops, {streams} stream{'s' * (streams > 1)}",
                two_hops,
                "the vendor's SDK in one process",
                alone,
                goal="–",
                faster=False,
            )
        yield _crowd(stack.enter_context(side("chat", "crowd", url)))


def _token_time(reader: Side, streams: int, seconds: float) -> float:
    figures = reader.ask("chunks", streams=streams, length=TOKENS, seconds=seconds)
    if figures["lost"]:
        raise RuntimeError(f"{figures['lost']:.0f} of a vendor's tokens were lost")
    return figures["seconds"] / figures["chunks"]


def _crowd(process: Side) -> Table:
    table = Table(
        f"{CHATS:,} streamed chats at once",
        ("agents", "failed", "all over after", "resident memory", "for each"),
        f"In one process, each of {ANSWER} tokens of the same local vendor over a connection of its own; none reads "
        "on before all have their first token. Memory is before → peak, after one chat that warms.",
    )
    process.ask("crowd", number=1, length=ANSWER)
    before = process.memory
    process.reset_peak()
    figures = process.ask("crowd", number=CHATS, length=ANSWER)
    peak = process.peak_memory
    table.add(
        "`ChatAgent` on the OpenAI SDK",
        f"{figures['failed']:,.0f}",
        shown(figures["seconds"]),
        f"{before / (1 << 20):.0f} → {peak / (1 << 20):.0f} MiB",
        f"{(peak - before) / CHATS / 1024:.0f} KiB",
    )
    return table
