"""Policies of a file: around calls between agents, around the models of services and of agents.

A service that has policies is one Model for all agents that name it, so that what its policies count, they
count for all of them. Below: resilience. Above: config.build, the command line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from aixgo.agents.base import ModelParts
from aixgo.config.model import Config
from aixgo.config.models import key_for_file
from aixgo.errors import ConfigError
from aixgo.loading import load
from aixgo.providers import Model, ModelMiddleware, Provider, choose_model, resolve_model
from aixgo.resilience.base import Policy, Surroundings, build_policies
from aixgo.runtime.options import CallMiddleware

__all__ = ["ModelPolicies", "call_policies"]


def call_policies(config: Config) -> list[CallMiddleware]:
    """The middleware of a runtime that runs `config`, outermost first.

    Raises:
        ConfigError: a policy cannot stand there, or its settings do not fit.
    """
    around = Surroundings(seam="runtime", where=f"{config.path}: resilience")
    found = list(build_policies(config.resilience, around))
    if config.fallbacks:
        found.append(load("resilience", "fallback").POLICY(agents=config.fallbacks))
    return cast("list[CallMiddleware]", _in_order(found))


class ModelPolicies:
    """The policies of one process that runs a file, around the models of services and agents."""

    def __init__(self, config: Config) -> None:
        self._services = config.model_services
        self._policies: dict[str, Sequence[ModelMiddleware]] = {}
        self._models: dict[tuple[str, str], Model] = {}
        self._building: list[str] = []

    def parts(self, service: str, api_key: str, block: Mapping[str, object]) -> ModelParts:
        """What an agent is built with: its service's Model, if that has policies, and its own, in `block`.

        Raises:
            ConfigError: a policy's settings do not fit, or name a model that does not exist.
        """
        around = Surroundings(seam="model", where="resilience", resolve=self._resolve)
        own = build_policies(block, around)
        return ModelParts(self._model(service, api_key), cast("Sequence[ModelMiddleware]", own))

    def _resolve(self, name: str) -> tuple[Provider, str]:
        """The provider of a service, or of a model by its own name, and the model's name there."""
        service = self._services.get(name)
        if service is None:
            model = choose_model(name)
            return resolve_model(model, api_key=key_for_file(model, ""))
        model = choose_model(service.model)
        api_key = key_for_file(model, service.api_key)
        made = self._model(name, api_key)
        return (made, model) if made is not None else resolve_model(model, api_key=api_key)

    def _model(self, name: str, api_key: str) -> Model | None:
        """The Model of a service that has policies, unless everything is to be offline."""
        service = self._services.get(name)
        if (
            service is None
            or not service.resilience
            or choose_model(service.model) != service.model
        ):
            return None
        if name in self._building:
            circle = " → ".join((*self._building, name))
            raise ConfigError(f"model services stand in for each other in a circle: {circle}")
        if name not in self._policies:
            self._building.append(name)
            where = f"model service {name!r}: resilience"
            around = Surroundings(seam="model", where=where, resolve=self._resolve)
            found = build_policies(service.resilience, around)
            self._policies[name] = cast("Sequence[ModelMiddleware]", found)
            self._building.remove(name)
        made = self._models.get((name, api_key))
        if made is None:
            provider, model = resolve_model(service.model, api_key=api_key)
            made = self._models[name, api_key] = Model(provider, self._policies[name], model)
        return made


def _in_order(policies: Sequence[Policy]) -> list[Policy]:
    return sorted(policies, key=lambda policy: policy.place)
