"""Which model an agent gets, and which provider gives it.

An agent that names a model gets that model or an error, never another. One that names none gets, in this
order: the run's, the file's default, `AIXGO_MODEL`, and `offline` with a notice; a vendor's key in the
environment chooses nothing. `AIXGO_OFFLINE=1`, which `--offline` sets, replaces all.
"""

from __future__ import annotations

import logging
import os
import re
from functools import cache
from typing import cast

from aixgo.errors import ConfigError, MissingExtra, nearest
from aixgo.loading import kinds, load
from aixgo.providers._foreign import rewritten
from aixgo.providers._vendors import EMBEDDERS, VENDORS, Vendor, vendor_of
from aixgo.providers.base import Provider

__all__ = [
    "choose_model",
    "other_providers",
    "resolve_model",
    "same_vendor",
    "without_password",
    "written_address",
]

OFFLINE = "offline"

log = logging.getLogger("aixgo.providers")


def choose_model(explicit: str = "", *, run_model: str = "", default_model: str = "") -> str:
    """The name of the model to use: the first one given."""
    if os.environ.get("AIXGO_OFFLINE", "") not in ("", "0"):
        return OFFLINE
    chosen = explicit or run_model or default_model or os.environ.get("AIXGO_MODEL", "")
    if not chosen:
        _notice_offline()
    return chosen or OFFLINE


def resolve_model(model: str, *, api_key: str = "", base_url: str = "") -> tuple[Provider, str]:
    """The provider of `model` and the model's name there, without any network.

    `model` is `vendor:name`, a name that tells its vendor, such as `claude-…`, or the name of a provider that
    has one model; where no key is needed, `vendor/name` will do as well. `vendor:name@URL` reaches the vendor's
    API at another address, and so does `base_url`.

    Args:
        model: the name.
        api_key: the vendor's key, by default the one in its variable.
        base_url: where its API is reached, by default where its variable says, or its own address.

    Raises:
        ConfigError: there is no such vendor or model, or no key for it; the text says what there is or which
            variable to set.
        MissingExtra: the vendor's package is not installed; the text says how to install it.
    """
    written, name, url = _parts(model)
    if url and base_url:
        raise ConfigError(
            f"the model {without_password(model)!r} has an address already; give that or base_url"
        )
    vendor = VENDORS.get(written) or (None if written else vendor_of(name))
    if vendor is not None:
        if not name:
            raise ConfigError(
                f"the model {without_password(model)!r} names no model: write '{vendor.name}:NAME'"
            )
        try:
            adapter = load("providers", vendor.adapter).PROVIDER
            return cast(
                "Provider", adapter(vendor, base_url=url or base_url, api_key=api_key)
            ), name
        except MissingExtra:
            raise MissingExtra(f"the model {without_password(model)!r}", vendor.package) from None
        except ConfigError as exc:
            raise ConfigError(
                f"the model {without_password(model)!r}: {exc}, or run with --offline"
            ) from exc
    kind = written or name
    others = other_providers()
    if kind not in others:
        raise ConfigError(_unknown(model, written, others))
    if (api_key or base_url) and kind != OFFLINE:
        raise ConfigError(
            f"the provider {kind!r} is no vendor: it takes no api_key and no base_url"
        )
    provider = cast("Provider", load("providers", kind).PROVIDER())
    name = name or kind
    if (known := provider.models()) and name not in known:
        raise ConfigError(f"{kind!r} has no model {name!r}; it has: {', '.join(known)}")
    return provider, name


def written_address(model: str) -> tuple[Vendor | None, str]:
    """The vendor whose API a model's name means, if any, and the address written behind it, or ""."""
    written, name, url = _parts(model)
    vendor = VENDORS.get(written) or EMBEDDERS.get(written)
    return vendor or (None if written else vendor_of(name)), url


def without_password(model: str) -> str:
    """A model's name for errors and logs: without what the address in it may hold of a user and a password."""
    return re.sub(r"(@https?://)[^/?#]*@", r"\1…@", model)


def same_vendor(model: str, other: str) -> bool:
    """Whether both names mean a vendor, and the same one: a key for the one is then one for the other."""
    vendor = written_address(model)[0]
    return vendor is not None and vendor == written_address(other)[0]


def other_providers() -> list[str]:
    """The providers that are no vendor's: our own, and those of installed packages."""
    return [kind for kind in kinds("providers") if kind not in VENDORS]


def _parts(model: str) -> tuple[str, str, str]:
    """The vendor written, the model's name and the address; each may be empty."""
    found = re.match(r"(.*)@(https?://.*)", model)
    model, url = (found[1], found[2]) if found else (model, "")
    head, slash, rest = model.partition("/")
    if slash and head in VENDORS and not VENDORS[head].needs_key:
        return head, rest, url
    vendor, colon, name = model.partition(":")
    if colon:
        return vendor, name, url
    return (vendor, "", url) if vendor in VENDORS else ("", vendor, url)


def _unknown(model: str, written: str, others: list[str]) -> str:
    """The error text for a model nobody provides."""
    model, vendors = without_password(model), [*others, *VENDORS]
    if likely := rewritten(model):
        return f"the model {model!r} does not tell its provider; write {' or '.join(map(repr, likely))}"
    if written:
        near = nearest(written, vendors)
        hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(vendors)}"
        return f"the model {model!r} needs the provider {written!r}, which does not exist; {hint}"
    return (
        f"the model {model!r} does not tell its provider; write PROVIDER:{model or 'MODEL'} with one of: "
        f"{', '.join(vendors)}. Or write 'model: offline', or run with --offline"
    )


@cache
def _notice_offline() -> None:
    """Say once per process that answers come from no model."""
    log.warning(
        "no model is named, so answers come from the offline provider; set AIXGO_MODEL or 'model:'"
    )
