"""RAG."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aixgo import AgentRefused, LocalRuntime, Message
from aixgo.errors import AixgoError, ConfigError
from aixgo.orchestration import RAG, Limits
from aixgo.orchestration._graph import END, START
from aixgo.testing import RecordingAgent

A, B, C = ({"id": i, "content": f"text {i}", "source": f"{i}.md", "score": s} for i, s in
           (("a", 0.9), ("b", 0.5), ("c", 0.1)))  # fmt: skip


def bare(*documents: dict[str, Any]) -> list[dict[str, Any]]:
    return [{k: v for k, v in d.items() if k != "score"} for d in documents]


def finder(name: str, *answers: Any) -> RecordingAgent:
    return RecordingAgent(name, list(answers))


async def answer(flow: RAG, asked: Any = "why?", session: str | None = None) -> Message:
    async with LocalRuntime(flow) as rt, asyncio.timeout(5):
        return await rt.call("r", asked, session=session)


def seen(generator: RecordingAgent) -> Any:
    return generator.messages[-1].payload


@pytest.mark.parametrize("wrapped", [False, True])
async def test_the_generator_gets_the_question_and_the_best_documents(wrapped: bool) -> None:
    found = {"documents": [A, B, C]} if wrapped else [A, B, C]
    search, writer = finder("s", found), finder("g", "because")
    reply = await answer(RAG("r", search, writer, top_k=2))
    assert seen(writer) == {"question": "why?", "documents": bare(A, B)}
    assert writer.messages[0].type == "rag_augmented"
    assert search.messages[0].metadata["top_k"] == 2
    assert (reply.text, reply.metadata["sources"]) == ("because", ["a.md", "b.md"])


async def test_text_with_rules_is_several_documents() -> None:
    writer = finder("g", "x")
    await answer(RAG("r", finder("s", "one\n---\ntwo\n\n--- \n"), writer))
    assert [d["content"] for d in seen(writer)["documents"]] == ["one", "two"]


async def test_the_documents_of_every_query_reach_the_generator() -> None:
    search, writer = finder("s", [A], [B]), finder("g", "x")
    reply = await answer(
        RAG("r", search, writer, expander=finder("e", "how?\n\nwhy?\nwhen?"), max_queries=2)
    )
    assert [m.text for m in search.messages] == ["why?", "how?"]
    assert seen(writer)["documents"] == bare(A, B)
    assert reply.metadata["queries"] == ["why?", "how?"]


async def test_several_retrievers_are_fused_and_ties_go_by_their_order() -> None:
    writer = finder("g", "x")
    await answer(RAG("r", [finder("s", [A, C]), finder("t", [B, C])], writer, top_k=3))
    assert [d["id"] for d in seen(writer)["documents"]] == ["c", "a", "b"]


async def test_a_reranker_orders_what_all_queries_and_retrievers_found() -> None:
    writer, ranker = finder("g", "x"), finder("k", ["c", "a"])
    search = [finder("s", [A], [C]), finder("t", [B], [C])]
    flow = RAG("r", search, writer, expander=finder("e", ["how?"]), reranker=ranker)
    await answer(flow)
    assert [d["id"] for d in seen(ranker)["documents"]] == ["c", "a", "b"]
    assert [d["id"] for d in seen(writer)["documents"]] == ["c", "a"]


@pytest.mark.parametrize(
    ("given", "order"),
    [([0.1, 0.9, 0.9], "bca"), ({"documents": [{"id": "b"}]}, "b"), ([], "")],
)
async def test_a_reranker_gives_scores_or_documents(given: Any, order: str) -> None:
    writer = finder("g", "x")
    await answer(RAG("r", finder("s", [A, B, C]), writer, reranker=finder("k", given)))
    assert "".join(d["id"] for d in seen(writer)["documents"]) == order


async def test_without_a_reranker_the_words_of_the_question_order() -> None:
    search, writer = finder("s", ["the sun", "red roses", "roses"]), finder("g", "x")
    await answer(RAG("r", search, writer, rerank=True, top_k=2), "are roses red")
    assert [d["content"] for d in seen(writer)["documents"]] == ["red roses", "roses"]
    assert search.messages[0].metadata["top_k"] == 6


async def test_what_scores_too_low_is_left_out() -> None:
    writer = finder("g", "x")
    await answer(RAG("r", finder("s", [A, B, C]), writer, min_score=0.5))
    assert seen(writer)["documents"] == bare(A, B)


async def test_a_search_that_fails_is_done_without_and_told_of() -> None:
    writer = finder("g", "x")
    reply = await answer(RAG("r", [finder("s", AgentRefused("shut")), finder("t", [B])], writer))
    assert seen(writer)["documents"] == bare(B)
    assert reply.metadata["errors"] == {"s": {"class": "AgentRefused", "text": "shut"}}


async def test_when_all_searches_fail_so_does_the_run() -> None:
    shut = AgentRefused("shut")
    flow = RAG("r", finder("s", shut, shut), finder("g", "x"), expander=finder("e", ["how?"]))
    with pytest.raises(AgentRefused, match="shut"):
        await answer(flow)


async def test_fail_fast_does_without_nothing() -> None:
    search = [finder("s", AgentRefused("shut")), finder("t", [B])]
    with pytest.raises(AgentRefused, match="shut"):
        await answer(RAG("r", search, finder("g", "x"), error_strategy="fail_fast"))


async def test_finding_nothing_is_told_to_the_generator_or_refused() -> None:
    writer = finder("g", "I do not know")
    reply = await answer(RAG("r", finder("s", []), writer))
    assert seen(writer) == {"question": "why?", "documents": []}
    assert reply.metadata["document_count"] == 0
    with pytest.raises(AgentRefused, match=r"found no documents about 'why\?'"):
        await answer(RAG("r", finder("s", []), finder("g", "x"), on_empty="refuse"))


async def test_a_session_goes_on_and_nobody_elses_is_heard() -> None:
    search = finder("s", [A], [A], [A], [A])
    writer = finder("g", "one", "two", "three", "four")
    flow = RAG("r", search, writer, conversational=True, history_turns=1)
    async with LocalRuntime(flow) as rt:
        for question, session in (("a?", "x"), ("b?", "x"), ("c?", "y"), ("d?", "x")):
            await rt.call("r", question, session=session)
    told = [m.payload.get("history") for m in writer.messages]  # type: ignore[union-attr]
    assert told == [
        None,
        [{"question": "a?", "answer": "one"}],
        None,
        [{"question": "b?", "answer": "two"}],
    ]
    assert [m.text for m in search.messages] == ["a?", "a?\nb?", "c?", "b?\nd?"]


async def test_a_call_without_a_session_has_no_history() -> None:
    writer = finder("g", "one", "two")
    async with LocalRuntime(RAG("r", finder("s", [A], [A]), writer, conversational=True)) as rt:
        await rt.call("r", "a?")
        await rt.call("r", "b?")
    assert "history" not in seen(writer)


@pytest.mark.parametrize(
    ("slots", "text"),
    [
        ({"retrievers": finder("s", 7)}, "the retriever 's' of 'r' gave no documents"),
        ({"retrievers": finder("s", [{"id": "a"}])}, "document without `content`"),
        ({"reranker": finder("k", "nonsense")}, "the reranker 'k' of 'r' gave no order"),
        ({"reranker": finder("k", ["nobody"])}, "the reranker 'k' of 'r' gave no order"),
        ({"reranker": finder("k", [1, 2, 3])}, "the reranker 'k' of 'r' gave no order"),
        ({"expander": finder("e", {"a": 1})}, "the expander 'e' of 'r' gave no queries"),
    ],
)
async def test_an_agent_that_answers_nonsense_is_named(slots: Any, text: str) -> None:
    given = {"retrievers": finder("s", [A]), "generator": finder("g", "x"), **slots}
    with pytest.raises(AgentRefused, match=text):
        await answer(RAG("r", **given))


@pytest.mark.parametrize("asked", ["  ", {"nothing": 1}, {"question": 3}])
async def test_no_question_is_refused(asked: Any) -> None:
    with pytest.raises(AgentRefused, match="takes a question"):
        await answer(RAG("r", finder("s", [A]), finder("g", "x")), asked)


async def test_a_limit_on_time_holds_for_a_retriever_that_never_ends() -> None:
    search = finder("s", [A])

    async def never(_: Message) -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    search.execute = never  # type: ignore[method-assign]
    with pytest.raises(AixgoError, match=r"deadline|time"):
        await answer(RAG("r", search, finder("g", "x"), limits=Limits(timeout=0.05)))


@pytest.mark.parametrize(
    ("agents", "config", "text"),
    [
        ([], {}, "needs a retriever and a generator"),
        (["s"], {}, "needs a retriever and a generator"),
        (["s", "g", "z"], {}, "'z' has no place"),
        (["g"], {"retriever": "s", "retrievers": ["t"]}, "retriever or retrievers"),
        (["g"], {"retrievers": []}, "needs a retriever"),
        (["g"], {"retrievers": ["s", "s"]}, "the retriever 's' is given twice"),
        (["s", "g"], {"top_k": 0}, "top_k is 0"),
        (["s", "g"], {"max_queries": 99}, "max_queries is 99"),
        (["s", "g"], {"on_empty": "refuze"}, "did you mean 'refuse'"),
        (["s", "g"], {"top": 1}, "there is no key 'top'"),
    ],
)
def test_a_team_that_cannot_be_is_refused(agents: Any, config: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        RAG.from_config("r", agents, config, Limits())


def test_its_picture_goes_from_the_queries_to_who_answers() -> None:
    flow = RAG("r", ["s", "t"], "g", expander="e", reranker="k", top_k=3)
    assert [(edge.source, edge.target, edge.label) for edge in flow.edges()] == [
        (START, "e", ""),
        ("e", "s", "queries"),
        ("s", "k", "documents"),
        ("e", "t", "queries"),
        ("t", "k", "documents"),
        ("k", "g", "the best 3"),
        ("g", END, ""),
    ]


@pytest.mark.parametrize(
    ("kept", "ids"),
    [
        (["c", "a"], ["a", "c"]),
        ([{"id": "b"}], ["b"]),
        ({"documents": ["b", "b"]}, ["b"]),
        ([False, True, True], ["b", "c"]),
        ('```json\n["c"]\n```', ["c"]),
        ([], []),
    ],
)
async def test_what_is_not_relevant_never_reaches_the_generator(kept: Any, ids: list[str]) -> None:
    writer, judge = finder("g", "x"), finder("f", kept)
    search = finder("s", [A, B, C])
    reply = await answer(RAG("r", search, writer, relevance_filter=judge, top_k=2))
    assert [d["id"] for d in seen(writer)["documents"]] == ids
    assert (reply.metadata["filtered_count"], reply.metadata["document_count"]) == (
        3 - len(ids),
        len(ids),
    )
    assert judge.messages[0].payload == {"question": "why?", "documents": bare(A, B, C)}
    assert search.messages[0].metadata["top_k"] == 6  # so that something is left


async def test_the_reranker_orders_what_the_filter_kept() -> None:
    writer, picker = finder("g", "x"), finder("k", "[1, 2]")
    flow = RAG(
        "r",
        finder("s", [A, B, C]),
        writer,
        relevance_filter=finder("f", ["a", "c"]),
        reranker=picker,
    )
    reply = await answer(flow)
    assert [d["id"] for d in seen(picker)["documents"]] == ["a", "c"]
    assert [d["id"] for d in seen(writer)["documents"]] == ["c", "a"]
    assert reply.metadata["filtered_count"] == 1


async def test_when_all_is_filtered_away_the_run_is_as_if_nothing_was_found() -> None:
    parts: dict[str, Any] = {"relevance_filter": finder("f", [])}
    with pytest.raises(AgentRefused, match="found no documents about 'why"):
        await answer(RAG("r", finder("s", [A]), finder("g", "x"), on_empty="refuse", **parts))
    writer = finder("g", "x")
    reply = await answer(RAG("r", finder("s", [A]), writer, relevance_filter=finder("f", [])))
    assert seen(writer)["documents"] == reply.metadata["sources"] == []


async def test_nobody_is_asked_what_of_nothing_is_relevant() -> None:
    judge = finder("f", ["never asked"])
    reply = await answer(RAG("r", finder("s", []), finder("g", "x"), relevance_filter=judge))
    assert (judge.messages, reply.metadata["filtered_count"]) == ([], 0)


@pytest.mark.parametrize("kept", ["all of them", [True], ["z"], {"id": "a"}, [1, 2, 3], None])
async def test_a_filter_that_does_not_say_what_is_relevant_is_named(kept: Any) -> None:
    flow = RAG("r", finder("s", [A, B, C]), finder("g", "x"), relevance_filter=finder("f", kept))
    with pytest.raises(AgentRefused, match="relevance filter 'f' of 'r' did not say what is relev"):
        await answer(flow)


def test_its_picture_shows_the_filter_between_search_and_choice() -> None:
    flow = RAG("r", ["s", "t"], "g", relevance_filter="f", reranker="k")
    pairs = [(edge.source, edge.target) for edge in flow.edges()]
    assert [pair for pair in pairs if START not in pair and END not in pair] == [
        ("s", "f"),
        ("t", "f"),
        ("f", "k"),
        ("k", "g"),
    ]
