"""Starting agents level by level and stopping them in reverse, each step bounded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from aixgo.contract import Caller
from aixgo.errors import AgentNotReady, ConfigError
from aixgo.runtime.binding import start_levels

if TYPE_CHECKING:
    from aixgo.runtime.hosting import Hosted

__all__ = ["start_agents", "stop_agents"]

log = logging.getLogger("aixgo.runtime")

READY_POLL = 0.01  # seconds between questions to an agent that is not ready yet
STOP_TIMEOUT = 5.0  # seconds one agent may take to stop


async def start_agents(hosted: Sequence[Hosted], timeout: float, elsewhere: Iterable[str]) -> None:
    """Start `hosted` in `depends_on` order, the agents of one level at once; stop them all if one fails."""
    by_name = {item.name: item for item in hosted}
    levels = start_levels({item.name: item.depends_on for item in hosted}, elsewhere)
    try:
        for level in levels:
            async with asyncio.TaskGroup() as group:
                for name in level:
                    group.create_task(_start(by_name[name], timeout), name=f"aixgo-start-{name}")
    except BaseExceptionGroup as failures:
        await stop_agents(hosted)
        raise _first(failures) from None
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
    try:
        async with asyncio.timeout(timeout):
            if start is not None:
                assert hosted.caller is not None
                await start(hosted.caller)
            while is_ready is not None and not is_ready():  # noqa: ASYNC110 - a question, not an event
                await asyncio.sleep(READY_POLL)
    except TimeoutError as exc:
        hosted.state = f"not ready after {timeout:g} s"
        raise AgentNotReady(hosted.name, hosted.state) from exc
    except ConfigError:  # it says what to mend, so it must reach whoever started us
        hosted.state = "failed to start"
        raise
    except Exception as exc:  # whatever its start raised, the runtime reports which agent it was
        hosted.state = "failed to start"
        log.error("agent %r failed to start", hosted.name, exc_info=exc)
        raise AgentNotReady(hosted.name, hosted.state) from exc
    hosted.state = "running"
    hosted.started.set()


async def stop_agents(hosted: Sequence[Hosted]) -> None:
    """Stop in reverse order. An agent that fails or is slow to stop is logged and left."""
    for item in reversed(hosted):
        started = item.state in ("running", "starting", "failed to start") or item.state.startswith(
            "not ready"
        )
        item.state = "stopped"
        await item.close()
        stop: Callable[[], Awaitable[None]] | None = getattr(item.agent, "stop", None)
        if stop is None or not started:
            continue
        with contextlib.suppress(asyncio.TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT):
                await _stop(item.name, stop)
                continue
        log.warning("agent %r did not stop within %g s", item.name, STOP_TIMEOUT)


async def _stop(name: str, stop: Callable[[], Awaitable[None]]) -> None:
    try:
        await stop()
    except TimeoutError:
        raise
    except Exception as exc:  # one agent's goodbye must not keep the others from theirs
        log.error("agent %r failed to stop", name, exc_info=exc)
