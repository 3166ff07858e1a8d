"""Rewrites the generated tables of docs/ from the code they describe; `--check` only says whether they are current."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from aixgo.config.keys import (
    AGENT_KEYS,
    AUTH_KEYS,
    DEPLOYMENT_KEYS,
    EMBEDDINGS_KEYS,
    LOG_KEYS,
    OBSERVABILITY_KEYS,
    ORCHESTRATION_KEYS,
    ROOT_KEYS,
    TLS_KEYS,
    VECTORSTORE_KEYS,
)
from aixgo.config.roles import pattern_class, role_class
from aixgo.errors import AixgoError, error_classes
from aixgo.keys import Key
from aixgo.loading import kinds
from aixgo.observability.counted import COUNTED
from aixgo.observability.instruments import KEPT, OBSERVED, Instrument
from aixgo.observability.langfuse import LANGFUSE_KEYS
from aixgo.orchestration.base import COMMON, LIMIT_KEYS, SHARED_KEYS, Fact
from aixgo.providers import VENDORS
from aixgo.resilience.base import Policy, Seam, policy_class

DOCS = Path(__file__).resolve().parents[1] / "docs"
SHARED = {**AGENT_KEYS}
SEAMS: Mapping[Seam, str] = {"model": "models", "runtime": "calls between agents"}


def errors() -> str:
    """Every error a caller can meet."""
    rows = []
    for name, cls in sorted(error_classes().items()):
        if cls is not AixgoError:
            state = (cls.__doc__ or "").strip().partition("\n")[0].rstrip(".")
            rows.append((f"`{name}`", state, cls.status, "yes" if cls.retryable else "no"))
    return table(("error", "the state it reports", "gRPC status", "worth a retry"), rows)


def keys(known: Mapping[str, Key]) -> str:
    """The keys of one mapping that have an effect."""
    rows = [
        (f"`{name}`", key.kind, key.help + choices(key), default(key))
        for name, key in known.items()
        if not key.absent
    ]
    return table(("key", "takes", "what it is", "default"), rows)


def choices(key: Key) -> str:
    return ": " + ", ".join(f"`{choice}`" for choice in key.choices) if key.choices else ""


def default(key: Key) -> str:
    if key.required:
        return "required"
    return "" if key.default in (None, "") else f"`{key.default}`"


def own(known: Mapping[str, Key]) -> dict[str, Key]:
    """What a role adds to the keys all agents share."""
    return {name: key for name, key in known.items() if SHARED.get(name) is None}


def roles() -> str:
    found = {kind: keys(own(role_class(kind).config_keys)) for kind in kinds("agents")}
    return "\n".join(f"### Role `{kind}`\n\n{text}" for kind, text in found.items() if text)


def patterns() -> str:
    return "\n".join(
        f"### Pattern `{kind}`\n\n{keys(pattern_class(kind).config_keys)}"
        for kind in kinds("orchestration")
    )


def facts(known: Mapping[str, Fact]) -> str:
    """What the metadata of a result says."""
    return table(("metadata", "what it says"), [(f"`{k}`", fact.help) for k, fact in known.items()])


def own_facts(kind: str) -> str:
    """What a pattern says besides what all say."""
    said = pattern_class(kind).facts
    names = [name for name, fact in said.items() if COMMON.get(name) is not fact]
    return facts({name: said[name] for name in sorted(names, key=COMMON.__contains__)})


def policies() -> str:
    """Every policy of a `resilience` block, outermost first, with its keys."""
    found = sorted((policy_class(kind).place, kind) for kind in kinds("resilience"))
    parts = []
    for _, kind in found:
        cls = policy_class(kind)
        parts.append(f"### Policy `{kind}`\n\n{sentence(cls)}\n\n{keys(cls.config_keys)}")
    return "\n".join(parts)


def sentence(cls: type[Policy]) -> str:
    """What a policy does and where it may stand."""
    text = cls.summary[0].upper() + cls.summary[1:]
    return text + ("." if len(cls.seams) > 1 else f"; only around {SEAMS[cls.seams[0]]}.")


def vendors() -> str:
    """Every vendor whose models can be named."""
    rows = []
    for row in VENDORS.values():
        keys_ = " or ".join(f"`{name}`" for name in row.key_variables)
        rows.append(
            (
                f"`{row.name}:`",
                ", ".join(f"`{name}`" for name in row.examples),
                f"`aixgo[{row.package}]`",
                keys_ if row.needs_key else f"none needed; {keys_} if it wants one",
                ", ".join(f"`{name}`" for name in row.base_url_variables),
                {"json_schema": "by schema", "json_object": "JSON, then by prompt"}.get(
                    row.schemas, "by prompt"
                ),
            )
        )
    head = ("write", "for example", "extra", "key", "address, if another", "structured output")
    return table(head, rows)


def instruments(known: Iterable[Instrument]) -> str:
    """Instruments with what they show; those over a runtime also with the keys of `rt.metrics()`."""
    listed = list(known)
    keyed = any(made.keys for made in listed)
    rows = []
    for made in listed:
        kind = "level" if made.kind in ("gauge", "updowncounter") else made.kind
        row = [f"`{made.name}`", kind, made.help, ", ".join(f"`{name}`" for name in made.labels)]
        rows.append([*row, ", ".join(f"`{key}`" for key in made.keys)] if keyed else row)
    head = ("instrument", "kind", "what it is", "labels", "`rt.metrics()`")
    return table(head if keyed else head[:-1], rows)


def absent() -> str:
    """The keys that are read and have no effect, by the feature they wait for."""
    features: dict[str, list[str]] = {}
    for place, known in (
        ("", ROOT_KEYS),
        ("agents[].", AGENT_KEYS),
        ("deployment.", DEPLOYMENT_KEYS),
        ("embeddings.", EMBEDDINGS_KEYS),
        ("vectorstore.", VECTORSTORE_KEYS),
        ("observability.", OBSERVABILITY_KEYS),
        ("logging.", LOG_KEYS),
    ):
        for name, key in known.items():
            if key.absent:
                features.setdefault(key.absent, []).append(f"`{place}{name}`")
    return table(
        ("feature", "keys"), [(name, ", ".join(found)) for name, found in sorted(features.items())]
    )


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table, or nothing for no rows."""
    lines = ["| " + " | ".join(row) + " |\n" for row in rows]
    titles = tuple(head)
    return (
        "".join(["| " + " | ".join(titles) + " |\n", "|---" * len(titles) + "|\n", *lines])
        if lines
        else ""
    )


BLOCKS: Mapping[str, Callable[[], str]] = {
    "errors": errors,
    "embeddings": lambda: keys(EMBEDDINGS_KEYS),
    "vectorstore": lambda: keys(VECTORSTORE_KEYS),
    "root": lambda: keys(ROOT_KEYS),
    "agents": lambda: keys(AGENT_KEYS),
    "roles": roles,
    "orchestration": lambda: keys(ORCHESTRATION_KEYS),
    "limits": lambda: keys(LIMIT_KEYS),
    "strategies": lambda: keys(SHARED_KEYS),
    "patterns": patterns,
    "facts": lambda: facts(COMMON),
    **{f"facts_{kind}": partial(own_facts, kind) for kind in kinds("orchestration")},
    "policies": policies,
    "vendors": vendors,
    "counted": lambda: instruments(COUNTED),
    "kept": lambda: instruments(KEPT),
    "observed": lambda: instruments(OBSERVED),
    "deployment": lambda: keys(DEPLOYMENT_KEYS),
    "tls": lambda: keys(TLS_KEYS),
    "auth": lambda: keys(AUTH_KEYS),
    "observability": lambda: keys(OBSERVABILITY_KEYS),
    "langfuse": lambda: keys(LANGFUSE_KEYS),
    "logging": lambda: keys(LOG_KEYS),
    "absent": absent,
}


def render(text: str) -> str:
    """`text` with every generated block as it has to be."""

    def block(found: re.Match[str]) -> str:
        return f"<!-- {found[1]}:begin -->\n{BLOCKS[found[1]]()}<!-- {found[1]}:end -->"

    return re.sub(r"<!-- (\w+):begin -->\n.*?<!-- \1:end -->", block, text, flags=re.DOTALL)


def main() -> int:
    """Rewrite the pages, or report the stale ones."""
    stale = []
    for path in sorted(DOCS.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        if (current := render(text)) != text:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(current, encoding="utf-8")
    if stale:
        print(
            ("stale, run scripts/docs.py: " if "--check" in sys.argv else "rewrote ")
            + ", ".join(stale)
        )
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    raise SystemExit(main())
