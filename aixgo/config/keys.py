"""Every key a configuration may have: its kind, its default, what it does, what it needs.

One table per kind of mapping. What a role or a pattern adds for itself stands in its own class
(`config_keys`) and is merged in by `config.roles`; the tables here are what files share. `absent` names
the feature a key needs and this version does not have.

Below: aixgo.keys. Above: config.check, `aixgo schema`.
"""

from __future__ import annotations

from collections.abc import Mapping

from aixgo.agents._guided import GUIDED_KEYS
from aixgo.keys import Key
from aixgo.observability.logs import LOG_KEYS
from aixgo.observability.settings import KEYS as TRACE_KEYS
from aixgo.orchestration._limits import LIMIT_KEYS
from aixgo.retrieval.stores.base import METRICS
from aixgo.retrieval.stores.sqlite import ENGINES

__all__ = [
    "AGENT_KEYS",
    "AUTH_KEYS",
    "DEPLOYMENT_KEYS",
    "EMBEDDINGS_KEYS",
    "LOG_KEYS",
    "MODEL_SERVICE_KEYS",
    "OBSERVABILITY_KEYS",
    "ORCHESTRATION_KEYS",
    "ROOT_KEYS",
    "SECURITY",
    "TLS_KEYS",
    "VECTORSTORE_KEYS",
]

SESSIONS = "sessions"
MCP = "MCP servers"
RETRIEVAL = "search by agents of another role than `retriever`"
HUGGINGFACE = "the inference API of Hugging Face for embeddings"
FIRESTORE = "Firestore"
ALERTS = "measurements and alerts by file"
SERVER = "the HTTP server"
TUNING = "runtime tuning in a file"
SETTINGS = "settings outside agents"
AUTH = "authentication"
AUTHORIZATION = "authorization"
AUDIT = "audit logging"
RATE_LIMITS = "rate limiting"

SECURITY = frozenset({AUTH, AUTHORIZATION, AUDIT, RATE_LIMITS})
"""Features whose absence leaves something open that the author of a file meant to close."""

TOOL_KEYS: Mapping[str, Key] = {
    "name": Key("text", "the tool's name", required=True),
    "description": Key("text", "what it does, for the model", default=""),
    "input_schema": Key("mapping", "JSON Schema of its arguments; else the function's signature"),
    "timeout": Key("duration", "time one run may take", default=30, minimum=0.001),
    "code": Key("text", "the function: ./file.py:name or package.module:name"),
}

AGENT_KEYS: Mapping[str, Key] = {
    "name": Key("text", "what the agent is called; unique in the file", required=True),
    "role": Key("text", "what kind of agent it is"),
    "type": Key("text", "another word for role"),
    "code": Key("text", "the agent, or what makes it: ./file.py:name or package.module:name"),
    "folder": Key("text", "folder of an agent.yaml whose keys stand under those of this entry"),
    "description": Key("text", "what it does, in a line", default=""),
    "version": Key("text", "which version of it this is, shown in traces", default=""),
    "listen": Key("text", "address `serve --agent` listens on", default=""),
    "inputs": Key(
        "list",
        "whose replies it receives",
        fields={
            "source": Key(
                "text", "an agent; any other name receives the run's input", required=True
            ),
            "type": Key("text", "what kind of message it is, for readers"),
        },
    ),
    "outputs": Key(
        "list",
        "who receives its replies",
        fields={
            "target": Key("text", "an agent; any other name is an exit of the flow", required=True),
            "addr": Key("text", "where that agent is served, if elsewhere"),
            "type": Key("text", "what kind of message it is, for readers"),
        },
    ),
    "depends_on": Key("texts", "agents that must be ready before it starts"),
    "model": Key("text", "the model, or the name of a model service"),
    "provider": Key("text", "whose model it is"),
    "api_key": Key(
        "text", "the model's key, as ${NAME}; else the vendor's own variable", secret=True
    ),
    "prompt": Key("text", "what the model is told about its task"),
    "temperature": Key("number", "of the model", minimum=0),
    "max_tokens": Key("integer", "of an answer", minimum=1),
    "output_schema": Key("mapping", "JSON Schema of an answer"),
    "tools": Key("list", "what the model may call", fields=TOOL_KEYS),
    "mcp_servers": Key("texts", "servers whose tools it may call", absent=MCP),
    "guided_config": Key("mapping", "how a react agent verifies its answers", fields=GUIDED_KEYS),
    "resilience": Key("mapping", "policies around each call of its model"),
    "fallback": Key("texts", "agents that are called in its stead when it fails, in order"),
    "session_mode": Key(
        "text",
        "how it remembers",
        default="enabled",
        choices=("enabled", "lightweight", "disabled"),
        absent=SESSIONS,
    ),
    "session": Key("mapping", "its own session settings", absent=SESSIONS),
    "transfers": Key("texts", "agents of its swarm it may hand over to; by default all"),
    "vector_store": Key("any", "where it searches", absent=RETRIEVAL),
    "collection": Key("text", "what it searches", absent=RETRIEVAL),
    "embedding_model": Key("text", "what turns texts into vectors: `hashing`, or vendor:model"),
}

ORCHESTRATION_KEYS: Mapping[str, Key] = {
    "name": Key("text", "what it is called; defaults to its pattern", default=""),
    "pattern": Key("text", "how the agents work together", required=True),
    "agents": Key("slots", "the agents, in order"),
    "config": Key("mapping", "the pattern's own settings"),
    "limits": Key("mapping", "bounds of one run", fields=LIMIT_KEYS),
    "fallback": Key("texts", "agents that are called in its stead when it fails, in order"),
    "description": Key("text", "what it does, in a line", default=""),
    "version": Key("text", "which version of it this is, shown in traces", default=""),
}

TLS_KEYS: Mapping[str, Key] = {
    "ca": Key("text", "file of the authorities whose certificates are accepted"),
    "cert": Key("text", "file of our certificate; `serve` needs one"),
    "key": Key("text", "file of its key, not encrypted"),
    "server_name": Key(
        "text", "what peers' certificates have to be for, if not their address's host"
    ),
    "mutual": Key("boolean", "ask callers for a certificate of `ca`; the default with one"),
}

AUTH_KEYS: Mapping[str, Key] = {
    "token": Key("text", "a bearer token, such as ${AIXGO_TOKEN}", secret=True),
    "token_file": Key("text", "the file that holds it"),
}

DEPLOYMENT_KEYS: Mapping[str, Key] = {
    "mode": Key(
        "text",
        "where agents run: here, or each in its own process",
        default="local",
        choices=("local", "distributed"),
    ),
    "peers": Key("any", "agents served elsewhere, and where"),
    "listen": Key("text", "address `serve` listens on", default=""),
    "health": Key(
        "text", "address at which `serve` answers health checks besides, in plaintext", default=""
    ),
    "transport": Key(
        "text",
        "how calls travel between processes: over one stream, or as RPCs of their own",
        default="stream",
        choices=("stream", "unary"),
    ),
    "tls": Key("mapping", "encrypt TCP connections, of `serve` and to peers", fields=TLS_KEYS),
    "auth": Key("mapping", "what callers show, and peers are shown", fields=AUTH_KEYS),
    "external_tls": Key(
        "boolean",
        "plaintext may leave the machine, because a mesh in front of us encrypts",
        default=False,
    ),
}

MODEL_SERVICE_KEYS: Mapping[str, Key] = {
    "name": Key("text", "what agents call it", required=True),
    "provider": Key("text", "whose API it speaks"),
    "model": Key("text", "the model it serves"),
    "runtime": Key("text", "what runs it", choices=("ollama", "vllm", "cloud")),
    "transport": Key("text", "how it is reached"),
    "address": Key("text", "where it is reached"),
    "resilience": Key(
        "mapping", "policies around each call of the model, whichever agent makes it"
    ),
    "api_key": Key("text", "its key, as ${NAME}; else the vendor's own variable", secret=True),
    "config": Key(
        "mapping",
        "settings of the service",
        fields={
            "address": Key("text", "where it is reached"),
            "api_key": Key("text", "its key, as ${NAME}", secret=True),
            "token": Key("text", "another word for api_key", secret=True),
            "endpoint": Key("text", "where it is reached"),
            "variant": Key("text", "which client is used"),
            "quantization": Key("text", "how the model is stored"),
        },
    ),
}

OBSERVABILITY_KEYS: Mapping[str, Key] = {
    "track_token_usage": Key("boolean", "spans always tell tokens", absent=ALERTS),
    "track_latency": Key("boolean", "spans always tell time", absent=ALERTS),
    "log_confidence_scores": Key("boolean", "log how sure classifiers are", absent=ALERTS),
    "alert_threshold": Key("number", "alert when a classifier is less sure", absent=ALERTS),
    "latency_threshold_ms": Key("number", "alert when a call takes longer", absent=ALERTS),
    **TRACE_KEYS,
}

SECURITY_KEYS: Mapping[str, Key] = {
    "environment": Key("text", "what the defaults are made for", absent=AUTH),
    "auth_mode": Key(
        "text",
        "who checks identities",
        choices=("disabled", "delegated", "builtin", "hybrid"),
        absent=AUTH,
    ),
    "delegated_auth": Key("mapping", "identities checked in front of us", absent=AUTH),
    "builtin_auth": Key(
        "mapping",
        "identities checked by us",
        fields={
            "method": Key("text", "what proves an identity", default="api_key"),
            "api_keys": Key(
                "mapping",
                "where keys are",
                fields={
                    "source": Key("text", "environment or file", choices=("environment", "file")),
                    "file_path": Key("text", "the file"),
                    "env_prefix": Key("text", "of the variables", default="AIXGO_API_KEY_"),
                },
            ),
        },
        absent=AUTH,
    ),
    "authorization": Key(
        "mapping",
        "who may do what",
        fields={
            "enabled": Key("boolean", "check permissions", default=False),
            "default_deny": Key("boolean", "forbid what no rule allows", default=False),
            "policy_file": Key("text", "more rules"),
        },
        absent=AUTHORIZATION,
    ),
    "audit": Key(
        "mapping",
        "what was done by whom",
        fields={
            "enabled": Key("boolean", "write it", default=False),
            "backend": Key("text", "where to", choices=("memory", "json", "syslog")),
            "log_auth_decisions": Key("boolean", "decisions too", default=False),
            "siem": Key("mapping", "other systems it is sent to"),
            "batch_size": Key("integer", "entries sent at once", default=100),
            "flush_interval": Key("duration", "time between two deliveries", default=5),
        },
        absent=AUDIT,
    ),
    "security": Key("mapping", "the same, in one block", absent=AUTH),
    "rate_limiting": Key("mapping", "how often one may call", absent=RATE_LIMITS),
}

EMBEDDINGS_KEYS: Mapping[str, Key] = {
    "provider": Key(
        "text",
        "whose model",
        choices=("hashing", "openai", "huggingface", "huggingface_tei"),
        default="hashing",
    ),
    "openai": Key(
        "mapping",
        "of OpenAI, or of who speaks its API",
        fields={
            "model": Key("text", "the model", default="text-embedding-3-small"),
            "api_key": Key("text", "its key, as ${NAME}; else the vendor's own", secret=True),
            "base_url": Key("text", "where the API is reached, if elsewhere"),
            "dimensions": Key("integer", "numbers of a vector, if fewer", minimum=1),
        },
    ),
    "huggingface_tei": Key(
        "mapping",
        "of a server of text-embeddings-inference",
        fields={
            "endpoint": Key("text", "where it is", default="http://127.0.0.1:8080"),
            "model": Key("text", "the model it serves, which an index remembers", default="tei"),
            "normalize": Key("boolean", "vectors have length one, as cosine wants", default=True),
        },
    ),
    "huggingface": Key("mapping", "of Hugging Face's own servers", absent=HUGGINGFACE),
}

VECTORSTORE_KEYS: Mapping[str, Key] = {
    "provider": Key(
        "text",
        "where it is: in memory, or in a file that lasts",
        choices=("memory", "sqlite"),
        default="memory",
    ),
    "path": Key("text", "the file, from the folder of this one; `sqlite` needs it"),
    "collection": Key("text", "which of the file's collections", default=""),
    "embedding_dimensions": Key("integer", "numbers each vector must have", minimum=1),
    "default_top_k": Key("integer", "passages to find", default=5, minimum=1),
    "default_distance_metric": Key(
        "text",
        "how near is measured",
        choices=METRICS,
        default="cosine",
    ),
    "engine": Key("text", "what finds the nearest in a file", choices=ENGINES, default="auto"),
    "firestore": Key("mapping", "settings of Firestore", absent=FIRESTORE),
}

ALIKE = (
    "supervisor",
    "sequential",
    "parallel",
    "ensemble",
    "debate",
    "consensus",
    "swarm",
    "aggregation",
)
"""Patterns that `supervisor.pattern` may name: a list of agents is all they need."""

ROOT_KEYS: Mapping[str, Key] = {
    "agents": Key("list", "the agents", fields=AGENT_KEYS),
    "orchestration": Key(
        "list", "how agents work together; the first is the entry", fields=ORCHESTRATION_KEYS
    ),
    "supervisor": Key(
        "mapping",
        "an agent that picks one of the agents for each input",
        fields={
            "name": Key("text", "what it is called", default="supervisor"),
            "pattern": Key(
                "text",
                "another pattern, of agents that are all alike, over the agents that answer",
                default="supervisor",
                choices=ALIKE,
            ),
            "model": Key("text", "the model that picks, or the name of a model service"),
            "max_rounds": Key("integer", "calls it may make; below 1 means 10", default=10),
            "routing_strategy": Key(
                "text",
                "how it picks",
                default="best_match",
                choices=("best_match", "round_robin", "manual"),
            ),
        },
    ),
    "deployment": Key("mapping", "where the agents run", fields=DEPLOYMENT_KEYS),
    "prices": Key(
        "mapping",
        "what models cost, where the built-in prices do not fit",
        fields={
            "models": Key("any", "provider:model, and its dollars per million tokens"),
            "file": Key("text", "a file of such prices, beside this one"),
            "on_unpriced": Key(
                "text",
                "what becomes of calls of a model without a price",
                choices=("error", "allow", "estimate"),
            ),
        },
    ),
    "default_model": Key("text", "of agents that name none"),
    "model_services": Key("list", "models under names of their own", fields=MODEL_SERVICE_KEYS),
    "resilience": Key("mapping", "policies around each call between agents"),
    "mcp_servers": Key(
        "list",
        "servers of tools",
        fields={
            "name": Key("text", "what agents call it", required=True),
            "transport": Key("text", "how it is reached", choices=("local", "grpc")),
            "address": Key("text", "where it is reached"),
            "tls": Key("boolean", "encrypt", default=False),
            "auth": Key(
                "mapping",
                "who we are",
                fields={
                    "type": Key("text", "what proves it", choices=("bearer", "oauth")),
                    "token": Key("text", "the token"),
                    "token_env": Key("text", "the variable that holds it"),
                },
            ),
        },
        absent=MCP,
    ),
    "session": Key(
        "mapping",
        "what is remembered between runs",
        fields={
            "enabled": Key("boolean", "remember", default=False),
            "store": Key("text", "where", default="file"),
            "base_dir": Key("text", "the folder", default="~/.aixgo/sessions"),
            "checkpoint": Key(
                "mapping",
                "saved states",
                fields={
                    "auto_save": Key("boolean", "save by itself", default=False),
                    "interval": Key("duration", "time between two", default="5m"),
                },
            ),
        },
        absent=SESSIONS,
    ),
    "embeddings": Key("mapping", "how agents compare texts", fields=EMBEDDINGS_KEYS),
    "vectorstore": Key("mapping", "where retrievers find texts", fields=VECTORSTORE_KEYS),
    "observability": Key(
        "mapping", "where traces and metrics go; nothing is seen without", fields=OBSERVABILITY_KEYS
    ),
    "logging": Key("mapping", "what is logged, and how", fields=LOG_KEYS),
    "server": Key("mapping", "ports", absent=SERVER),
    "runtime": Key("mapping", "queues and bounds", absent=TUNING),
    **SECURITY_KEYS,
    "openai_key": Key("text", "a vendor's key; use the environment", absent=SETTINGS),
    "anthropic_key": Key("text", "a vendor's key; use the environment", absent=SETTINGS),
    "huggingface_key": Key("text", "a vendor's key; use the environment", absent=SETTINGS),
    "gcp_project": Key("text", "a cloud project", absent=SETTINGS),
    "gcp_credentials": Key("text", "a cloud project's credentials", absent=SETTINGS),
    "embedding_model": Key("text", "how texts are compared", absent=SETTINGS),
    "max_tokens": Key("integer", "of every answer", absent=SETTINGS),
    "temperature": Key("number", "of every model", absent=SETTINGS),
    "vector_provider": Key("text", "which store", absent=SETTINGS),
    "vector_config": Key("mapping", "its settings", absent=SETTINGS),
}
