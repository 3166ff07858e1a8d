"""Which model an entry of a file gets, and with which key.

A file may come from somebody else. So a vendor's key out of the environment goes to an address that a file
names only if that is where the vendor is found anyway, or on this machine; for any other the file names a key
that is meant for files. An address that the environment, the command line or code names is trusted.

Below: providers. Above: config.policies, config.build.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from aixgo.config.env import ALLOWED_PREFIX, MORE_VARIABLE, for_files, is_secret
from aixgo.config.model import Config
from aixgo.errors import ConfigError
from aixgo.message import JSONValue
from aixgo.providers import VENDORS, Vendor, choose_model, resolve_model, written_address

__all__ = [
    "NO_KEY",
    "ModelChoice",
    "check_model",
    "key_for_file",
    "model_of",
    "on_this_machine",
    "origin",
]

NO_KEY = "none"
"""Sent instead of a key to who needs none, so that no variable is asked for one."""
PLAIN_URL = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:\d{1,5})?(/.*)?")
"""A URL whose host nobody can read in two ways."""


class ModelChoice(NamedTuple):
    """The model an entry gets, the key the file has for it, and the service it is of; each may be empty."""

    model: str = ""
    api_key: str = ""
    service: str = ""


def model_of(
    config: Config, settings: Mapping[str, JSONValue], run_model: str, *, trusted: bool = False
) -> ModelChoice:
    """What the entry of a file with these settings gets; `trusted` is one whose own code asks the model.

    Raises:
        ConfigError: a key would go to an address of the file that it is not meant for.
    """
    services = config.model_services
    provider = settings.get("provider")
    own = str(settings.get("model") or "")
    if own and own not in services and isinstance(provider, str) and ":" not in own:
        own = f"{provider}:{own}"
    of_process = os.environ.get("AIXGO_MODEL", "") in services  # any other is the agent's to find
    if not (own or run_model or config.default_model or of_process):
        return ModelChoice()
    named = choose_model(own, run_model=run_model, default_model=config.default_model)
    api_key, service = str(settings.get("api_key") or ""), services.get(named)
    by_file = bool(own or service is not None or not run_model)
    model = named
    if service is not None:
        model = choose_model(service.model)  # --offline replaces all, whatever a service is called
        api_key = service.api_key or api_key
    if by_file and not trusted:
        api_key = key_for_file(model, api_key)
    return ModelChoice(model, api_key, named if service is not None else "")


def check_model(choice: ModelChoice) -> None:
    """Let a model that does not exist, or has no key, fail here and not at the first call.

    Raises:
        ConfigError: it does; the text says what there is, or which variable to set.
    """
    if choice.model:
        resolve_model(choice.model, api_key=choice.api_key)


def key_for_file(model: str, api_key: str) -> str:
    """The key to use for `model`, which a file names, with the `api_key` that stands beside it.

    Raises:
        ConfigError: the model's address is another than its vendor's, and the key a vendor's.
    """
    vendor, url = written_address(model)
    if vendor is None or not url or on_this_machine(url) or _is_one_of(url, [vendor]):
        return api_key
    if os.environ.get(vendor.headers_variable, ""):
        text = (
            f"the headers in {vendor.headers_variable} are for another address than {_host(url)!r}"
        )
        raise ConfigError(f"{text}: unset it, or name the address in {_address_variable(vendor)}")
    if not api_key:
        if not vendor.needs_key:
            return NO_KEY if vendor.key() else ""
        if vendor.key():
            raise ConfigError(_refusal(vendor, url, vendor.variable()))
        return ""
    variable = _secret_variable(api_key)
    owners = [owner for owner in VENDORS.values() if variable in owner.key_variables]
    if variable and not _is_one_of(url, owners):
        raise ConfigError(_refusal(vendor, url, variable))
    return api_key


def _refusal(vendor: Vendor, url: str, variable: str) -> str:
    own = f"{ALLOWED_PREFIX}{vendor.name.upper()}_KEY"
    return (
        f"a file may not send the key in {variable} to {_host(url)!r}; write 'api_key: ${{{own}}}' beside the "
        f"address, or set {_address_variable(vendor)} instead of naming the address in the file, or allow it: "
        f"'api_key: ${{{variable}}}' with {MORE_VARIABLE}={variable}"
    )


def _address_variable(vendor: Vendor) -> str:
    return next(iter(vendor.base_url_variables))


def _secret_variable(key: str) -> str:
    """The variable that holds `key`, if that is a secret and no variable that files may read holds it too."""
    holding = [name for name, value in os.environ.items() if value.strip() == key.strip()]
    if any(for_files(name) for name in holding):
        return ""
    return next((name for name in holding if is_secret(name)), "")


def _is_one_of(url: str, vendors: list[Vendor]) -> bool:
    """Whether the URL leads to where one of them is found: its own host, or the environment's."""
    found = origin(url)
    places = {origin(place) for v in vendors for place in (v.base_url, v.address())}
    return found is not None and found in places


def origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None if one could read the host in two ways."""
    if not PLAIN_URL.fullmatch(url):
        return None
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:  # there is no such port
        return None
    return parts.scheme, parts.hostname or "", port or (443 if parts.scheme == "https" else 80)


def _host(url: str) -> str:
    """Where a URL leads, without what may be a password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def on_this_machine(url: str) -> bool:
    """Whether the URL leads to the machine this runs on."""
    found = origin(url)
    if found is None:
        return False
    host = found[1]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
