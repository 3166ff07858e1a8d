"""Public names: a module's ``__all__`` is its promise, and these keep it exact."""

import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest

import aixgo

MOST_TOP_LEVEL_NAMES = 25  # a reader takes them in at a glance


def modules() -> list[str]:
    """Every module of aixgo but the generated ones and ``__main__``, which runs when imported."""
    found = [info.name for info in pkgutil.walk_packages(aixgo.__path__, "aixgo.")]
    return [
        name
        for name in found
        if not (name == "aixgo.v1" or name.startswith("aixgo.v1.") or name.endswith(".__main__"))
    ]


def defined_in(module: ModuleType) -> set[str]:
    """The functions and classes without an underscore that this module itself defines."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
        and value.__qualname__ == name
    }


@pytest.mark.parametrize("name", modules())
def test_all_lists_exactly_the_public_names_of_a_module(name: str) -> None:
    module = importlib.import_module(name)
    listed = list(getattr(module, "__all__", []))

    assert len(listed) == len(set(listed)), "a name is listed twice"
    assert [public for public in listed if not hasattr(module, public)] == [], "listed but absent"
    assert [public for public in listed if public.startswith("_")] == [], "listed but private"
    assert defined_in(module) - set(listed) == set(), "public but not in __all__"


def test_the_top_level_is_small_sorted_and_resolves() -> None:
    assert len(aixgo.__all__) <= MOST_TOP_LEVEL_NAMES
    assert list(aixgo.__all__) == sorted(aixgo.__all__)
    for name in aixgo.__all__:
        assert getattr(aixgo, name) is not None


def test_every_top_level_name_is_shown_to_the_type_checker() -> None:
    typed = (Path(__file__).parents[1] / "typing" / "public_api.py").read_text()
    assert [name for name in aixgo.__all__ if f"aixgo.{name}" not in typed] == []


def test_a_name_that_does_not_exist_is_an_attribute_error_that_says_so() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        aixgo.no_such_name  # noqa: B018 - reading it is the test
