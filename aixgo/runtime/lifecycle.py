"""Starting agents level by level and stopping them in reverse, each step bounded."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from aixgo.contract import Caller
from aixgo.errors import AgentNotReady, ConfigError
from aixgo.runtime.binding import start_levels
from aixgo.runtime.boundary import being_cancelled

if TYPE_CHECKING:
    from aixgo.runtime.hosting import Hosted

__all__ = ["first_holding", "start_agents", "stop_agents"]

log = logging.getLogger("aixgo.runtime")

READY_POLL = 0.01  # seconds between questions to an agent that is not ready yet
STOP_TIMEOUT = 5.0  # seconds one agent may take to stop

_turns = itertools.count(
    1
)  # numbers the levels as they start, so that they stop the other way round


async def start_agents(hosted: Sequence[Hosted], timeout: float, elsewhere: Iterable[str]) -> None:
    """Start `hosted` in `depends_on` order, the agents of one level at once; stop them all if one fails."""
    by_name = {item.name: item for item in hosted}
    levels = start_levels({item.name: item.depends_on for item in hosted}, elsewhere)
    try:
        for level in levels:
            turn = next(_turns)
            for name in level:
                by_name[name].turn = turn
            async with asyncio.TaskGroup() as group:
                for name in level:
                    group.create_task(_start(by_name[name], timeout), name=f"aixgo-start-{name}")
    except BaseExceptionGroup as failures:
        await stop_agents(hosted)
        first = _first(failures)
        raise first from first.__cause__
    except BaseException:
        await stop_agents(hosted)
        raise


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def _start(hosted: Hosted, timeout: float) -> None:
    hosted.state = "starting"
    start: Callable[[Caller], Awaitable[None]] | None = getattr(hosted.agent, "start", None)
    is_ready: Callable[[], bool] | None = getattr(hosted.agent, "ready", None)
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            if start is not None:
                assert hosted.caller is not None
                await start(hosted.caller)
            while is_ready is not None and not is_ready():  # noqa: ASYNC110 - a question, not an event
                await asyncio.sleep(READY_POLL)
    except asyncio.CancelledError as exc:
        hosted.state = "unable to start"
        if being_cancelled():
            raise
        raise AgentNotReady(
            hosted.name, hosted.state
        ) from exc  # its own, from something it awaited
    except TimeoutError as exc:
        hosted.state = f"not ready after {timeout:g} s" if limit.expired() else "unable to start"
        raise AgentNotReady(hosted.name, hosted.state) from exc
    except ConfigError:  # it says what to mend, so it must reach whoever started us
        hosted.state = "unable to start"
        raise
    except Exception as exc:  # whatever its start raised, the runtime reports which agent it was
        hosted.state = "unable to start"
        log.error("agent %r failed to start", hosted.name, exc_info=exc)
        raise AgentNotReady(hosted.name, hosted.state) from exc
    hosted.state = "running"
    hosted.started.set()


def first_holding(hosted: Sequence[Hosted]) -> Hosted | None:
    """Who hands on first what it gathered, when all that is gathered has to be: none that another one feeds."""
    holding = {item.name: item for item in hosted if item.holding}
    outputs = {item.name: item.outputs for item in hosted}
    for name, item in holding.items():
        others = [other for other in holding if other != name]
        if name not in _fed_by(others, outputs):
            return item
    return next(iter(holding.values()), None)  # they feed each other


def _fed_by(names: Sequence[str], outputs: Mapping[str, Sequence[str]]) -> set[str]:
    """Whom what these agents pass on reaches."""
    found: set[str] = set()
    left = [*names]
    while left:
        new = [name for name in outputs.get(left.pop(), ()) if name not in found]
        found.update(new)
        left += new
    return found


async def stop_agents(hosted: Sequence[Hosted]) -> None:
    """Stop in reverse order of starting, those that started together together, each logged and left if slow."""
    stopper = asyncio.current_task()
    by_turn: dict[int, list[Hosted]] = {}
    for item in reversed(hosted):
        by_turn.setdefault(item.turn, []).append(item)
    for turn in sorted(by_turn, reverse=True):
        async with asyncio.TaskGroup() as group:
            for item in by_turn[turn]:
                group.create_task(_stop(item, stopper), name=f"aixgo-stop-{item.name}")


async def _stop(hosted: Hosted, stopper: asyncio.Task[object] | None) -> None:
    was_started = hosted.state not in ("not started", "stopped")
    hosted.state = "stopped"
    await hosted.close(stopper)
    stop: Callable[[], Awaitable[None]] | None = getattr(hosted.agent, "stop", None)
    if stop is None or not was_started:
        return
    limit = asyncio.timeout(STOP_TIMEOUT)
    try:
        async with limit:
            await stop()
    except Exception as exc:  # one agent's goodbye must not keep the others from theirs
        if limit.expired():
            log.warning("agent %r did not stop within %g s", hosted.name, STOP_TIMEOUT)
        else:
            log.error("agent %r failed to stop", hosted.name, exc_info=exc)
