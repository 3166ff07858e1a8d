"""ClassifierAgent: puts a text into one of its categories and says how sure it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self, cast

from aixgo.agents._nearness import Near, Nearest
from aixgo.agents._output import Checked
from aixgo.agents._turn import Turn
from aixgo.agents.base import MODEL_KEYS, ModelUse, check_all, model_options, own_keys
from aixgo.contract import Caller
from aixgo.errors import AgentRefused, ConfigError
from aixgo.keys import Key, check_given
from aixgo.message import JSONValue, Message
from aixgo.names import check_name
from aixgo.providers import Embedder, ModelMiddleware, Provider
from aixgo.retrieval import embedder_of

__all__ = ["AGENT", "Category", "ClassifierAgent", "FewShot"]

CLASSIFIER_KEYS: Mapping[str, Key] = {
    "categories": Key(
        "list",
        "what a text may be",
        fields={
            "name": Key("text", "the category", required=True),
            "description": Key("text", "what belongs there"),
            "keywords": Key("texts", "words that point there"),
            "examples": Key("texts", "texts that belong there"),
        },
    ),
    "few_shot_examples": Key(
        "list",
        "texts with their right category",
        fields={
            "input": Key("text", "the text", required=True),
            "category": Key("text", "its category", required=True),
            "reason": Key("text", "why"),
        },
    ),
    "confidence_threshold": Key(
        "number", "from where on an answer counts as sure", minimum=0, maximum=1
    ),
    "multi_label": Key("boolean", "a text may have several categories"),
    "temperature": Key("number", "how freely the model answers", minimum=0, maximum=2),
    "max_tokens": Key("integer", "tokens one answer may have", minimum=1),
    "use_embeddings": Key(
        "boolean", "take the category nearest by embeddings, and ask no model", default=False
    ),
}

INSTRUCTIONS = (
    "You classify texts carefully. Choose by what the text means, state your confidence from 0 to 1, give the "
    "reason in one sentence, and list the other categories that come into question."
)

MOST_ALTERNATIVES = 3


@dataclass(slots=True, frozen=True)
class Category:
    """What a text may be, and what tells."""

    name: str
    description: str = ""
    keywords: Sequence[str] = ()
    examples: Sequence[str] = ()


@dataclass(slots=True, frozen=True)
class FewShot:
    """A text with its right category."""

    input: str
    category: str
    reason: str = ""


class ClassifierAgent:
    """Classifies the text of each message.

    The reply, of type `classification`, is {category, confidence, reasoning, alternatives}, with `categories`
    too when `multi_label`. Metadata repeats `category` and `confidence` and says `confident`, which is whether
    `confidence_threshold` was reached.

    With `use_embeddings` no chat model is asked: the category is the one whose description, keywords or examples are
    nearest to the text, by `embedding_model`. Its confidence is e^(10·s) / (1 + the sum of e^(10·s) over all
    categories), s being the cosine, at least 0. With `multi_label`, every category that is at least
    `confidence_threshold` times as near as the nearest is one of the `categories`.
    """

    role = "classifier"
    takes_policies: ClassVar[bool] = True
    config_keys: ClassVar[Mapping[str, Key]] = {
        **MODEL_KEYS,
        **CLASSIFIER_KEYS,
        "embedding_model": Key(
            "text",
            "`hashing`, or vendor:model, for `use_embeddings`. By default as `embeddings` says",
        ),
        "classifier_config": Key("mapping", "the classifier's settings", fields=CLASSIFIER_KEYS),
    }

    def __init__(
        self,
        name: str,
        categories: Sequence[Category | str],
        *,
        few_shot_examples: Sequence[FewShot] = (),
        confidence_threshold: float = 0.7,
        multi_label: bool = False,
        use_embeddings: bool = False,
        embedding_model: str = "",
        embedder: Embedder | None = None,
        model: str = "",
        prompt: str = "",
        temperature: float | None = 0.3,
        max_tokens: int | None = 500,
        description: str = "",
        provider: Provider | None = None,
        middleware: Sequence[ModelMiddleware] = (),
        api_key: str = "",
    ) -> None:
        self.name = check_name(name)
        self.description = description
        where = f"classifier {name!r}"
        if isinstance(categories, str) or not isinstance(categories, Iterable):
            raise ConfigError(f"{where}: give a list of categories, not one")
        check_given(
            CLASSIFIER_KEYS,
            where,
            confidence_threshold=confidence_threshold,
            multi_label=multi_label,
            use_embeddings=use_embeddings,
        )
        self.categories = tuple(
            Category(item) if isinstance(item, str) else item for item in categories
        )
        check_all(where, "categories", self.categories, Category)
        check_all(where, "few_shot_examples", few_shot_examples, FewShot)
        self.confidence_threshold = confidence_threshold
        self.multi_label = multi_label
        self._names = {category.name.casefold(): category.name for category in self.categories}
        if not self.categories:
            raise ConfigError(f"classifier {name!r} needs at least one category")
        if len(self._names) < len(self.categories):
            raise ConfigError(f"classifier {name!r} has two categories of the same name")
        for shot in few_shot_examples:
            if shot.category.casefold() not in self._names:
                raise ConfigError(
                    f"classifier {name!r}: an example is of {shot.category!r}, which is no category"
                )
        self._shots = tuple(few_shot_examples)
        self._nearest: Nearest | None = None
        self.embedding_model = ""
        if use_embeddings:
            if embedder is not None and embedding_model:
                raise ConfigError(f"{where}: give embedder or embedding_model, not both")
            embedder = embedder or embedder_of(embedding_model, api_key=api_key)
            self._nearest = Nearest(embedder, {c.name: self._texts(c) for c in self.categories})
            self.embedding_model = embedder.name
        self._instructions = "\n\n".join(filter(None, (INSTRUCTIONS, prompt, self._catalogue())))
        self._wanted = Checked(self._make_schema(), self._check)
        self._use = ModelUse(
            model, temperature, max_tokens, provider, api_key, middleware=middleware, owner=name
        )

    @classmethod
    def from_config(cls, name: str, entry: Mapping[str, object]) -> Self:
        """The agent of a YAML entry; what `classifier_config` says comes before the entry's own keys.

        `embedder` is what the configuration made of the file's keys.
        """
        settings = own_keys(cls.config_keys, entry, f"agent {name!r}")
        if entry.get("embedder") is not None:
            settings.pop("embedding_model", None)
            settings["embedder"] = entry["embedder"]
        settings |= cast("dict[str, object]", settings.pop("classifier_config", {}))
        listed = cast("list[dict[str, str]]", settings.pop("categories", []))
        shots = cast("list[dict[str, str]]", settings.pop("few_shot_examples", []))
        return cls(
            name,
            [Category(**item) for item in listed],
            few_shot_examples=[FewShot(**item) for item in shots],
            **model_options(entry),
            **cast("dict[str, str]", settings),  # type: ignore[arg-type]  # checked by their keys
        )

    @classmethod
    def embeds(cls, entry: Mapping[str, object]) -> bool:
        """Whether the agent of a YAML entry compares texts."""
        own = entry.get("classifier_config")
        given = {**entry, **own} if isinstance(own, Mapping) else entry
        return given.get("use_embeddings") is True

    @property
    def model(self) -> str:
        """The model that classifies; empty where embeddings do."""
        return self._use.name if self._nearest is None else ""

    async def start(self, caller: Caller) -> None:  # noqa: ARG002 - the contract's signature
        """Find the model's provider, so that a wrong model fails the start and not the first call."""
        if self._nearest is None:
            self._use.open()

    async def execute(self, message: Message) -> Message:
        """Classify the text of `message`.

        Raises:
            AgentRefused: there is no text.
            OutputInvalid: the model kept answering with something that is no category.
        """
        text = message.text.strip()
        if not text:
            raise AgentRefused(f"{self.name!r} got no text to classify")
        if self._nearest is None:
            result, facts = await self._ask(text)
        else:
            result, facts = self._of(await self._nearest.rank(text))
        confidence = cast("float", result["confidence"])
        facts |= {
            "category": result["category"],
            "confidence": confidence,
            "confident": confidence >= self.confidence_threshold,
        }
        return message.reply(result, type="classification", metadata=facts)

    async def _ask(self, text: str) -> tuple[dict[str, JSONValue], dict[str, JSONValue]]:
        """What a model says, and what metadata tells of that."""
        request = self._use.request(text, self._instructions, self._wanted.asked)
        answer = await Turn(self._use.open(), request, output=self._wanted).answer()
        strategy = "few-shot" if self._shots else "zero-shot"
        result = cast("dict[str, JSONValue]", answer.value)
        return result, {**answer.facts(), "prompt_strategy": strategy}

    def _of(self, found: Sequence[Near]) -> tuple[dict[str, JSONValue], dict[str, JSONValue]]:
        """The answer of embeddings, nearest category first, and what metadata tells of it."""
        best, *others = found
        result: dict[str, JSONValue] = {
            "category": best.category,
            "confidence": best.confidence if best.similarity else 0.0,
            "reasoning": f"nearest is {best.by!r}, {best.similarity:.2f}"
            if best.similarity
            else "no category is near",
            "alternatives": [
                {"category": near.category, "confidence": near.confidence}
                for near in others[:MOST_ALTERNATIVES]
                if near.similarity
            ],
        }
        if self.multi_label:
            least = self.confidence_threshold * best.similarity
            result["categories"] = [
                best.category,
                *(near.category for near in others if near.similarity >= least > 0),
            ]
        return result, {"embedding_model": self.embedding_model}

    def _check(self, value: JSONValue) -> JSONValue:
        """The answer with its categories spelled as ours, or ValueError."""
        if not isinstance(value, dict):
            raise ValueError("it must be a JSON object")  # noqa: TRY004 - the model's fault
        category = self._known(value.get("category"))
        confidence = value.get("confidence")
        if (
            isinstance(confidence, bool)
            or not isinstance(confidence, (int, float))
            or not 0 <= confidence <= 1
        ):
            raise ValueError("confidence must be a number from 0 to 1")
        listed = value.get("alternatives")
        found: dict[str, JSONValue] = {
            "category": category,
            "confidence": float(confidence),
            "reasoning": str(value.get("reasoning", "")),
            "alternatives": [item for item in listed if self._is_alternative(item, category)]
            if isinstance(listed, list)
            else [],
        }
        if self.multi_label:
            several = value.get("categories")
            labels = [self._known(item) for item in several] if isinstance(several, list) else []
            found["categories"] = [*dict.fromkeys([category, *labels])]
        return found

    def _known(self, name: JSONValue) -> str:
        known = self._names.get(name.strip().casefold()) if isinstance(name, str) else None
        if known is None:
            raise ValueError(f"the category must be one of: {', '.join(self._names.values())}")
        return known

    def _is_alternative(self, item: JSONValue, category: str) -> bool:
        name = item.get("category") if isinstance(item, dict) else None
        return isinstance(name, str) and name != category and name in self._names.values()

    def _catalogue(self) -> str:
        """The categories and examples in words, for models."""
        lines = ["Categories:"]
        for category in self.categories:
            lines.append(f"- {category.name}: {category.description}".rstrip(": "))
            if category.keywords:
                lines.append(f"  keywords: {', '.join(category.keywords)}")
            lines += [f"  example: {example}" for example in category.examples]
        for shot in self._shots:
            lines += ["", f"Text: {shot.input}", f"Category: {shot.category}"]
            if shot.reason:
                lines.append(f"Reason: {shot.reason}")
        return "\n".join(lines)

    def _make_schema(self) -> dict[str, JSONValue]:
        """The answer's shape, with what tells the categories apart beside their names."""
        label: dict[str, JSONValue] = {
            "type": "string",
            "enum": [category.name for category in self.categories],
            "x-options": {category.name: self._telling(category) for category in self.categories},
        }
        share: dict[str, JSONValue] = {"type": "number", "minimum": 0, "maximum": 1}
        alternative: dict[str, JSONValue] = {
            "type": "object",
            "properties": {"category": label, "confidence": share},
            "required": ["category", "confidence"],
            "additionalProperties": False,
        }
        properties: dict[str, JSONValue] = {
            "category": label,
            "confidence": share,
            "reasoning": {"type": "string", "description": "why, in one sentence"},
            "alternatives": {"type": "array", "items": alternative, "maxItems": MOST_ALTERNATIVES},
        }
        if self.multi_label:
            properties["categories"] = {"type": "array", "items": label, "minItems": 1}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    def _telling(self, category: Category) -> JSONValue:
        return {
            "description": category.description,
            "keywords": list(category.keywords),
            "examples": cast("JSONValue", self._examples(category)),
        }

    def _examples(self, category: Category) -> list[str]:
        shown = [s.input for s in self._shots if s.category.casefold() == category.name.casefold()]
        return [*category.examples, *shown]

    def _texts(self, category: Category) -> list[str]:
        """What a text is compared with."""
        title = category.name.replace("_", " ")
        told = f"{title}: {category.description}" if category.description else title
        return [text for text in (told, *category.keywords, *self._examples(category)) if text]


AGENT = ClassifierAgent
