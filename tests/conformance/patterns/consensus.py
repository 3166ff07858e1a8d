"""Consensus."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aixgo import Message
from aixgo.message import JSONValue
from aixgo.orchestration import Consensus
from aixgo.orchestration._presenting import TO_EVALUATOR, TO_PRESENTER
from aixgo.orchestration._refining import ACTIONS, Answer, Level, Shown, instructions
from tests.conformance.patterns.base import Call, Case, Rule

__all__ = ["CASES"]

TASK = "how many?"


def member(
    text: str, action: str = "", best: Callable[[Mapping[str, str]], str] | None = None
) -> Rule:
    """Answers with `text`; then does `action` for the answer `best` chooses, or keeps its own; presents what won."""

    def rule(asked: JSONValue) -> JSONValue:
        if not isinstance(asked, dict):
            return text
        answers = {str(name): str(said) for name, said in asked["answers"].items()}  # type: ignore[union-attr]  # an object
        if "chosen" in asked:
            return f"It is {answers[str(asked['chosen'])]}"
        if best is None:
            return {"action": "keep"}
        return {"action": action, "agent": best(answers), "reason": "sure"}

    return rule


def least(answers: Mapping[str, str]) -> str:
    return min(answers, key=lambda name: answers[name])


def most(answers: Mapping[str, str]) -> str:
    return max(answers, key=lambda name: answers[name])


def either(
    name: str, first: JSONValue, then: str, best: Callable[[Mapping[str, str]], str]
) -> Rule:
    """Begins with `name`; in a round says `first`, and once corrected does `then` for the answer `best` chooses."""
    corrected = member(name, then, best)

    def rule(asked: JSONValue) -> JSONValue:
        if not isinstance(asked, dict) or "chosen" in asked or "correction" in asked:
            return corrected(asked)  # type: ignore[return-value]  # it makes no messages
        return first

    return rule


def careful(asked: JSONValue) -> JSONValue:
    """Answers more when it is told to, and wants to be."""
    if not isinstance(asked, dict):
        return "2+2=4" if "show" in str(asked) else "4"
    if "result" in asked:
        told: JSONValue = {"action": "restart", "reason": "bare", "instructions": "show the sum"}
        return {"action": "submit"} if "=" in str(asked["result"]) else told
    answers = asked["answers"]
    assert isinstance(answers, dict)
    return answers[str(asked["chosen"])]


def easy(asked: JSONValue) -> JSONValue:
    """Like `careful`, and content with anything."""
    done = isinstance(asked, dict) and "result" in asked
    return {"action": "submit"} if done else careful(asked)


def shown(texts: Mapping[str, str], suffix: str, task: str = TASK) -> Shown:
    answers = {agent: Answer(Message(text), agent) for agent, text in texts.items()}
    return Shown(answers, "\n".join((task, *texts, suffix)))


def refining(
    texts: Mapping[str, str],
    actions: Mapping[str, str],
    novelty: Level = "lenient",
    corrections: Mapping[str, str] | None = None,
) -> list[Call]:
    """What each agent is asked in the first round, and asked again if its reply did not do."""
    seen = shown(texts, "0")
    found: list[Call] = []
    for agent in texts:
        asked: dict[str, JSONValue] = {
            "task": TASK,
            "round": 1,
            "of": 3,
            "answers": seen.payloads,
            "instructions": instructions(actions, "lenient", novelty),
            "yours": seen.ids[agent],
        }
        found.append((agent, asked))
        if corrections is not None and agent in corrections:
            wrong = f"Your reply does not do: {corrections[agent]}."
            found.append((agent, {**asked, "correction": wrong}))
    return found


def presenting(
    texts: Mapping[str, str], winner: str, voter: str = "", task: str = TASK
) -> tuple[str, dict[str, JSONValue]]:
    seen = shown(texts, "result", task)
    votes: list[JSONValue] = []
    if voter:
        votes = [{"agent": seen.ids[voter], "for": seen.ids[winner], "reason": "sure"}]
    return (
        winner,
        {
            "task": task,
            "answers": seen.payloads,
            "chosen": seen.ids[winner],
            "votes": votes,
            "instructions": TO_PRESENTER,
        },
    )


def judging(texts: Mapping[str, str], winner: str, left: int, task: str = TASK) -> Call:
    """What the winner is asked of the result, which is its answer."""
    _, asked = presenting(texts, winner, task=task)
    return (
        winner,
        {
            **asked,
            "result": texts[winner],
            "restarts_left": left,
            "instructions": TO_EVALUATOR,
        },
    )


SETTLED = {"settle.firm": "4", "settle.open": "5"}
POLLED = {"poll.low": "1", "poll.high": "2"}
CAPPED = {"cap.firm": "4", "cap.eager": "5"}
NOVEL = {"novel.red": "red and green", "novel.blue": "blue"}
COPIED: JSONValue = {"action": "revise", "answer": "red and green too"}
BARE = {"again.one": "4", "again.two": "4"}
SUMS = dict.fromkeys(BARE, "2+2=4")
AGAIN = f"{TASK}\n\nAn earlier result was turned down.\n\nWhy: bare\n\nThis time: show the sum"
VOTE_ONLY = {"vote": ACTIONS["protocol"]["vote"]}
LIKE = (
    f"it is too much like {shown(NOVEL, '0').ids['novel.red']}: 75% of the words are the same, 50% may be; give a "
    "really different answer, or support it, or keep yours"
)

CASES = [
    Case(
        name="settle",
        build=lambda: Consensus("settle", ["settle.firm", "settle.open"]),
        config="{name: settle, pattern: consensus, agents: [settle.firm, settle.open]}",
        agents={"settle.firm": member("4"), "settle.open": member("5", "support", least)},
        given=TASK,
        gives="It is 4",
        calls=[
            ("settle.firm", TASK),
            ("settle.open", TASK),
            *refining(SETTLED, ACTIONS["vote"]),
            presenting(SETTLED, "settle.firm", "settle.open"),
        ],
        metadata={
            "pattern": "consensus",
            "agent_count": 2,
            "rounds": 1,
            "converged": True,
            "winner": "settle.firm",
            "presenter": "settle.firm",
            "votes": {"settle.firm": "settle.firm", "settle.open": "settle.firm"},
        },
        flips={"settle.firm": (member("3"), "It is 3")},
        survives={"settle.firm": "5", "settle.open": "4"},
    ),
    Case(
        name="poll",
        build=lambda: Consensus(
            "poll", ["poll.low", "poll.high"], protocol="vote", presenter="verbatim"
        ),
        config="{name: poll, pattern: consensus, agents: [poll.low, poll.high], "
        "config: {protocol: vote, presenter: verbatim}}",
        agents={"poll.low": member("1", "vote", most), "poll.high": member("2", "vote", most)},
        given=TASK,
        gives="2",
        calls=[("poll.low", TASK), ("poll.high", TASK), *refining(POLLED, ACTIONS["protocol"])],
        metadata={"rounds": 1, "converged": True, "agreement": 1.0, "tie_broken": False},
        flips={"poll.high": (member("2", "vote", least), "1")},
        survives={"poll.low": "2", "poll.high": "1"},
    ),
    Case(
        name="cap",
        build=lambda: Consensus(
            "cap",
            ["cap.firm", "cap.eager"],
            protocol="vote",
            max_new_answers_per_agent=1,
            presenter="verbatim",
        ),
        config="{name: cap, pattern: consensus, agents: [cap.firm, cap.eager], "
        "config: {protocol: vote, max_new_answers_per_agent: 1, presenter: verbatim}}",
        agents={
            "cap.firm": member("4", "vote", least),
            "cap.eager": either("5", {"action": "new_answer", "answer": "6"}, "vote", least),
        },
        given=TASK,
        gives="4",
        calls=[
            ("cap.firm", TASK),
            ("cap.eager", TASK),
            *refining(
                CAPPED,
                VOTE_ONLY,
                corrections={"cap.eager": "you have given as many answers as you may; now vote"},
            ),
        ],
        metadata={"rounds": 1, "converged": True, "agreement": 1.0},
        flips={"cap.firm": (member("7", "vote", most), "7")},
        survives={"cap.firm": "5", "cap.eager": "4"},
    ),
    Case(
        name="novel",
        build=lambda: Consensus(
            "novel", ["novel.red", "novel.blue"], answer_novelty_requirement="strict"
        ),
        config="{name: novel, pattern: consensus, agents: [novel.red, novel.blue], "
        "config: {answer_novelty_requirement: strict}}",
        agents={
            "novel.red": member("red and green"),
            "novel.blue": either("blue", COPIED, "support", most),
        },
        given=TASK,
        gives="It is red and green",
        calls=[
            ("novel.red", TASK),
            ("novel.blue", TASK),
            *refining(NOVEL, ACTIONS["vote"], "strict", {"novel.blue": LIKE}),
            presenting(NOVEL, "novel.red", "novel.blue"),
        ],
        metadata={"rounds": 1, "revisions": {"novel.red": 0, "novel.blue": 0}},
        flips={"novel.red": (member("green and red"), "It is green and red")},
        survives={"novel.red": "blue", "novel.blue": "red and green"},
    ),
    Case(
        name="again",
        build=lambda: Consensus("again", [*BARE], post_evaluation=True, max_restarts=2),
        config="{name: again, pattern: consensus, agents: [again.one, again.two], "
        "config: {post_evaluation: true, max_restarts: 2}}",
        agents={"again.one": careful, "again.two": careful},
        given=TASK,
        gives="2+2=4",
        calls=[
            ("again.one", TASK),
            ("again.two", TASK),
            presenting(BARE, "again.one"),
            judging(BARE, "again.one", 2),
            ("again.one", AGAIN),
            ("again.two", AGAIN),
            presenting(SUMS, "again.one", task=AGAIN),
            judging(SUMS, "again.one", 1, AGAIN),
        ],
        metadata={
            "restarts": 1,
            "rounds": 0,
            "evaluation": {"by": "again.one", "action": "submit"},
        },
        flips={"again.one": (easy, "4")},
        survives={"again.one": "4", "again.two": "4"},
    ),
    Case(
        name="meaning",
        build=lambda: Consensus(
            "meaning",
            ["meaning.one", "meaning.two", "meaning.no"],
            convergence="similarity",
            embedding_model="hashing",
            similarity=0.3,
            presenter="verbatim",
        ),
        config="{name: meaning, pattern: consensus, agents: [meaning.one, meaning.two, meaning.no], config: "
        "{convergence: similarity, embedding_model: hashing, similarity: 0.3, presenter: verbatim}}",
        agents={
            "meaning.one": member("estimates"),
            "meaning.two": member("estimate"),
            "meaning.no": member("nothing"),
        },
        given=TASK,
        gives="estimates",
        calls=[
            ("meaning.one", TASK),
            ("meaning.two", TASK),
            ("meaning.no", TASK),
            ("meaning.embedder", {"texts": ["estimates", "estimate", "nothing"]}),
        ],
        metadata={"agent_count": 3, "rounds": 0, "converged": True, "winner": "meaning.one"},
        flips={"meaning.one": (member("Nothing"), "Nothing")},
        survives={"meaning.no": "estimates"},
    ),
]
