"""Names: what an agent may be called, and the slug others write for it."""

import re
from unicodedata import normalize

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aixgo.errors import ConfigError
from aixgo.names import check_name, invalid_name, slug

DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@pytest.mark.parametrize(
    "name", ["a", "research.specialist", "Backend Dev", "übersetzer", "編集", "x" * 128]
)
def test_a_name_is_printable_text(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "is empty"),
        ("a/b", "contains '/'"),
        (" a", "blanks at its ends"),
        ("a ", "blanks at its ends"),
        ("a\nb", "unprintable"),
        ("a\ud800", "unprintable"),
        ("u\u0308ber", "normal form C"),
        ("x" * 129, "longer than 128"),
        (7, "must be text, not int"),
        (None, "must be text, not NoneType"),
    ],
)
def test_what_cannot_be_a_name_is_refused_with_the_reason(name: object, why: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(why)):
        check_name(name)


def test_the_text_says_whose_name_it_is() -> None:
    with pytest.raises(ConfigError, match=r"^a peer's name is empty$"):
        check_name("", "a peer's name")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("upper", "upper"),
        ("Backend Dev", "backend-dev"),
        ("research.specialist", "research-specialist"),
        ("--a__b--", "a-b"),
        ("a😀", "a"),
        ("x" * 54, "x" * 54),
    ],
)
def test_a_slug_is_lower_case_with_dashes(name: str, expected: str) -> None:
    assert slug(name) == expected


@pytest.mark.parametrize("name", ["übersetzer", "編集", "İstanbul", "x" * 55, "---", "😀"])
def test_a_slug_that_lost_something_ends_with_a_hash(name: str) -> None:
    assert re.search(r"(^|-)[0-9a-f]{8}$", slug(name))


def test_names_that_differ_in_a_lost_letter_have_different_slugs() -> None:
    assert len({slug("caf"), slug("café"), slug("cafè"), slug("İ"), slug("i")}) == 5


PRINTABLE = st.characters(exclude_categories=("C", "Z"))
NAMES = st.text(PRINTABLE, min_size=1, max_size=128).map(lambda text: normalize("NFC", text))


@settings(deadline=None)  # how long one example takes says nothing on a busy machine
@given(NAMES)
def test_every_slug_of_a_name_is_a_dns_label(name: str) -> None:
    assume(not invalid_name(name))
    assert DNS_LABEL.fullmatch(slug(name))
