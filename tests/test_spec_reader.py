"""YAML text to located nodes, and quantities with units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tilebound.errors import SpecError
from tilebound.spec import units
from tilebound.spec.nodes import Node, Problems, did_you_mean, locate
from tilebound.spec.reader import load_text, read_text


def read(text: str) -> tuple[list[Node], list[str]]:
    problems = Problems()
    documents = read_text(text, problems, "x.yaml")
    return documents, [str(problem) for problem in problems.errors]


def value(text: str) -> object:
    (document,), errors = read(text)
    assert not errors
    return document.plain()


def test_every_node_and_key_knows_its_place() -> None:
    (document,), _ = read("a: 1\nlist:\n  - x\n  - {k: v}\n")
    assert (document["a"].line, document["a"].column) == (1, 4)
    assert (document.key("list").line, document.key("list").column) == (2, 1)
    assert (document["list"][1]["k"].line, document["list"][1]["k"].column) == (4, 9)
    assert document["list"][1].key("k").column == 6
    assert document["a"].place == "x.yaml:1"


@pytest.mark.parametrize(("text", "expected"), [
    ("1e-3", 1e-3), ("1.5", 1.5), (".5", 0.5), ("010", 10), ("0x10", 16), ("1_000", 1000),
    ("1:30", "1:30"), ("yes", True), ("No", False), ("~", None), ("'5'", "5"), ("2024-01-01", "2024-01-01"),
    (".inf", float("inf")), ("N", "N"), ("-7", -7), ("108 KiB", "108 KiB"),
])
def test_scalars(text: str, expected: object) -> None:
    found = value(f"k: {text}")["k"]
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(("text", "place", "part"), [
    ("a: 1\nb: 2\na: 3", "x.yaml:3:1", "duplicate key 'a'"),
    ("a: !!python/object/apply:os.system [ls]", "x.yaml:1:4", "expected plain YAML without tags"),
    ("a: !Contain {}", "x.yaml:1:4", "tag '!Contain'"),
    ("a: [1, 2\nb: 3", "x.yaml:2:", "YAML syntax"),
    ("{[1, 2]: 3}", "x.yaml:1:2", "expected text as key"),
    ("a: &loop\n  b: *loop", "x.yaml:1:", "contains itself"),
    ("a: b\0c", "x.yaml:1:", "not allow"),
    ("a: *nowhere", "x.yaml:1:4", "undefined alias"),
    ("<<: 5", "x.yaml:1:5", "expected a mapping or a list of mappings"),
])
def test_faults_are_located(text: str, place: str, part: str) -> None:
    _, errors = read(text)
    assert len(errors) == 1
    assert errors[0].startswith(place)
    assert part in errors[0]


def test_aliases_share_and_merge_keys_give_defaults() -> None:
    found = value("base: &base {depth: 4, width: 8}\nlevel: {<<: *base, width: 16}")
    assert found["level"] == {"width": 16, "depth": 4}


def test_an_explosion_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    _, errors = read("\n".join(lines))
    assert any("aliases expand" in error for error in errors)


def test_deep_nesting_is_a_fault_and_no_crash() -> None:
    _, errors = read("[" * 5000 + "]" * 5000)
    assert len(errors) == 1


def test_several_documents_and_empty_ones() -> None:
    documents, errors = read("a: 1\n---\n---\nb: 2\n")
    assert [document.plain() for document in documents] == [{"a": 1}, {"b": 2}]
    assert not errors


def test_unreadable_files_are_faults(tmp_path) -> None:
    problems = Problems()
    (tmp_path / "bytes.yaml").write_bytes(b"a: \xff\xfe")
    assert load_text(tmp_path / "absent.yaml", problems, "file") is None
    assert load_text(tmp_path / "bytes.yaml", problems, "file") is None
    assert load_text(tmp_path, problems, "file") is None
    assert [part in str(error) for part, error in zip(
        ("No such file", "UTF-8", "directory"), problems.errors, strict=True)] == [True] * 3


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8)
    | st.floats(allow_nan=False), lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=12)


@given(plain)
def test_located_values_are_the_plain_ones(data: object) -> None:
    assert locate(data).plain() == data


@given(st.text(max_size=60))
def test_no_text_crashes_the_reader(text: str) -> None:
    read(text)


def test_values_that_no_file_can_hold() -> None:
    with pytest.raises(SpecError, match="a value of type set"):
        locate({"a": {1, 2}})


@pytest.mark.parametrize(("text", "word_bits", "expected"), [
    ("108 KiB", 16, 55296), ("108KiB", 16, 55296), ("64 words", 16, 64), ("1 word", 8, 1),
    ("512 B", 16, 256), ("1 KB", 8, 1000), ("4096 b", 16, 256), ("2 MiB", 8, 2**21), ("1.5 KiB", 8, 1536),
    ("24 bytes", 24, 8)])
def test_sizes(text: str, word_bits: int, expected: int) -> None:
    assert units.words(text, word_bits) == expected


@pytest.mark.parametrize(("text", "part"), [
    ("108", "no unit"), (108, "no unit"), ("108 kib", "did you mean 'KiB'"), ("3 B", "whole number of words"),
    ("much", "is no quantity"), (True, "is no quantity"), ("1e400 words", "is no quantity"),
    (10**400, "is no quantity"), ("-1 words", "whole number"),
    ("1 KiB KiB", "is no")])
def test_wrong_sizes(text: object, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        units.words(text, 16)


def test_times_and_nodes() -> None:
    assert units.seconds("5 ns") == 5e-9
    assert units.seconds("1e-09 s") == 1e-9
    assert units.seconds("250 MHz") == 4e-9
    assert units.nanometres("65nm") == units.nanometres(65) == 65
    for wrong in ("5", "0 ns", "5 parsec"):
        with pytest.raises(ValueError, match="expected"):
            units.seconds(wrong)
    with pytest.raises(ValueError, match="expected"):
        units.nanometres("65 mm")


def test_suggestions_ignore_case() -> None:
    assert did_you_mean("READ_BANDWITH", ["read_bandwidth", "depth"]) == "; did you mean 'read_bandwidth'?"
    assert did_you_mean("xyz", ["read_bandwidth"]) == ""
