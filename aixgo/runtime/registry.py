"""Which names a runtime knows, and where each leads.

Below: hosting, binding. Above: base, which delivers along the routes kept here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aixgo.contract import Agent, Caller
from aixgo.errors import AgentExists, AgentNotFound
from aixgo.names import check_name, slug
from aixgo.runtime.binding import check_orchestration, objects_below
from aixgo.runtime.calling import check_agent
from aixgo.runtime.hosting import Hosted, Hosting
from aixgo.runtime.options import Route

__all__ = ["Registry"]


class Registry:
    """Names and their routes. Two names with one slug are refused: DNS and metrics could not tell them apart."""

    def __init__(
        self,
        routes: dict[str, Route],
        hosting: Hosting,
        caller_for: Callable[[str, tuple[str, ...]], Caller],
    ) -> None:
        self.routes = routes
        """Every name that can be called, in the order it was made known."""
        self.hosted: dict[str, Hosted] = {}
        """Those that live here."""
        self._hosting = hosting
        self._caller_for = caller_for
        self._slugs: dict[str, str] = {}
        self._elsewhere: set[str] = set()

    def route(self, name: str) -> Route:
        """Where `name` leads.

        Raises:
            AgentNotFound: nowhere.
        """
        route = self.routes.get(name)
        if route is None:
            raise AgentNotFound(name, self.routes)
        return route

    def add(
        self,
        agent: Agent,
        name: str | None = None,
        outputs: Iterable[str] = (),
        depends_on: Iterable[str] | None = None,
    ) -> list[Hosted]:
        """Host `agent` and the objects below it, all or none; what is hosted already is left alone."""
        check_agent(agent)
        added: list[Hosted] = []
        try:
            own = agent.name if name is None else name
            if self._is_same(agent, own):
                self._amend(self.hosted[own], tuple(outputs), depends_on)
            else:
                added.append(self._host(agent, own, outputs, depends_on))
            for item in objects_below(agent):
                if item.name not in self._elsewhere and not self._is_same(item, item.name):
                    added.append(self._host(item, item.name, (), None))  # noqa: PERF401 - undone if one fails
        except BaseException:
            for hosted in added:
                self.remove(hosted.name)
            raise
        return added

    def reserve(self, name: str) -> None:
        """Keep `name` for an agent that lives elsewhere; objects given under it stand for the name."""
        self._check_free(name)
        self._slugs[slug(name)] = name
        self._elsewhere.add(name)

    def remove(self, name: str) -> None:
        """Forget a name, if it is known."""
        self.hosted.pop(name, None)
        self.routes.pop(name, None)
        self._elsewhere.discard(name)
        if self._slugs.get(slug(name)) == name:
            del self._slugs[slug(name)]

    def leaving_with(self, name: str) -> list[Hosted]:
        """What goes when the spawned agent `name` does: itself, and the members it brought that no other has."""
        leaving = [self.hosted[name]] if name in self.hosted else []
        while True:
            staying = [item for item in self.hosted.values() if item not in leaving]
            held = {id(below) for item in staying for below in objects_below(item.agent)}
            more = [item for item in staying if item.brought_along and id(item.agent) not in held]
            if not more:
                return leaving[::-1]  # agents stop in reverse: itself first
            leaving += more

    def check_orchestrations(self, names: Iterable[str]) -> None:
        """Refuse cycles by name, and orchestrators that reach more agents than they allow."""

        def find(name: str) -> Agent | None:
            hosted = self.hosted.get(name)
            return None if hosted is None else hosted.agent

        for name in names:
            check_orchestration(name, find)

    @property
    def elsewhere(self) -> frozenset[str]:
        """The names of peers."""
        return frozenset(self._elsewhere)

    def _host(
        self,
        agent: Agent,
        name: str,
        outputs: Iterable[str],
        depends_on: Iterable[str] | None,
    ) -> Hosted:
        self._check_free(check_name(name))
        needed = getattr(agent, "depends_on", ()) if depends_on is None else depends_on
        hosted = Hosted(
            agent, name, self._hosting, outputs=tuple(outputs), depends_on=tuple(needed)
        )
        hosted.caller = self._caller_for(name, hosted.outputs)
        self.hosted[name] = self.routes[name] = hosted
        self._slugs[slug(name)] = name
        return hosted

    def _amend(
        self, hosted: Hosted, outputs: tuple[str, ...], depends_on: Iterable[str] | None
    ) -> None:
        """What was said of an agent that came along with an orchestrator before."""
        if outputs:
            hosted.outputs = outputs
            hosted.caller = self._caller_for(hosted.name, outputs)
        if depends_on is not None:
            hosted.depends_on = tuple(depends_on)

    def _is_same(self, agent: Agent, name: str) -> bool:
        hosted = self.hosted.get(name)
        return hosted is not None and hosted.agent is agent

    def _check_free(self, name: str) -> None:
        taken = self._slugs.get(slug(name))
        if taken is not None:
            raise AgentExists(name, taken)
