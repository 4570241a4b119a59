"""Classes of loop orders that together cover all orders, for the lattice bound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import permutations

import numpy as np

from ...workload.einsum import Tensor
from .lattice import Lattice


@dataclass(frozen=True)
class Variant:
    """Loop orders of which this is known: the outer cost is `outer`, at every middle tile; in the ranks
    `held` the middle tile is that of the array; tensors are `still` through the loops of the middle level of
    all ranks that do not move them, or through the outer loops too (`far`); a window slides in steps of one
    of the ranks that `slides` gives, of the middle loop, or, if the rank is held, of the outer one.
    `coupled`: the ranks of which it matters by how much the middle tile exceeds that of the array. `goes_on`:
    of this tensor outer loops (that of `outer` first) may undo steps of the middle one, or go on with them,
    since no other loop moves it before. `follows`: loops of the middle level may do so with steps of this
    tensor inside an instance (where `in_order` is given, these, the innermost first), and then outer loops
    too, if they do `throughout`. `through`: where it is given, what is still is so through the middle loops
    of these ranks only. Of a window that is `alone` no middle loop goes on with its steps."""

    outer: str
    held: frozenset[str] = frozenset()
    still: frozenset[str] = frozenset()
    far: frozenset[str] = frozenset()
    slides: dict[str, frozenset[str]] = field(default_factory=dict)
    coupled: frozenset[str] = frozenset()
    goes_on: str = ""
    follows: str = ""
    throughout: bool = False
    in_order: tuple[str, ...] | None = None
    through: frozenset[str] | None = None
    alone: str = ""

    @property
    def moves(self) -> frozenset[str]:
        """The tensors that do not simply enter anew in each pass."""
        return (self.still | self.far | frozenset((*self.slides, self.follows))) - {""}


class Variants:
    """The variants of one Einsum on one machine."""

    def __init__(self, lattice: Lattice, single: frozenset[str]) -> None:
        """`single`: the tensors that one level inside an instance keeps, and no more."""
        self.lattice, self.single = lattice, single
        self.tensors = lattice.einsum.tensors
        self.middle = lattice.array_level
        self.everything = frozenset(lattice.ranks)

    def sliding(self, stays: frozenset[str], ranks: frozenset[str]) -> dict[str, frozenset[str]]:
        """By tensor that slides when one of `ranks` steps innermost, those that it slides along."""
        own = {t.name: self.lattice.windows.sliders(t) & ranks for t in self.tensors if t.name in stays}
        return {name: sliders for name, sliders in own.items() if sliders}

    def of(self, still: frozenset[str], ranks: frozenset[str],
                  stays: frozenset[str]) -> Iterator[Variant]:
        """Variants that together cover every mapping whose innermost middle loop is that of one of `ranks`,
        which leave exactly the tensors `still` in place, and with whose outer loops innermost above a middle
        level that does not iterate."""
        slides = self.sliding(stays - still, ranks)
        along = frozenset().union(*slides.values())
        if not still:
            yield Variant("", slides=slides, coupled=along)
        elif len(still) == 1:
            yield from self._one_still(self.lattice.einsum.tensor(*still), slides, along)
        else:       # counted with the fewest words of all
            yield Variant("", far=still, slides={**slides, **self.sliding(still, self.everything)})
        if self.middle:
            for rank in sorted(ranks):
                sliding = {**self.sliding(stays - still, frozenset((rank,))),
                           **self.sliding(still, self.everything)}
                yield Variant(rank, held=self.everything, far=still, slides=sliding)

    def _one_still(self, tensor: Tensor, slides: dict[str, frozenset[str]],
                   along: frozenset[str]) -> Iterator[Variant]:
        """Variants in which one tensor is stationary over the innermost middle loop."""
        still, rest = frozenset((tensor.name,)), self.everything - tensor.ranks
        windows, own = self.lattice.windows.sliders(tensor), tensor.ranks & self.everything
        # Some middle loop moves the tensor ...
        for slider in sorted(windows) or [""]:
            sliding = {**slides, tensor.name: frozenset((slider,))} if slider else slides
            yield Variant("", still=still, slides=sliding, coupled=rest | along | ({slider} - {""}))
        if not self.middle:
            return
        # ... or none does: then the innermost outer loop does, and it slides along that, ...
        if windows:
            for rank in sorted(own):
                sliding = {**slides, tensor.name: frozenset((rank,))} if rank in windows else slides
                yield Variant(rank, held=own, still=still, slides=sliding, coupled=rest | along)
        # ... or that does not either, and the tensor stays through the outer loops as well.
        if rest:
            sliding = {**slides, tensor.name: windows} if windows else slides
            yield Variant(f"-{tensor.name}", held=own, far=still, slides=sliding, coupled=along)

    def going_on(self, variant: Variant) -> Iterator[Variant]:
        """Those parts of a variant in which outer loops of a window's axis follow upon a middle one."""
        for name, sliders in variant.slides.items() if self.middle else ():
            tensor = self.lattice.einsum.tensor(name)
            for rank in sorted(sliders & variant.coupled - variant.held):
                axis = frozenset(t.rank for t in self.lattice.windows.axes[name][rank]) & self.everything
                others = (tensor.ranks & self.everything) - axis
                for outer in self._following(variant.outer, tensor, axis):
                    yield replace(variant, outer=outer, held=variant.held | others, goes_on=name,
                                  coupled=variant.coupled | axis,
                                  slides={**variant.slides, name: frozenset((rank,))})

    def finer(self, variant: Variant, asks: np.ndarray, array: np.ndarray
              ) -> Iterator[tuple[list[Variant], np.ndarray]]:
        """Variants that cover a variant and tell more, and of which pairs: with these tiles of the `array`,
        and with what their ways through a pass ask of the loops outside."""
        windows = self.lattice.windows
        for name, axis, where in windows.hopes.of(self.single, asks) if variant.in_order is None else ():
            if not variant.follows:
                yield list(self._followed(variant, self.lattice.einsum.tensor(name), axis)), where
            elif parts := list(self._in_order(variant, axis)):
                yield parts, where
        for name in (variant.goes_on, variant.follows if variant.throughout else ""):
            ranks = self.everything - self.lattice.einsum.tensor(name).ranks if name else frozenset()
            if ranks - variant.coupled - variant.held and name not in variant.still:
                yield [replace(variant, coupled=variant.coupled | ranks)], np.ones(len(array), dtype=bool)
        for name, sliders in variant.slides.items():
            tensor = self.lattice.einsum.tensor(name)
            for slider in sorted(sliders & variant.coupled - variant.held) if name != variant.goes_on else ():
                other = frozenset(windows.partner(tensor, slider))
                if other and not other <= variant.coupled | variant.held:
                    meets = windows.meets(tensor, slider, 1) | windows.meets(tensor, slider, 2)
                    yield [replace(variant, coupled=variant.coupled | other)], meets[array]
            if parts := list(self._one_first(variant, tensor)):
                yield parts, np.ones(len(array), dtype=bool)

    def _rest(self, variant: Variant, other: Tensor) -> frozenset[str]:
        """The ranks that leave in place what is still, if that is a single tensor and not the `other`."""
        still = [] if variant.through is not None else [
            self.lattice.einsum.tensor(name) for name in variant.still - {other.name}]
        return self.everything - still[0].ranks if len(still) == 1 else frozenset()

    def _in_order(self, variant: Variant, axis: frozenset[str]) -> Iterator[Variant]:
        """Variants that cover one in which loops of an axis go on with steps inside, while another tensor is
        still: for that, loops of other ranks may have to come before. None where one order does for both."""
        tensor = self.lattice.einsum.tensor(variant.follows)
        rest = self._rest(variant, tensor)
        if not rest or axis <= rest:
            return
        between = rest & tensor.ranks - axis
        if between and axis & rest:
            yield replace(variant, in_order=tuple(axis & rest))
        for order in permutations(sorted(axis)):
            first = next(k for k, rank in enumerate(order) if rank not in rest)
            yield replace(variant, in_order=order, through=rest - between - set(order[first:]))

    def _one_first(self, variant: Variant, tensor: Tensor) -> Iterator[Variant]:
        """Variants that cover one in which a tensor slides, while another is still: either loops go on with
        its steps, or more loops leave the other in place before. None where one order does for both."""
        rest, sliders = self._rest(variant, tensor), variant.slides[tensor.name]
        if tensor.name in (variant.goes_on, variant.alone):
            return
        following, partner = variant.coupled - variant.held - rest, self.lattice.windows.partner
        before = {slider: rest & tensor.ranks - {slider} for slider in sorted(sliders & rest)
                  if following & set(partner(tensor, slider))}
        for slider in sorted(sliders) if any(before.values()) else ():
            one = replace(variant, slides={**variant.slides, tensor.name: frozenset((slider,))})
            if before.get(slider):
                yield replace(one, alone=tensor.name)
                yield replace(one, through=rest - before[slider])
            else:
                yield one

    def _followed(self, variant: Variant, tensor: Tensor, axis: frozenset[str]) -> Iterator[Variant]:
        """Variants that cover those of its mappings in which loops of an axis outside an instance may go on
        with steps of a tensor inside, or undo them: of the middle level, and then of the outer one."""
        yield replace(variant, follows=tensor.name, coupled=variant.coupled | axis)
        others = (tensor.ranks & self.everything) - axis
        outward = self.middle and not variant.goes_on
        for outer in self._following(variant.outer, tensor, axis) if outward else ():
            yield replace(variant, outer=outer, held=variant.held | others, coupled=variant.coupled | axis,
                          follows=tensor.name, throughout=True)

    def _following(self, outer: str, tensor: Tensor, axis: frozenset[str]) -> list[str]:
        """Which outer costs there are if the first outer loop that moves `tensor` is one of an axis, for
        variants with the outer cost `outer`."""
        if outer in self.lattice.ranks:
            return [outer] if outer in axis | (self.everything - tensor.ranks) else []
        if not outer:
            return [*sorted(axis), *([f"-{tensor.name}"] if self.everything - tensor.ranks else [])]
        still = self.everything - self.lattice.einsum.tensor(outer[1:]).ranks
        return sorted(still & (axis | (self.everything - tensor.ranks)))

    # ---- loop orders ---------------------------------------------------------------------------

    def orders(self, variant: Variant) -> tuple[tuple[str, ...], ...]:
        """Loop orders of the middle level, the innermost first, that may attain a variant."""
        still = variant.still | variant.far
        ranks = [self.everything - self.lattice.einsum.tensor(name).ranks for name in sorted(still)]
        sliders = frozenset[str]().union(*variant.slides.values()) - variant.held
        if variant.follows:
            windows = self.lattice.windows.axes[variant.follows]
            sliders |= variant.coupled & frozenset(windows) - variant.held
        return self.arranged(frozenset.intersection(*ranks) if ranks else sliders, sliders)

    def arranged(self, inner: frozenset[str], sliders: frozenset[str]) -> tuple[tuple[str, ...], ...]:
        """Orders with the ranks `inner` innermost; one for each of `sliders`, as far in as can be."""
        found = []
        for slider in sorted(sliders) or [""]:
            first, then = sorted(inner - {slider}), self._partners(slider)
            heads = [[slider, *first, *then], [slider, *then, *first]] if slider in inner else \
                [[*first, slider, *then]]
            found += [tuple(r for r in dict.fromkeys([*head, *self.lattice.ranks]) if r) for head in heads]
        return tuple(dict.fromkeys(found))

    def _partners(self, rank: str) -> list[str]:
        """The other ranks of the windows that `rank` slides along."""
        axes = [own[rank] for own in self.lattice.windows.axes.values() if rank in own]
        return sorted({term.rank for axis in axes for term in axis} & self.everything - {rank})

    def all_sliders(self, inner: frozenset[str]) -> tuple[tuple[str, ...], ...]:
        """Orders with the ranks `inner` innermost, whatever slides."""
        windows = frozenset[str]().union(*self.lattice.windows.axes.values())
        return tuple(dict.fromkeys([*self.arranged(inner, frozenset()), *self.arranged(inner, windows)]))
