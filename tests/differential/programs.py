"""The programs that are run on every runtime: what they are made of, and how Hypothesis draws them.

A program is a list of rounds; the steps of a round begin together, a round begins when the one before has
come to rest. Nothing in a program depends on time: who waits does so at a gate, and what then happens to
the waiting (its gate opens, its caller cancels, leaves or lets the deadline pass) is part of the program
and happens once the wait was reached. What documentation allows to differ is not drawn: an agent that is
stopped spends nothing, and one whose reader leaves has nothing left to do but wait.

A script is what one agent does, as a JSON object: `acts` in order, among them calls and streams to others
with scripts of their own. Below: nothing of aixgo. Above: the interpreter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from hypothesis import strategies as st

from tests.differential.actors import ERRORS, EXITS, MAIL, ODD_CHUNKS, QUIET, SPEAKING, Act, Script

__all__ = [
    "DEADLINE",
    "LONG",
    "Call",
    "Fan",
    "Given",
    "Join",
    "Mail",
    "Mode",
    "Parked",
    "Program",
    "Step",
]
__all__ += ["prepared", "programs"]

DEADLINE = 20.0007  # seconds of a deadline that passes; never at the edge of a runtime's tick
LONG = 1000.0  # seconds of those that do not

T = TypeVar("T")

Mode = Literal["call", "stream"]
Fate = Literal["open", "cancel", "deadline", "leave", "late"]


@dataclass(frozen=True)
class Given:
    """What a message is made from."""

    payload: object
    kind: str = "message"
    metadata: dict[str, object] = field(default_factory=dict)
    content_type: str = ""
    times: int = 1
    """How often the payload, then text or bytes, is repeated: large ones are to be written small."""


@dataclass(frozen=True)
class Call:
    """A call, or a stream that is read to its end."""

    to: str
    given: Given
    mode: Mode = "call"
    options: dict[str, Any] = field(default_factory=dict)
    caller: int = 0


@dataclass(frozen=True)
class Fan:
    """`call_parallel`."""

    to: tuple[str, ...]
    given: Given
    caller: int = 0


@dataclass(frozen=True)
class Parked:
    """A call whose agents come to a gate, `arrivals` of them after `chunks` chunks, and what happens there."""

    to: str
    given: Given
    mode: Mode
    fate: Fate
    arrivals: int = 1
    chunks: int = 0
    read: int = 0
    """Chunks that agents on the way have read by then."""
    options: dict[str, Any] = field(default_factory=dict)
    caller: int = 0


@dataclass(frozen=True)
class Join:
    """Calls with one idempotency key, all in flight together or one after the other, as it comes."""

    to: str
    given: Given
    count: int
    key: str
    caller: int = 0


@dataclass(frozen=True)
class Mail:
    """Messages sent to a mailbox, whose replies are read from its exit; those told to fail become dead letters."""

    side: int
    items: tuple[Given, ...]


Step = Call | Fan | Parked | Join | Mail
Program = tuple[tuple[Step, ...], ...]


def prepared(step: Step, label: str, run: str) -> Step:
    """`step` as it is carried out: its nodes and gates named after `label`, its keys made those of `run`."""
    if isinstance(step, Mail):
        items = [_labelled(item, f"{label}.{n}", run) for n, item in enumerate(step.items)]
        return replace(step, items=tuple(items))
    done = replace(step, given=_labelled(step.given, label, run))
    if isinstance(done, Join):
        return replace(done, key=f"{run} {done.key}")
    if isinstance(done, (Call, Parked)) and "idempotency_key" in done.options:
        key = f"{run} {done.options['idempotency_key']}"
        return replace(done, options={**done.options, "idempotency_key": key})
    return done


def _labelled(given: Given, label: str, run: str) -> Given:
    if not _is_script(given.payload):
        return given
    # What is sent under one key again must be the same, whichever step sends it.
    return replace(given, payload=_named(given.payload, label, label, run))  # type: ignore[arg-type]


def _named(script: Script, node: str, label: str, run: str) -> Script:
    label = script.get("label", label)
    node = script.get("label", node)
    acts: list[Act] = []
    for number, act in enumerate(script["acts"]):
        act = dict(act)
        if act["do"] in ("wait", "stream"):
            act["gate"] = "never" if act.get("never") else label
        if "idempotency_key" in act:
            act["idempotency_key"] = f"{run} {label} {act['idempotency_key']}"
        if _is_script(act.get("with")):
            act["with"] = _named(act["with"], f"{node}.{number}", label, run)
        acts.append(act)
    return {**script, "node": node, "acts": acts}


def _is_script(payload: object) -> bool:
    return isinstance(payload, dict) and isinstance(payload.get("acts"), list)


# -- values ----------------------------------------------------------------------------------------------

_text = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
_odd_texts = st.sampled_from(["", "\0", "ä\u2028\U0001f600", "\r\n", "null", '{"a": 1}', "\ufeff"])
_texts = st.one_of(_text, _odd_texts)
_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    _texts,
)
_json = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(_texts, inner, max_size=3)
    ),
    max_leaves=6,
)
_metadata = st.one_of(
    st.just({}),
    st.dictionaries(_texts, _json, max_size=2),
    st.just({"cost_usd": 9, "tokens_total": "many"}),
)
_sizes = st.sampled_from([0, 1, 1000, 70_000, 300_000, 1_200_000])
_kinds = st.sampled_from(["message", "question", "ä ö", "as it is"])
_unfit = st.sampled_from(
    [float("nan"), {"a": [float("inf")]}, {1: 2}, object, "\ud800", {"k": "\ud800"}]
)

_given = st.one_of(
    st.builds(Given, st.one_of(_json, _texts), _kinds, _metadata),
    st.builds(Given, st.just("y"), _kinds, _metadata, times=_sizes),
    st.builds(
        Given,
        st.binary(max_size=20),
        st.just("as it is"),
        _metadata,
        st.sampled_from(["", "image/png", "ä/ö"]),
        _sizes.filter(lambda size: size < 10**5),
    ),
    st.builds(Given, _unfit),
    st.builds(Given, st.sampled_from([{"x": 1, "y": 2}, {"x": "one"}, {"x": 1}, [1], "12", 3])),
)

_names = st.sampled_from((*SPEAKING, *QUIET))
_other_names = st.sampled_from(
    ["nobody", "left.on", "left.unready", "right.unready", "add", "lower", ""]
)
_any_name = st.one_of(_names, _names, _names, _other_names)
_root_name = st.one_of(_any_name, _any_name, _any_name, st.just("\ud800"))
_callers = st.integers(0, 1)
_budgets = st.sampled_from(
    [
        {"usd": 0.25},
        {"tokens": 0},
        {"usd": 1e-9, "tokens": 2**40, "calls": 3},
        {"usd": 0.1, "calls": 0},
    ]
)
_odd_options = st.fixed_dictionaries(
    {},
    optional={
        "timeout": st.sampled_from([0, LONG, LONG, -1.0, float("nan")]),
        "session": st.sampled_from(["", "s1", "ä/ö", "\ud800"]),
        "key": st.sampled_from(["step", "a/b[2]"]),
        "budget": _budgets,
    },
)
_sound_options = st.fixed_dictionaries(
    {},
    optional={
        "timeout": st.sampled_from([0, LONG, LONG]),
        "session": st.sampled_from(["", "s1", "ä/ö"]),
        "key": st.sampled_from(["step", "a/b[2]"]),
        "budget": _budgets,
    },
)
_nothing: st.SearchStrategy[dict[str, Any]] = st.just({})

# -- scripts ---------------------------------------------------------------------------------------------

_usages = st.fixed_dictionaries(
    {"tokens_prompt": st.integers(0, 9)},
    optional={
        "cost_nanos": st.integers(0, 10**12),
        "calls": st.integers(0, 2),
        "tokens_cached": st.integers(0, 3),
        "tokens_reasoning": st.integers(0, 3),
        "tokens_completion": st.integers(0, 3),
    },
)
_report = st.just({"do": "report"})
_charge = st.builds(lambda usage: {"do": "charge", "usage": usage}, _usages)
_pad = st.builds(lambda size: {"do": "pad", "size": size}, _sizes)
_raise = st.builds(lambda kind: {"do": "raise", "kind": kind}, st.sampled_from(ERRORS))
_narrow = st.builds(lambda depth: {"do": "narrow", "depth": depth}, st.integers(0, 2))
_say = st.one_of(
    st.builds(
        lambda text, kind: {"do": "say", "text": text, "kind": kind},
        _texts,
        st.sampled_from(["content", "content", "thinking", "status", ""]),
    ),
    st.builds(lambda size: {"do": "say", "text": "z", "times": size}, _sizes),
    st.builds(
        lambda odd: {"do": "say", "text": "odd", "odd": odd},
        st.sampled_from(ODD_CHUNKS),
    ),
)
_simple = st.one_of(_report, _report, _charge, _charge, _say, _say, _pad, _raise, _narrow)
_fails = st.one_of(st.tuples(_raise), st.tuples(_charge, _raise)).map(list)


def _mostly(one: st.SearchStrategy[T], other: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """Three of `one` to one of `other`; of `one | other` every part of either would be as likely."""
    return st.sampled_from([one, one, one, other]).flatmap(lambda chosen: chosen)


@st.composite
def _scripts(draw: st.DrawFn, depth: int = 2, *, keyed: bool = True) -> Script:
    """What an agent does when nothing stops it."""
    acts: list[Act] = []
    for _ in range(draw(st.sampled_from([2, 1, 3, 0]))):
        if depth == 0 or draw(st.sampled_from(["inner", "simple", "inner"])) == "simple":
            acts.append(draw(_simple))
        else:
            acts.append(draw(_inner_calls(depth - 1, keyed=keyed)))
    if draw(st.integers(0, 3)) == 0:
        acts += draw(_fails)
    script: Script = {"acts": acts}
    if draw(st.booleans()):
        script |= {"final": True, "kind": draw(_kinds), "metadata": draw(_metadata)}
    return script


@st.composite
def _inner_calls(draw: st.DrawFn, depth: int, *, keyed: bool) -> Act:
    kind = draw(st.sampled_from(["call", "call", "stream", "parallel", "leave"]))
    if kind == "parallel":
        names = draw(st.lists(_any_name, max_size=3))
        return {
            "do": "parallel",
            "to": names,
            **draw(_mostly(_scripts(depth, keyed=False).map(_with), _payloads)),
        }
    if kind == "leave":
        count = draw(st.integers(1, 3))
        return {
            "do": "stream",
            "to": draw(st.sampled_from(SPEAKING)),
            "with": _stays(count + draw(st.integers(0, 3))),
            "take": count,
            "pass": draw(st.booleans()),
        }
    act: Act = {
        "do": kind,
        "to": draw(_any_name),
        **draw(_mostly(_scripts(depth, keyed=keyed).map(_with), _payloads)),
        "catch": draw(st.sampled_from([True, True, False])),
        **draw(_nothing | _nothing | _sound_options),
    }
    if kind == "stream" and draw(st.booleans()):
        act["pass"] = True
    if keyed and draw(st.integers(0, 3)) == 0:
        act["idempotency_key"] = draw(st.sampled_from(["k1", "k2"]))
    return act


def _with(payload: object) -> Act:
    return {"with": payload}


_payloads = st.one_of(_json.map(_with), _sizes.map(lambda size: {"with": "y", "times": size}))


def _stays(count: int) -> Script:
    """Says `count` chunks and then waits to be stopped."""
    says = [{"do": "say", "text": str(number)} for number in range(count)]
    return {"acts": [{"do": "report"}, *says, {"do": "wait", "never": True}]}


# -- what waits ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Route:
    """A script whose execution comes to rest at a gate."""

    script: Script
    to: str
    mode: Mode
    arrivals: int
    chunks: int
    read: int


@st.composite
def _routes(
    draw: st.DrawFn, depth: int, mode: Mode, *, stopped: bool, short: int, heard: bool
) -> _Route:
    """A route of `depth` agents.

    An agent that is `stopped` spends nothing; the call of agent number `short`, counted from the gate, has a
    short deadline; of a route to be `heard` all agents stream, and all chunks arrive at its beginning.
    """
    to = draw(st.sampled_from(SPEAKING) if heard else _names)
    acts: list[Act] = draw(st.lists(_report if stopped else _report | _charge, max_size=1))
    speaks = mode == "stream" and to in SPEAKING
    said = draw(st.integers(1 if heard and depth == 1 else 0, 2))
    acts += [{"do": "say", "text": f"{depth} {n}"} for n in range(said)]
    chunks = said if speaks else 0
    after: list[Act] = draw(st.lists(_say_plainly | _report, max_size=1))
    if depth == 1:
        script = {"acts": [*acts, {"do": "wait"}, *after]}
        return _Route(script, to, mode, arrivals=1, chunks=chunks, read=0)
    kind = "stream" if heard else draw(st.sampled_from(["call", "stream", "parallel"]))
    inner = draw(
        _routes(
            depth - 1,
            "stream" if kind == "stream" else "call",
            stopped=stopped or short == depth - 1,
            short=short,
            heard=heard,
        )
    )
    arrivals, read = inner.arrivals, inner.read
    act: Act = {"do": kind, "to": inner.to, "with": inner.script, "catch": draw(st.booleans())}
    if short == depth - 1:
        act["timeout"] = DEADLINE
    if kind == "parallel":
        act["to"] = draw(st.lists(_names, min_size=1, max_size=2))
        arrivals, read = arrivals * len(act["to"]), read * len(act["to"])
    if kind == "stream":
        read += inner.chunks
        if heard or draw(st.booleans()):
            act["pass"] = True
            chunks += inner.chunks if speaks else 0
    script = {"acts": [*acts, act, *after]}
    return _Route(script, to, mode, arrivals=arrivals, chunks=chunks, read=read)


_say_plainly = st.just({"do": "say", "text": "after"})


@st.composite
def _parked(draw: st.DrawFn) -> Parked:
    fate: Fate = draw(st.sampled_from(["open", "cancel", "deadline", "leave", "late"]))
    # A reader that leaves or pauses has heard of the agent at the gate: so everybody on the way is at work.
    heard = fate in ("leave", "late")
    mode: Mode = "stream" if heard else draw(st.sampled_from(["call", "stream"]))
    depth = draw(st.integers(1, 3))
    short = draw(st.integers(1, depth)) if fate == "deadline" else 0
    stopped = fate != "open" and short in (0, depth)
    route = draw(_routes(depth, mode, stopped=stopped, short=short, heard=heard))
    options: dict[str, Any] = {"timeout": LONG}
    if fate == "late" or (fate == "deadline" and short == depth):
        options["timeout"] = DEADLINE
    return Parked(
        route.to,
        Given(route.script),
        mode,
        fate,
        route.arrivals,
        route.chunks,
        route.read,
        options,
        draw(_callers),
    )


# -- keys and mail ---------------------------------------------------------------------------------------

_KEYED: tuple[tuple[str, list[Act]], ...] = (
    ("reports", [{"do": "report"}, {"do": "charge", "usage": {"tokens_prompt": 3}}]),
    ("says", [{"do": "say", "text": "said"}]),
    ("refuses", [{"do": "charge", "usage": {"calls": 1}}, {"do": "raise", "kind": "AgentRefused"}]),
    ("is away", [{"do": "raise", "kind": "Unavailable"}]),
    ("fails", [{"do": "raise", "kind": "ValueError"}]),
    ("pads", [{"do": "pad", "size": 300_000}]),
)
_keyed_scripts = st.sampled_from(
    [{"acts": acts, "label": label, "final": True} for label, acts in _KEYED]
)
_keyed_names = st.sampled_from(["left.one", "right.quiet"])
_keys = st.sampled_from(["k1", "k2"])
_keyed = st.builds(
    lambda to, script, mode, key, caller: Call(
        to, Given(script), mode, {"idempotency_key": key}, caller
    ),
    _keyed_names,
    _keyed_scripts,
    st.sampled_from(["call", "call", "stream"]),
    _keys,
    _callers,
)


def _keyed_wait(key: str) -> Script:
    return {"acts": [{"do": "report"}, {"do": "wait"}], "label": f"waits {key}"}


_keyed_parked = st.builds(
    lambda to, fate, key, caller: Parked(
        to,
        Given(_keyed_wait(key)),
        "call",
        fate,
        options={
            "idempotency_key": key,
            "timeout": DEADLINE if fate == "deadline" else LONG,
        },
        caller=caller,
    ),
    _keyed_names,
    st.sampled_from(["open", "cancel", "deadline"]),
    _keys,
    _callers,
)
_joins = st.builds(
    Join,
    _keyed_names,
    # An error that frees the key makes it a matter of time how often the body runs.
    _keyed_scripts.filter(lambda script: script["label"] != "is away").map(Given),
    st.integers(2, 4),
    _keys,
    _callers,
)
_mailed = st.one_of(
    st.builds(Given, st.lists(_report | _pad, max_size=2).map(lambda acts: {"acts": acts})),
    st.builds(Given, _json, st.just("message"), _metadata),
    st.builds(Given, _raise.map(lambda act: {"acts": [act]})),
)
_mails = st.builds(Mail, st.integers(0, len(MAIL) - 1), st.lists(_mailed, max_size=3).map(tuple))

# -- programs --------------------------------------------------------------------------------------------

_calls = st.builds(
    Call,
    _root_name,
    _mostly(_scripts().map(Given), _given),
    st.sampled_from(["call", "stream"]),
    _nothing | _nothing | _sound_options | _odd_options,
    _callers,
)
_fans = st.builds(
    Fan,
    st.lists(_root_name, max_size=4).map(tuple),
    _mostly(_scripts(1, keyed=False).map(Given), _given),
    _callers,
)
_steps = st.one_of(
    _calls,
    _calls,
    _calls,
    _parked(),
    _parked(),
    _fans,
    _keyed,
    _keyed,
    _keyed_parked,
    _joins,
    _mails,
)


def _claims(step: Step) -> str:
    """What only one step of a round may use: how two would mix depends on which comes first."""
    if isinstance(step, Mail):
        return MAIL[step.side]
    if isinstance(step, Join):
        return step.key
    return str(step.options.get("idempotency_key", "")) if not isinstance(step, Fan) else ""


def _without_clashes(steps: Sequence[Step]) -> Iterator[Step]:
    taken: set[str] = set()
    for step in steps:
        claim = _claims(step)
        if not claim or claim not in taken:
            taken.add(claim)
            yield step


_rounds = st.lists(_steps, min_size=1, max_size=5).map(lambda steps: tuple(_without_clashes(steps)))


def _comparable(program: Program) -> bool:
    """Whether what a budget lends can be compared: nobody leaves a stream, or calls in parallel, within one.

    What a left stream costs differs over unary (docs/sameness.md), and how much a parallel call is lent depends on
    which of the others have ended by then. Both have tests of their own.
    """
    text = repr(program)
    return "'budget'" not in text or not ("'take'" in text or "'parallel'" in text)


programs: st.SearchStrategy[Program] = (
    st.lists(_rounds, min_size=2, max_size=4).map(tuple).filter(_comparable)
)

assert len(MAIL) == len(EXITS)
