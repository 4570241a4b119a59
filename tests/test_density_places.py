"""Density models that know places, against every possible tensor, a simulation, or plain counting."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from functools import reduce
from itertools import combinations, product
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tilebound.workload.density import (
    Banded,
    Binomial,
    Density,
    FixedStructured,
    Histogram,
    Hypergeometric,
    KernelPattern,
    Measured,
    Occupancies,
    PermutedDiagonal,
    StructuredNM,
)
from tilebound.workload.density.draws import binomial, compound

Shape = tuple[int, ...]


def corners(shape: Shape, tile: Shape) -> Iterator[Shape]:
    return product(*(range(0, n, t) for n, t in zip(shape, tile, strict=True)))


def counts(array: np.ndarray, tile: Shape) -> list[int]:
    """Non-zeros of every aligned tile, those at the edge cut."""
    return [int(box(array, corner, tile).sum()) for corner in corners(array.shape, tile)]


def box(array: np.ndarray, corner: Shape, tile: Shape) -> np.ndarray:
    return array[tuple(slice(at, at + t) for at, t in zip(corner, tile, strict=True))]


def as_dict(found: Occupancies) -> dict[int, float]:
    assert found.values.dtype == np.int64 and found.probabilities.dtype == np.float64
    assert (np.diff(found.values) > 0).all() and (found.probabilities > 0).all()
    assert found.probabilities.sum() == pytest.approx(1, abs=1e-12)
    return dict(zip(found.values.tolist(), found.probabilities.tolist(), strict=True))


def uniform(values: list[int]) -> dict[int, float]:
    return as_dict(Occupancies.of(values, np.ones(len(values))))


def tiles_of(shape: Shape) -> list[Shape]:
    return list(product(*(range(1, n + 1) for n in shape)))


def check_against(density: Density, tensors: list[np.ndarray]) -> None:
    """Every answer about every tile equals that of counting in all `tensors`, which are equally likely."""
    shape = tensors[0].shape
    model = density.bind(shape)
    tiles = tiles_of(shape)
    for tile in tiles:
        want = uniform([n for tensor in tensors for n in counts(tensor, tile)])
        mean = sum(k * p for k, p in want.items())
        assert as_dict(model.pmf(tile)) == pytest.approx(want, rel=1e-9), tile
        assert model.expected(tile) == pytest.approx(mean, rel=1e-12)
        assert model.p_empty(tile) == pytest.approx(want.get(0, 0.0), rel=1e-12, abs=1e-15)
        assert model.max_occupancy(tile) == max(want)
        for corner in corners(shape, tile):
            here = uniform([int(box(tensor, corner, tile).sum()) for tensor in tensors])
            assert as_dict(model.at(corner, tile)) == pytest.approx(here, rel=1e-9), (corner, tile)
    assert model.expected_many(tiles) == pytest.approx([model.expected(t) for t in tiles], rel=1e-14)
    assert model.p_empty_many(tiles) == pytest.approx([model.p_empty(t) for t in tiles], rel=1e-14, abs=1e-16)
    assert model.mean == pytest.approx(np.mean([t.mean() for t in tensors]), rel=1e-12)
    assert not model.by_volume


def blocks(shape: Shape, places: list[tuple[Shape, list[np.ndarray]]]) -> list[np.ndarray]:
    """All tensors that have, at each of the places, one of its blocks; cut at the edge."""
    found = []
    for choice in product(*(options for _, options in places)):
        tensor = np.zeros(shape, bool)
        for (corner, _), block in zip(places, choice, strict=True):
            target = box(tensor, corner, block.shape)
            target[...] = box(block, (0,) * block.ndim, target.shape)
        found.append(tensor)
    return found


@pytest.mark.parametrize(("n", "m", "extent", "lines"), [
    (2, 4, 8, 1), (1, 3, 6, 2), (1, 2, 4, 3), (2, 3, 3, 2), (0, 2, 4, 1), (2, 2, 4, 2)])
@pytest.mark.parametrize("axis", [0, 1])
def test_n_m(n: int, m: int, extent: int, lines: int, axis: int) -> None:
    def row(chosen: tuple[int, ...]) -> np.ndarray:
        return np.isin(np.arange(m), chosen)[:, None]
    options = [row(chosen) for chosen in combinations(range(m), n)]
    tensors = blocks((extent, lines), [((i, j), options) for i in range(0, extent, m) for j in range(lines)])
    check_against(StructuredNM(n, m, axis), tensors if axis == 0 else [t.T for t in tensors])


def diagonals(block: int) -> list[np.ndarray]:
    return [np.roll(np.eye(block, dtype=bool), shift, axis=1) for shift in range(block)]


@pytest.mark.parametrize(("block", "shape"), [(2, (4, 4)), (3, (6, 3)), (3, (3, 6)), (4, (4, 8)), (1, (2, 3)),
                                              (3, (5, 4)), (4, (6, 5))])
def test_permuted_diagonal(block: int, shape: Shape) -> None:
    grid = list(corners(shape, (block, block)))
    check_against(PermutedDiagonal(block), blocks(shape, [(corner, diagonals(block)) for corner in grid]))


def test_permuted_diagonal_of_kernels() -> None:
    flat = blocks((4, 4), [(corner, diagonals(2)) for corner in corners((4, 4), (2, 2))])
    check_against(PermutedDiagonal(2, axes=(2, 0)),
                  [np.repeat(t.T[:, None, :], 3, axis=1) for t in flat])      # axis 1: alike


@pytest.mark.parametrize("connectivity", [0.0, 0.25, 0.5, 1.0])
def test_kernel_pattern(connectivity: float) -> None:
    patterns = [np.isin(np.arange(4), chosen).reshape(2, 2) for chosen in combinations(range(4), 2)]
    tensors = []
    for kept in combinations(range(4), round(connectivity * 4)):
        for choice in product(patterns, repeat=len(kept)):
            tensor = np.zeros((4, 2, 2), bool)
            for at, pattern in zip(kept, choice, strict=True):
                tensor[at] = pattern
            tensors.append(tensor.reshape(2, 2, 2, 2))
    check_against(KernelPattern((2, 3), 2, connectivity), tensors)


def test_histogram() -> None:
    channels = [[np.isin(np.arange(4), chosen).reshape(1, 2, 2) for chosen in combinations(range(4), n)]
                for n in (2, 0, 4, 1, 2)]
    tensors = blocks((5, 2, 2), [((at, 0, 0), options) for at, options in enumerate(channels)])
    check_against(Histogram((0.5, 0, 1, 0.25, 0.5)), tensors)
    check_against(Histogram((0.5, 0, 1, 0.25, 0.5), axis=1), [t.transpose(1, 0, 2) for t in tensors])


def test_histogram_of_an_array_keeps_its_channels() -> None:
    array = np.random.default_rng(3).random((7, 30, 11)) < 0.1
    model = Histogram.of(array, axis=1).bind(array.shape)
    assert model.nonzeros == tuple(array.sum(axis=(0, 2)))


@pytest.mark.parametrize(("shape", "axes"), [((8, 8), (0, 1)), ((5, 9), (0, 1)), ((9, 5), (1, 0)),
                                             ((4, 2, 6), (0, 2)), ((1, 7), (0, 1))])
@pytest.mark.parametrize("half_width", [0, 1, 3, 20])
def test_banded(shape: Shape, axes: tuple[int, int], half_width: int) -> None:
    index = np.indices(shape)
    check_against(Banded(half_width, axes), [abs(index[axes[0]] - index[axes[1]]) <= half_width])


def test_a_thin_band_in_a_large_matrix() -> None:
    index = np.indices((600, 500))
    band = abs(index[0] - index[1]) <= 7
    model = Banded(7).bind((600, 500))
    for tile in ((1, 1), (16, 1), (7, 33), (600, 2), (64, 500)):
        assert as_dict(model.pmf(tile)) == uniform(counts(band, tile))


@given(st.integers(0, 2**32), st.lists(st.integers(1, 6), min_size=1, max_size=4), st.floats(0, 1),
       st.data())
def test_measured(seed: int, extents: list[int], share: float, data: st.DataObject) -> None:
    array = np.random.default_rng(seed).random(extents) < share
    model = Measured.of(array).bind(array.shape)
    tile = tuple(data.draw(st.integers(1, n + 1)) for n in extents)
    found = counts(array, tile)
    assert as_dict(model.pmf(tile)) == uniform(found)
    assert model.expected(tile) == pytest.approx(np.mean(found), rel=1e-12)
    assert model.p_empty(tile) == found.count(0) / len(found)
    assert model.max_occupancy(tile) == max(found)
    corner = tuple(data.draw(st.integers(0, n - 1)) for n in extents)
    assert as_dict(model.at(corner, tile)) == {int(box(array, corner, tile).sum()): 1.0}
    nnz = data.draw(st.sampled_from(found))
    inner = tuple(data.draw(st.integers(1, t)) for t in tile)
    parts = [box(array, c, tile) for c in corners(array.shape, tile)]
    parts = [part for part in parts if part.sum() == nnz]
    inside = model.given(tile, nnz)
    assert as_dict(inside.pmf(inner)) == pytest.approx(uniform([n for p in parts for n in counts(p, inner)]))
    assert inside.expected_many([inner])[0] == pytest.approx(inside.pmf(inner).mean)
    first = [int(box(part, (0,) * len(extents), inner).sum()) for part in parts]
    assert as_dict(inside.at((0,) * len(extents), inner)) == pytest.approx(uniform(first))
    with pytest.raises(ValueError, match="no tile"):
        model.given(tile, prod(extents) + 1)


@pytest.mark.parametrize("tile", [(8, 8, 3, 3), (1, 1, 1, 1), (1, 1, 3, 3), (64, 4, 1, 3), (512, 1, 2, 2),
                                  (5, 7, 3, 1)])
def test_measured_large(large: np.ndarray, tile: Shape) -> None:
    found = reduce(lambda sums, axis: np.add.reduceat(
        sums, np.arange(0, sums.shape[axis], tile[axis]), axis=axis), range(4), large.astype(np.int64))
    model = Measured.of(large).bind(large.shape)
    assert as_dict(model.pmf(tile)) == uniform(found.reshape(-1).tolist())
    assert model.expected_many([tile])[0] == pytest.approx(found.mean(), rel=1e-14)
    assert model.mean == large.mean()


@pytest.fixture(scope="module")
def large() -> np.ndarray:
    """512 x 512 kernels of 3 x 3, each kernel of a density of its own."""
    random = np.random.default_rng(5)
    return random.random((512, 512, 3, 3)) < random.random((512, 512, 1, 1)) ** 3


def test_measured_is_a_value() -> None:
    array = np.array([[0.0, 2.0, np.nan], [-1.0, 0.0, 0.0]])
    model = Measured.of(array)
    assert model.mask.tolist() == [[False, True, True], [True, False, False]]
    assert model == Measured.of(array * 3) and hash(model) == hash(Measured.of(array * 3))
    assert model != Measured.of(array.T) and model != Measured.of(array.reshape(3, 2))
    model.bind((2, 3))
    again = pickle.loads(pickle.dumps(model))
    assert again == model and again.bind((2, 3)).mean == 0.5
    assert Measured.decode((2, 3), model.encoded) == model
    for shape, text in (((3, 3), model.encoded), ((2, 3), "?"), ((2, 3), "AAAA")):
        with pytest.raises(ValueError, match="bits"):
            Measured.decode(shape, text)
    assert as_dict(Measured.of(1).bind(()).pmf(())) == {1: 1.0}


@pytest.mark.parametrize(("density", "draw"), [
    (StructuredNM(2, 4, axis=1), "n_m"), (PermutedDiagonal(8), "permuted"),
    (KernelPattern((1,), 5, 0.3), "pattern"), (Histogram(tuple(np.linspace(0, 1, 48))), "histogram")])
def test_a_simulation_agrees(density: Density, draw: str) -> None:
    random = np.random.default_rng(7)
    tensors = [DRAWS[draw](random) for _ in range(300)]
    model = density.bind((48, 16))
    for tile in ((6, 5), (3, 16), (48, 3), (5, 1)):
        found = np.array([n for tensor in tensors for n in counts(tensor, tile)])
        assert model.expected(tile) == pytest.approx(found.mean(), rel=0.03)
        assert model.p_empty(tile) == pytest.approx((found == 0).mean(), abs=0.02)
        assert model.max_occupancy(tile) >= found.max()
        want = model.pmf(tile)
        share = [(found == k).mean() for k in want.values]
        assert want.probabilities == pytest.approx(share, abs=0.02)
        assert sum(share) == pytest.approx(1)


def _n_m(random: np.random.Generator) -> np.ndarray:
    return (random.random((48, 4, 4)).argsort(axis=-1).argsort(axis=-1) < 2).reshape(48, 16)


def _permuted(random: np.random.Generator) -> np.ndarray:
    return np.block([[np.roll(np.eye(8, dtype=bool), random.integers(8), axis=1) for _ in range(2)]
                     for _ in range(6)])


def _pattern(random: np.random.Generator) -> np.ndarray:
    kernels = random.random((48, 16)).argsort(axis=-1).argsort(axis=-1) < 5
    return kernels & (random.permutation(48) < round(0.3 * 48))[:, None]


def _histogram(random: np.random.Generator) -> np.ndarray:
    nonzeros = np.array([round(share * 16) for share in np.linspace(0, 1, 48).tolist()])
    return random.random((48, 16)).argsort(axis=-1).argsort(axis=-1) < nonzeros[:, None]


DRAWS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "n_m": _n_m, "permuted": _permuted, "pattern": _pattern, "histogram": _histogram}

EVERY = [Hypergeometric(0.4), Binomial(0.4), FixedStructured(0.4), StructuredNM(2, 4, 1), Banded(2),
         PermutedDiagonal(4), KernelPattern((1,), 3, 0.5), Histogram((0.25, 0.5) * 4),
         Measured.of(np.random.default_rng(1).random((8, 8)) < 0.4)]


@pytest.mark.parametrize("density", EVERY, ids=lambda x: type(x).__name__)
def test_every_model_keeps_the_contract(density: Density) -> None:
    assert isinstance(density, Density)
    assert pickle.loads(pickle.dumps(density)) == density
    assert hash(pickle.loads(pickle.dumps(density))) == hash(density)
    model = density.bind((8, 8))
    for tile in ((1, 1), (2, 4), (4, 4), (8, 8), (3, 8), (9, 9)):
        found = model.pmf(tile)
        as_dict(found)
        assert model.expected(tile) == pytest.approx(found.mean, rel=1e-12)
        assert model.p_empty(tile) == pytest.approx(found.empty, rel=1e-12, abs=1e-15)
        assert model.max_occupancy(tile) == found.largest
        for nnz in found.values.tolist():
            inside = model.given(tile, nnz)
            assert inside.expected(inside.shape) == pytest.approx(nnz, abs=1e-12)
            assert as_dict(inside.pmf(inside.shape)).keys() == {nnz}
    for wrong in ((0, 1), (1, 1, 1)):
        if not model.by_volume:
            with pytest.raises(ValueError, match="a tile"):
                model.pmf(wrong)
    with pytest.raises(ValueError, match="a tile"):
        model.at((8, 0), (1, 1))


@pytest.mark.parametrize(("make", "message"), [
    (lambda: StructuredNM(5, 4), "5 of 4"),
    (lambda: StructuredNM(1, 2, 3).bind((4, 4)), "axes 3 of a tensor"),
    (lambda: Banded(-1), "-1"), (lambda: Banded(1, (0, 0)).bind((4, 4)), "axes 0, 0"),
    (lambda: PermutedDiagonal(0), "blocks of 0"),
    (lambda: KernelPattern((0,), 5).bind((4, 4)), "5 non-zeros"),
    (lambda: KernelPattern((0,), -1), "-1"), (lambda: KernelPattern((0,), 1, 1.2), "connectivity is 1.2"),
    (lambda: Histogram((0.5, 2.0)), "is 2.0"), (lambda: Histogram((0.5,)).bind((2, 2)), "1 densities for 2"),
    (lambda: Measured.of(np.eye(3)).bind((3, 4)), r"shape \(3, 3\) for a tensor of shape \(3, 4\)")])
def test_what_no_tensor_can_be_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_random_number_of_numbers() -> None:
    single, times = binomial(6, 0.3), binomial(900, 0.4)
    long = compound(single, times)               # long enough for transforms
    assert long.mean == pytest.approx(single.mean * times.mean, rel=1e-12)
    few = binomial(5, 0.4)
    want: dict[int, float] = {}
    for often, chance in as_dict(few).items():
        for k, p in as_dict(binomial(6 * often, 0.3) if often else Occupancies.exactly(0)).items():
            want[k] = want.get(k, 0.0) + chance * p
    assert as_dict(compound(single, few)) == pytest.approx(want, rel=1e-12)
    spread = as_dict(long)
    variance = sum(p * (k - long.mean) ** 2 for k, p in spread.items())
    want_variance = times.mean * 6 * 0.3 * 0.7 + 900 * 0.4 * 0.6 * single.mean ** 2
    assert variance == pytest.approx(want_variance, rel=1e-9)
