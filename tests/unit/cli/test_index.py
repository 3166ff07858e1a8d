"""`aixgo index`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aixgo.cli import run_verb


@pytest.fixture
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Bees\n\nHoney.\n\n# Ants\n\nHills.")
    (tmp_path / "docs" / "b.txt").write_text("Spiders.")
    return tmp_path / "docs"


def test_an_index_is_made_and_says_what_is_in_it(
    docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_verb(["index", str(docs), "--to", "i.db"]) == 0
    assert capsys.readouterr().out == "i.db: 2 documents, 3 chunks\n"


def test_documents_that_are_gone_leave_the_index(
    docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_verb(["index", str(docs)])
    (docs / "a.md").unlink()
    capsys.readouterr()
    assert run_verb(["index", str(docs), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "index": "index.db",
        "documents": 1,
        "chunks": 1,
        "removed": 1,
    }


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nowhere"], "there is no file or folder 'nowhere'"),
        (["empty"], "empty holds no documents"),
        (["docs", "--chunk-size", "10"], "chunk_overlap is 100"),
        (["docs", "--embedding-model", "x"], "does not tell its vendor"),
        (["docs", "--to", "docs/b.txt"], "cannot be opened"),
    ],
)
def test_what_cannot_be_indexed_is_said(
    docs: Path, arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (docs.parent / "empty").mkdir()
    assert run_verb(["index", *arguments]) == 1
    assert text in capsys.readouterr().err
