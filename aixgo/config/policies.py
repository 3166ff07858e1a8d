"""Policies of a file: around calls between agents, around the models of services and of agents.

A service that has policies is one Model for all agents that name it, so that what its policies count, they
count for all of them. Below: resilience. Above: config.build, the command line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from aixgo.agents.base import ModelParts
from aixgo.config.model import Config
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
    """The policies of one process that runs a file."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._services: dict[str, Model] = {}

    def parts(self, model: str, block: Mapping[str, object]) -> ModelParts | None:
        """What the agent that names `model` is built with, its own policies in `block`; None for nothing.

        Raises:
            ConfigError: a policy's settings do not fit, or name a model that does not exist.
        """
        service = self._service(model)
        around = Surroundings(seam="model", where="resilience", resolve=self.resolve)
        own = build_policies(block, around)
        if service is None and not own:
            return None
        return ModelParts(service, cast("Sequence[ModelMiddleware]", own))

    def resolve(self, name: str) -> tuple[Provider, str]:
        """The provider of a service, or of a model by its own name, and the model's name there.

        Raises:
            ConfigError: there is no such model.
        """
        service = self._service(name)
        if service is not None:
            return service, self._config.model_services[name]
        return resolve_model(choose_model(self._config.model_services.get(name, name)))

    def _service(self, name: str) -> Model | None:
        """The Model of a service that has policies, unless everything is to be offline."""
        block = self._config.service_resilience.get(name)
        full = self._config.model_services.get(name, "")
        if not block or choose_model(full) != full:
            return None
        made = self._services.get(name)
        if made is None:
            around = Surroundings(
                seam="model", where=f"model service {name!r}: resilience", resolve=self.resolve
            )
            policies = build_policies(block, around)
            provider, model = resolve_model(full)
            made = Model(provider, cast("Sequence[ModelMiddleware]", policies), model)
            self._services[name] = made
        return made


def _in_order(policies: Sequence[Policy]) -> list[Policy]:
    return sorted(policies, key=lambda policy: policy.place)
