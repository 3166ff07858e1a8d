"""What the demo's agents say about texts whose answers are known; how they work together is tested in e2e."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aixgo import AgentRefused
from aixgo.config import Overrides, load_config, open_runtime
from aixgo.runtime.base import Runtime

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo"

GUIDE = """# Bread

Call `bake()` to run the oven. See the [example](bake.md):

```python
bake("a loaf. Two loaves.")
```

| oven | heat |
|---|---|
| old | low |

## Errors

The function `bake()` returns an error code.
"""
STORY = "“Late,” said Anna. In Bremen the train to Bremen waited, and Peter thought of Anna and his life."
LAW = "The Licensee shall pay. The Licensee may rest. Nobody shall copy; the terms of this license grant no rights."
RECORD = (
    "Changelog\n\n- 2024-03-01 released and fixed\n- 2023-12-24 added and changed the version\n"
)


@pytest.fixture
async def room() -> AsyncIterator[Runtime]:
    config = load_config(DEMO / "config.yaml")
    async with open_runtime(config, overrides=Overrides(model="offline")) as runtime:
        yield runtime


async def ask(room: Runtime, agent: str, text: str) -> Any:
    return (await room.call(agent, text)).payload


async def test_statistics_follow_the_published_formulas(room: Runtime) -> None:
    facts = await ask(room, "statistics", "The cat sat on the mat. A tiger ate my table.")
    assert (facts["words"], facts["sentences"], facts["longest_sentence"]) == (11, 2, 6)
    assert facts["syllables_per_word"] == round(13 / 11, 2)  # ti-ger and ta-ble have two
    assert facts["reading_ease"] == round(206.835 - 1.015 * 5.5 - 84.6 * 13 / 11, 1)
    assert facts["school_grade"] == round(0.39 * 5.5 + 11.8 * 13 / 11 - 15.59, 1)


async def test_code_tables_and_headings_are_no_sentences(room: Runtime) -> None:
    facts = await ask(room, "statistics", GUIDE)
    assert facts["sentences"] == 3
    assert facts["words"] == 16


async def test_a_text_of_code_alone_is_refused(room: Runtime) -> None:
    with pytest.raises(AgentRefused, match="no sentences"):
        await room.call("statistics", "```\nprint()\n```")


async def test_keywords_count_singular_and_plural_as_one(room: Runtime) -> None:
    found = await ask(room, "keywords", "Trees and a tree. The bus, the trees, of the grass.")
    assert found[0] == {"word": "tree", "count": 3}
    assert {item["word"] for item in found} == {"tree", "bus", "grass"}


@pytest.mark.parametrize(
    ("text", "source", "title", "titles"),
    [
        (GUIDE, "headings", "Bread", ["Bread", "Errors"]),
        (
            "TERMS\n\n1. Rights. You may.\n\n2. Duties. You must.",
            "numbered sections",
            "TERMS",
            ["Rights", "Duties"],
        ),
        (
            "It rained. Then not.\n\nIt snowed.",
            "first sentences",
            "It rained. Then not.",
            ["It rained.", "It snowed."],
        ),
    ],
)
async def test_the_outline_is_what_the_text_offers(
    room: Runtime, text: str, source: str, title: str, titles: list[str]
) -> None:
    found = await ask(room, "outline", text)
    assert (found["source"], found["title"]) == (source, title)
    assert [entry[1] for entry in found["entries"]] == titles


@pytest.mark.parametrize(
    ("text", "agent", "points"),
    [
        (GUIDE, "commands", ["python blocks (1)", "`bake()` (2)"]),
        (LAW, "duties", ["The Licensee shall pay."]),
        (RECORD, "timeline", ["2023-12-24: added and changed the version"]),
        (STORY, "voices", ["Bremen (2)", "“Late,”"]),
    ],
)
async def test_each_kind_of_document_is_inspected_by_its_own_agent(
    room: Runtime, text: str, agent: str, points: list[str]
) -> None:
    reply = await room.call("inspection", text)
    assert reply.metadata["routed_to"] == agent
    assert set(points) <= set((await ask(room, agent, text))["points"])


async def test_line_ends_front_matter_and_comments_are_cleaned_away(room: Runtime) -> None:
    reply = await room.call(
        "clean", "\ufeff---\ntitle: x\n---\r\nOne  \r\n<!-- two -->\r\n\n\n\nThree"
    )
    assert reply.text == "One\n\nThree"
