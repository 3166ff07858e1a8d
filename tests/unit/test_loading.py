"""Loading: a family's kinds, its plug-ins, and what is said about a kind that is not there."""

import tomllib
from pathlib import Path

import pytest

from aixgo import loading, orchestration
from aixgo.errors import ConfigError, MissingExtra
from aixgo.loading import kinds, load

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A second folder of the orchestration family, empty at first."""
    monkeypatch.setattr(orchestration, "__path__", [*orchestration.__path__, str(tmp_path)])
    return tmp_path


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package that adds the kind `zigzag`."""
    (tmp_path / "zigzag_plugin.py").write_text("NAME = 'zigzag'\n")
    info = tmp_path / "zigzag_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zigzag-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aixgo.orchestration]\nzigzag = zigzag_plugin\n")
    monkeypatch.syspath_prepend(tmp_path)
    return "zigzag"


def test_every_module_of_a_family_but_its_base_is_a_kind() -> None:
    found = kinds("orchestration")
    assert {"parallel", "router", "sequential"} <= set(found)
    assert found == sorted(found)
    assert not {"base", "_caller"} & set(found)


@pytest.mark.parametrize("kind", ["parallel", "router", "sequential"])
def test_a_kind_loads_the_module_of_its_name(kind: str) -> None:
    assert load("orchestration", kind).__name__ == f"aixgo.orchestration.{kind}"


def test_a_dash_in_a_kind_stands_for_an_underscore_in_the_module(folder: Path) -> None:
    (folder / "map_reduce.py").write_text("")
    assert load("orchestration", "map-reduce").__name__ == "aixgo.orchestration.map_reduce"


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("paralel", "did you mean 'parallel'?"),
        ("zzz", "there are: "),
        ("base", ""),  # though there is a module of that name
        ("_caller", ""),
        ("", ""),
        ("parallel.Parallel", ""),
        ("../sequential", ""),
    ],
)
def test_what_is_no_kind_is_refused_with_a_hint(kind: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load("orchestration", kind)
    assert f"orchestration has no kind {kind!r}; " in str(caught.value)
    assert hint in str(caught.value)


def test_an_installed_package_adds_a_kind_by_an_entry_point(plugin: str) -> None:
    assert plugin in kinds("orchestration")
    assert load("orchestration", plugin).NAME == "zigzag"


def test_a_kind_whose_package_is_not_installed_says_how_to_install_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "spiral.py").write_text("import surely_not_installed.deep\n")
    monkeypatch.setitem(loading.EXTRAS, "surely_not_installed", "spiral")
    with pytest.raises(MissingExtra) as caught:
        load("orchestration", "spiral")
    assert str(caught.value).endswith("pip install 'aixgo[spiral]'")
    assert "orchestration 'spiral'" in str(caught.value)


def test_an_import_that_is_simply_broken_is_not_taken_for_a_missing_extra(folder: Path) -> None:
    (folder / "crooked.py").write_text("import nobody_knows_this\n")
    with pytest.raises(ModuleNotFoundError, match="nobody_knows_this"):
        load("orchestration", "crooked")


def test_every_extra_named_for_a_missing_package_exists() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert set(loading.EXTRAS.values()) <= set(declared)
