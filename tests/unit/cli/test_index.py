"""`aixgo index`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aixgo.cli import run_verb
from aixgo.cli.index import alone
from aixgo.retrieval import documents, embedding


@pytest.fixture
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Bees\n\nHoney.\n\n# Ants\n\nHills.")
    (tmp_path / "docs" / "b.txt").write_text("Spiders.")
    return tmp_path / "docs"


def indexed(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert run_verb(["index", "docs", "--json", *options]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_an_index_is_made_and_says_what_is_in_it(
    docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_verb(["index", str(docs), "--to", "i.db"]) == 0
    assert capsys.readouterr() == ("i.db: 2 documents, 3 chunks\n", "")


def test_documents_that_are_gone_leave_the_index(
    docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_verb(["index", str(docs)])
    (docs / "a.md").unlink()
    capsys.readouterr()
    assert indexed(capsys) == {
        "index": "index.db",
        "documents": 1,
        "changed": 0,
        "chunks": 1,
        "removed": 1,
        "skipped": [],
    }


def test_only_what_changed_is_embedded_again(
    docs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert indexed(capsys)["changed"] == 2
    given: list[str] = []
    vector = embedding.HashingEmbedder.vector
    monkeypatch.setattr(
        embedding.HashingEmbedder,
        "vector",
        lambda self, text: (given.append(text), vector(self, text))[1],
    )
    run_verb(["index", "docs"])
    assert given == []
    assert (
        capsys.readouterr().out == "index.db: 2 documents, 3 chunks, none of them new or changed\n"
    )
    (docs / "b.txt").write_text("Wasps.")
    (docs / "empty.txt").write_text("")
    run_verb(["index", "docs"])
    assert given == ["Wasps."]
    assert capsys.readouterr().out == "index.db: 3 documents, 3 chunks, 1 of them new or changed\n"


def test_a_chunk_size_of_its_own_cuts_all_anew(
    docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    indexed(capsys)
    assert indexed(capsys, "--chunk-size", "10", "--chunk-overlap", "0")["changed"] == 2


def test_files_that_cannot_be_read_are_named_and_skipped(
    docs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "MAX_BYTES", 1000)
    (docs / "huge.txt").write_text("x" * 1001)
    (docs / "latin.txt").write_bytes(b"caf\xe9")
    (docs / "picture.md").write_bytes(b"\x89PNG\r\n\x00")
    (docs / "zero.txt").write_bytes(b"a\0b")
    (docs / "locked.txt").write_text("x")
    read = Path.read_text

    def refuse(self: Path, **how: Any) -> str:
        if self.name == "locked.txt":
            raise PermissionError(13, "Permission denied")
        return read(self, **how)

    monkeypatch.setattr(Path, "read_text", refuse)
    assert run_verb(["index", "docs"]) == 0
    out, err = capsys.readouterr()
    assert out == "index.db: 2 documents, 3 chunks, 5 files skipped\n"
    for name, why in (
        ("huge.txt", "more than"),
        ("latin.txt", "no UTF-8 text: byte 3"),
        ("locked.txt", "cannot be read: Permission denied"),
        ("picture.md", "no UTF-8"),
        ("zero.txt", "a byte of zero"),
    ):
        assert any(f"docs/{name}" in line and why in line for line in err.splitlines()), name


def test_what_is_known_of_a_file_stays_while_it_cannot_be_read(
    docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    indexed(capsys)
    (docs / "b.txt").write_bytes(b"\xff")
    found = indexed(capsys)
    assert (found["chunks"], found["removed"]) == (3, 0)
    assert len(found["skipped"]) == 1


def test_where_nothing_can_be_read_the_index_stays_as_it_is(
    docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (docs / "a.md").unlink()
    (docs / "b.txt").write_bytes(b"\xff")
    assert run_verb(["index", "docs"]) == 1
    assert "none of the files can be indexed: docs/b.txt is no UTF-8" in capsys.readouterr().err


def test_a_second_process_is_refused_while_one_indexes(
    docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with alone(Path("index.db")):
        assert run_verb(["index", "docs"]) == 1
        assert "index.db is being indexed by another process" in capsys.readouterr().err
    assert indexed(capsys)["documents"] == 2
    assert not Path("index.db-indexing").exists()


def test_a_lock_left_behind_by_a_process_that_died_holds_nobody_up(
    docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("index.db-indexing").touch()
    assert indexed(capsys)["documents"] == 2


def test_collections_of_an_index_mirror_paths_of_their_own(
    docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (docs.parent / "more").mkdir()
    (docs.parent / "more" / "c.txt").write_text("Owls.")
    run_verb(["index", "more", "--collection", "birds", "--metric", "euclidean"])
    capsys.readouterr()
    assert indexed(capsys)["chunks"] == 3
    run_verb(["index", "more", "--collection", "birds"])
    assert "1 documents, 1 chunks, none" in capsys.readouterr().out
    assert run_verb(["index", "more", "--collection", "birds", "--metric", "cosine"]) == 1
    assert "made for the metric 'euclidean'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nowhere"], "there is no file or folder 'nowhere'"),
        (["empty"], "empty holds no documents"),
        (["docs", "--chunk-size", "10"], "chunk_overlap is 100"),
        (["docs", "--embedding-model", "x"], "does not tell its vendor"),
        (["docs", "--to", "docs/b.txt"], "cannot be opened"),
        (["docs", "--to", "docs/b.txt/i.db"], "cannot be opened"),
        (["docs", "--metric", "near"], "no metric 'near'; there are: cosine"),
        (["docs", "--collection", "x" * 65], "up to 64 printable"),
    ],
)
def test_what_cannot_be_indexed_is_said(
    docs: Path, arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (docs.parent / "empty").mkdir()
    assert run_verb(["index", *arguments]) == 1
    assert text in capsys.readouterr().err
