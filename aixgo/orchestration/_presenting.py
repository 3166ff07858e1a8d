"""What becomes of the answer that holds: an agent presents it, and may then turn the result down.

Whoever evaluates a result replies with JSON, or with text that begins with the action:

    {"action": "submit"}                                                SUBMIT
    {"action": "restart", "reason": "…", "instructions": "…"}           RESTART: the instructions

Below: `_refining`, `_settling`. Above: consensus.
"""

from __future__ import annotations

from typing import NamedTuple

from aixgo.context import CallContext
from aixgo.errors import AixgoError
from aixgo.message import JSONValue, Message
from aixgo.orchestration._deliberation import MAX_TEXT, fields_of, reason_in
from aixgo.orchestration._payloads import json_payload
from aixgo.orchestration._refining import Shown, spoken
from aixgo.orchestration._settling import CORRECTIONS, Deliberation

__all__ = ["TO_EVALUATOR", "TO_PRESENTER", "Closing", "Verdict", "read_verdict", "told_again"]

TO_PRESENTER = (
    "These answers were compared, and the chosen one holds. Give the final answer to the task, as the one who asked is "
    "to read it. Use what is right in the others; do not ask back."
)
TO_EVALUATOR = (
    "This result was made of these answers, and the chosen one held. Does it do the whole task, as the one who asked "
    'would judge it? Reply with JSON, one of: {"action": "submit"} if it does; '
    '{"action": "restart", "reason": "…", "instructions": "…"} if all should begin again, with what is wrong and what '
    "to do otherwise."
)


class Verdict(NamedTuple):
    """What the evaluation of a result came to."""

    restart: bool = False
    reason: str = ""
    instructions: str = ""
    wrong: str = ""
    """What is wrong with a reply that says neither."""

    def told(self) -> dict[str, JSONValue]:
        """It, for a result's metadata."""
        found: dict[str, JSONValue] = {"action": "restart" if self.restart else "submit"}
        if self.restart:
            found |= {"reason": self.reason, "instructions": self.instructions}
        if self.wrong:
            found["unread"] = True
        return found


class Closing:
    """What is done with the answer of a deliberation that has ended."""

    def __init__(self, talk: Deliberation) -> None:
        self._talk = talk

    @property
    def open(self) -> bool:
        """Whether anybody is asked more: not when time or budget ended it, nor when there is one answer only."""
        return not self._talk.stopped and len(self._talk.answers) > 1

    @property
    def author(self) -> str:
        """The agent whose answer holds, if it can be asked more."""
        author = self._talk.leader.answer.author
        return author if author in self._talk.panel.agents and not self._talk.stopped else ""

    async def present(self, target: str) -> tuple[Message, str]:
        """The result, and who presented it: nobody when it is the answer as it was given."""
        talk = self._talk
        answer = talk.leader.answer.message
        if not target or not self.open:
            return answer, ""
        given = Message({**self._shown(), "instructions": TO_PRESENTER}, type="consensus_result")
        try:
            return await self._ask(target, given, f"present/{target}"), target
        except AixgoError as exc:
            talk.panel.forgive(target, exc)
            return answer, ""

    async def evaluate(self, target: str, result: Message, left: int) -> Verdict | None:
        """What `target` makes of the result; None when that fails. A reply that cannot be read submits it."""
        asked: dict[str, JSONValue] = {
            **self._shown(),
            "result": json_payload(result),
            "restarts_left": left,
            "instructions": TO_EVALUATOR,
        }
        try:
            verdict = await self._verdict(target, asked, "")
            for attempt in range(2, CORRECTIONS + 2):
                if not verdict.wrong:
                    break
                asked["correction"] = f"Your reply does not do: {verdict.wrong}."
                verdict = await self._verdict(target, asked, f"~{attempt}")
        except AixgoError as exc:
            self._talk.panel.forgive(target, exc)
            return None
        return verdict

    async def _verdict(self, target: str, asked: dict[str, JSONValue], suffix: str) -> Verdict:
        given = Message(asked, type="consensus_evaluation")
        return read_verdict(await self._ask(target, given, f"evaluate/{target}{suffix}"))

    async def _ask(self, target: str, message: Message, step: str) -> Message:
        talk = self._talk
        key = CallContext.current().child_key(f"{talk.step}{step}")
        return await talk.panel.beside(target, message, key, extra=True)

    def _shown(self) -> dict[str, JSONValue]:
        """All answers, the one that holds, and all votes with their reasons."""
        talk = self._talk
        leader = talk.leader.answer
        final = Shown({**talk.own, leader.author: leader}, f"{talk.seed}\nresult")
        votes: list[JSONValue] = [
            {"agent": final.ids[agent], "for": final.ids[found.author], "reason": found.reason}
            for agent, found in talk.answers.items()
            if found.author != agent
        ]
        return {
            "task": talk.task,
            "answers": final.payloads,
            "chosen": final.ids[leader.author],
            "votes": votes,
        }


def read_verdict(reply: Message) -> Verdict:
    """What a reply makes of a result."""
    fields = fields_of(reply)
    action = str(fields.get("action", "")).casefold()
    if not fields:
        action, rest = spoken(reply.text)
        if action == "submit" and rest.strip(".!"):
            action = ""  # the beginning of a sentence
        fields = {"instructions": rest}
    if action == "submit":
        return Verdict()
    if action != "restart":
        return Verdict(wrong="it is none of the replies asked for")
    reason, told = reason_in(fields), str(fields.get("instructions") or "")[:MAX_TEXT]
    if not (reason.strip() or told.strip()):
        return Verdict(wrong="it says neither what is wrong nor what to do otherwise")
    return Verdict(True, reason, told)


def told_again(message: Message, verdict: Verdict, number: int) -> Message:
    """The task for deliberating again: text goes on with what was said, an object has it under `restart`."""
    payload = json_payload(message)
    if isinstance(payload, str):
        parts = [payload, "An earlier result was turned down."]
        parts += [f"Why: {verdict.reason}"] if verdict.reason else []
        parts += [f"This time: {verdict.instructions}"] if verdict.instructions else []
        return Message("\n\n".join(parts), type=message.type, metadata=message.metadata)
    told: JSONValue = {
        "number": number,
        "reason": verdict.reason,
        "instructions": verdict.instructions,
    }
    task = payload if isinstance(payload, dict) else {"task": payload}
    return Message({**task, "restart": told}, type=message.type, metadata=message.metadata)
