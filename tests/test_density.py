"""Density models that only know the number of words, against enumeration and exact fractions."""

from fractions import Fraction
from itertools import combinations, product
from math import ceil, comb, prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tilebound.workload.density import Binomial, FixedStructured, Hypergeometric, Occupancies
from tilebound.workload.density.draws import _none_drawn_far, added, none_drawn, repeated
from tilebound.workload.density.uniform import Scattered

MODELS = [Hypergeometric, Binomial, FixedStructured]


def as_dict(found: Occupancies) -> dict[int, float]:
    assert found.values.dtype == np.int64 and found.probabilities.dtype == np.float64
    assert (np.diff(found.values) > 0).all() and (found.probabilities > 0).all()
    assert found.probabilities.sum() == pytest.approx(1, abs=1e-12)
    return dict(zip(found.values.tolist(), found.probabilities.tolist(), strict=True))


def exact_hypergeometric(total: int, marked: int, drawn: int) -> dict[int, Fraction]:
    ways = {k: comb(marked, k) * comb(total - marked, drawn - k) for k in range(min(marked, drawn) + 1)}
    return {k: Fraction(n, comb(total, drawn)) for k, n in ways.items() if n}


def test_hypergeometric_against_every_placement() -> None:
    shape, tile, nonzeros = (3, 4), (2, 2), 5
    inside = {i for i, (row, column) in enumerate(product(range(3), range(4))) if row < 2 and column < 2}
    placements = list(combinations(range(12), nonzeros))
    counts = Occupancies.of([len(inside & set(p)) for p in placements], np.ones(len(placements)))
    model = Hypergeometric(5 / 12).bind(shape)
    assert as_dict(model.pmf(tile)) == pytest.approx(as_dict(counts), rel=1e-14)
    assert model.expected(tile) == pytest.approx(counts.mean, rel=1e-14)
    assert model.p_empty(tile) == pytest.approx(counts.empty, rel=1e-14)


def test_binomial_against_every_tile() -> None:
    share = 0.3
    weights = {bits: prod(share if b else 1 - share for b in bits) for bits in product((0, 1), repeat=6)}
    counts = Occupancies.of([sum(bits) for bits in weights], list(weights.values()))
    model = Binomial(share).bind((6, 6))
    assert as_dict(model.pmf((3, 2))) == pytest.approx(as_dict(counts), rel=1e-13)
    assert model.p_empty((3, 2)) == pytest.approx(counts.empty, rel=1e-14)


@given(st.integers(1, 400), st.data())
def test_hypergeometric_is_right_to_the_last_digits(total: int, data: st.DataObject) -> None:
    marked, drawn = data.draw(st.integers(0, total)), data.draw(st.integers(1, total))
    model = Scattered((total,), marked)
    want = exact_hypergeometric(total, marked, drawn)
    assert as_dict(model.pmf((drawn,))) == pytest.approx({k: float(p) for k, p in want.items()}, rel=4e-16)
    assert model.p_empty((drawn,)) == pytest.approx(float(want.get(0, 0)), rel=4e-16)
    assert model.max_occupancy((drawn,)) == max(want)


def test_large_hypergeometric_keeps_its_digits() -> None:
    total, marked, drawn = 2_359_296, 707_789, 600
    model = Scattered((total,), marked)
    want = exact_hypergeometric(total, marked, drawn)
    found = as_dict(model.pmf((drawn,)))
    likely = {k: float(p) for k, p in want.items() if p > 1e-300}
    assert {k: p for k, p in found.items() if k in likely} == pytest.approx(likely, rel=1e-13)
    assert model.p_empty((drawn,)) == pytest.approx(float(want[0]), rel=1e-13)


@pytest.mark.parametrize(("total", "marked"), [(10**7, 40), (10**9, 30_000), (3 * 10**6, 2)])
def test_few_nonzeros_in_a_huge_tensor(total: int, marked: int) -> None:
    for drawn in (1, 7, 1000, total // 3, total - marked - 1, total - marked, total):
        few = Fraction(1)
        for i in range(marked if marked < 100 else 0):
            few *= Fraction(total - drawn - i, total - i)
        want = float(few) if marked < 100 else None
        found = float(_none_drawn_far(total, marked, np.array(drawn)))
        if want is not None and want > 1e-250:
            assert found == pytest.approx(want, rel=1e-11)
        if drawn > total - marked:
            assert found == 0
        if marked * drawn < total // 100:
            assert found == pytest.approx(1 - marked * drawn / total, rel=1e-4)
    assert none_drawn(total, marked, [0, 1]).tolist() == pytest.approx([1, 1 - marked / total], rel=1e-15)


def test_the_far_formula_continues_the_table() -> None:
    total, marked = 40_000, 1_200
    drawn = np.array([1, 2, 15, 16, 17, 100, 1000, 9000])
    table = none_drawn(total, marked, drawn)
    assert _none_drawn_far(total, marked, drawn) == pytest.approx(table, rel=1e-12)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("density", [0.0, 1.0])
def test_edges_are_exact(kind: type, density: float) -> None:
    model = kind(density).bind((4, 6))
    for tile in ((1, 1), (2, 3), (4, 6), (9, 9)):
        words = min(prod(tile), 24) if tile != (9, 9) else 24
        assert as_dict(model.pmf(tile)) == {int(words * density): 1.0}
        assert model.p_empty(tile) == 1 - density
        assert model.expected(tile) == words * density
        assert model.max_occupancy(tile) == int(words * density)
    assert model.mean == density


@pytest.mark.parametrize("density", [0.1, 0.3, 0.5, 0.77])
def test_a_whole_tensor_has_what_it_has(density: float) -> None:
    nonzeros = ceil(density * 200)
    model = Hypergeometric(density).bind((10, 20))
    assert as_dict(model.pmf((10, 20))) == {nonzeros: 1.0}
    assert as_dict(model.pmf((1, 1))) == pytest.approx({0: 1 - nonzeros / 200, 1: nonzeros / 200}, rel=1e-15)
    assert model.given((2, 5), 4) == Scattered((2, 5), 4)
    assert Binomial(density).bind((10, 20)).given((2, 5), 4) == Scattered((2, 5), 4)


@given(st.integers(1, 500), st.floats(0, 1))
def test_fixed_structured_keeps_the_mean(words: int, density: float) -> None:
    model = FixedStructured(density).bind((500,))
    found = as_dict(model.pmf((words,)))
    assert len(found) <= 2 and max(found) - min(found) <= 1
    assert model.pmf((words,)).mean == pytest.approx(words * density, rel=1e-12, abs=1e-12)
    assert model.p_empty((words,)) == pytest.approx(found.get(0, 0.0), abs=1e-15)
    assert model.max_occupancy((words,)) == max(found)
    assert model.given((words,), max(found)).mean == max(found) / words


@pytest.mark.parametrize("kind", MODELS)
def test_arrays_of_tiles_say_the_same_as_one_tile(kind: type) -> None:
    model = kind(0.13).bind((30, 40))
    tiles = np.stack(np.meshgrid(np.arange(1, 31), np.arange(1, 41)), axis=-1).reshape(-1, 2)
    assert model.expected_many(tiles).tolist() == [model.expected(tuple(t)) for t in tiles.tolist()]
    assert model.p_empty_many(tiles).tolist() == [model.p_empty(tuple(t)) for t in tiles.tolist()]
    assert model.expected((4, 5)) == pytest.approx(model.pmf((4, 5)).mean, rel=1e-12)
    assert model.p_empty((4, 5)) == pytest.approx(model.pmf((4, 5)).empty, rel=1e-14)
    assert as_dict(model.at((28, 38), (4, 5))) == as_dict(model.pmf((2, 2)))


@pytest.mark.parametrize("kind", MODELS)
def test_models_are_values_and_check_them(kind: type) -> None:
    assert kind(0.5) == kind(0.5) and hash(kind(0.5)) == hash(kind(0.5)) and kind(0.5) != kind(0.4)
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="from 0 to 1"):
            kind(wrong)


@given(st.integers(0, 40), st.floats(0.05, 0.95))
def test_sums_of_draws(times: int, share: float) -> None:
    single = Binomial(share).bind((3,)).pmf((3,))
    want = as_dict(Binomial(share).bind((200,)).pmf((3 * times,))) if times else {0: 1.0}
    assert as_dict(repeated(single, times)) == pytest.approx(want, rel=1e-9)


def test_long_sums_go_through_a_transform() -> None:
    parts = [Binomial(0.4).bind((10_000,)).pmf((n,)) for n in (4_000, 6_000)]
    found, want = added(*parts), Binomial(0.4).bind((10_000,)).pmf((10_000,))
    assert found.mean == pytest.approx(4_000, rel=1e-12)
    common = np.intersect1d(found.values, want.values[want.probabilities > 1e-12])
    assert len(common) > 400
    ours, theirs = as_dict(found), as_dict(want)
    assert [ours[k] for k in common] == pytest.approx([theirs[k] for k in common], abs=1e-15)
