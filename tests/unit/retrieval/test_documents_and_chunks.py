"""Documents from files, and their chunks."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixgo.errors import ConfigError
from aixgo.retrieval import Document, chunked, read_documents

TEXT = (
    "# Garden\n\nIntro.\n\n## Water\n\nEvery day.\n\n```\n# no heading\n```\n\n## Soil\n\nDark.\n"
)


def test_a_folder_is_read_in_the_order_of_its_paths_without_hidden_and_other_files(
    tmp_path: Path,
) -> None:
    for name in ("b.txt", "a.md", "deep/c.markdown", ".secret.md", ".git/d.md", "code.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"text of {name}")
    found = list(read_documents(tmp_path))
    assert [document.id for document in found] == ["a.md", "b.txt", "deep/c.markdown"]
    assert found[0] == Document("a.md", "text of a.md", {"source": "a.md"})


def test_one_file_is_a_document_called_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("\ufeffhello")
    assert list(read_documents(tmp_path / "a.md")) == [
        Document("a.md", "hello", {"source": "a.md"})
    ]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside.md").write_text("private")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "link.md").symlink_to(tmp_path / "outside.md")
    assert list(read_documents(tmp_path / "docs")) == []


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "code.py").write_text("")
    with pytest.raises(ConfigError, match=r"latin\.txt is no UTF-8 text: byte 3"):
        list(read_documents(tmp_path))
    with pytest.raises(ConfigError, match=r"code\.py is no document"):
        list(read_documents(tmp_path / "code.py"))
    with pytest.raises(ConfigError, match="there is no file or folder"):
        list(read_documents(tmp_path / "nothing"))


def test_markdown_is_split_at_its_headings_but_not_inside_code() -> None:
    chunks = chunked(Document("g.md", TEXT, {"source": "g.md"}))
    assert [chunk.metadata.get("heading") for chunk in chunks] == [
        "Garden",
        "Garden > Water",
        "Garden > Soil",
    ]
    assert chunks[1].id == "g.md#1"
    assert "# no heading" in chunks[1].text
    assert chunks[2].metadata == {
        "source": "g.md",
        "document": "g.md",
        "chunk": 2,
        "heading": "Garden > Soil",
    }


def test_plain_text_has_no_headings() -> None:
    (chunk,) = chunked(Document("g.txt", TEXT))
    assert "heading" not in chunk.metadata


def test_a_chunk_ends_at_a_paragraph_if_there_is_one_near() -> None:
    text = f"{'one ' * 15}\n\n{'two ' * 15}"
    assert [c.text for c in chunked(Document("t", text), 80, 0)] == [
        ("one " * 15).strip(),
        ("two " * 15).strip(),
    ]


def test_a_chunk_repeats_the_last_words_of_the_one_before() -> None:
    words = " ".join(f"w{i}" for i in range(60))
    first, second, *_ = chunked(Document("t", words), 100, 20)
    assert first.text.endswith(" w22 w23 w24 w25 w26")
    assert second.text.startswith("w22 w23 w24 w25 w26 w27")


def test_an_empty_document_has_no_chunks() -> None:
    assert chunked(Document("e.md", " \n\n")) == []


@given(st.text(max_size=400), st.integers(1, 60), st.integers(0, 30))
def test_no_chunk_is_too_long_and_no_character_is_lost(text: str, size: int, overlap: int) -> None:
    overlap = min(overlap, size // 2)
    chunks = chunked(Document("d.txt", text), size, overlap)
    assert all(0 < len(chunk.text) <= size for chunk in chunks)
    assert set("".join(text.split())) == set("".join("".join(c.text for c in chunks).split()))
    assert len("".join("".join(c.text for c in chunks).split())) >= len("".join(text.split()))


@pytest.mark.parametrize(
    ("size", "overlap", "text"),
    [(0, 0, "chunk_size is 0"), (10, 6, "half of chunk_size, 5"), (10, -1, "chunk_overlap is -1")],
)
def test_sizes_that_do_not_fit_are_refused(size: int, overlap: int, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        chunked(Document("d", "text"), size, overlap)


@pytest.mark.parametrize(
    ("line", "heading"),
    [
        ("# C#", "C#"),
        ("# C ##", "C"),
        ("#  a  b  ##  ", "a  b"),
        ("# #1", "#1"),
        ("# a #b", "a #b"),
    ],
)
def test_a_heading_loses_only_the_signs_that_close_it(line: str, heading: str) -> None:
    (chunk,) = chunked(Document("a.md", f"{line}\ntext"))
    assert chunk.metadata["heading"] == heading


def test_a_long_line_that_looks_like_a_heading_is_read_at_once() -> None:
    line = "# a" + " " * 300_000 + "b"
    assert chunked(Document("a.md", line))[0].metadata["heading"] == line[2:]
