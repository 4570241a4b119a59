"""What an instance's tile and a shape of the array cost together, over numbers of tiles: what the units ask,
what enters the instances, and the least of what surrounds the array, by classes of mappings."""

from __future__ import annotations

from functools import cached_property
from math import inf, nan, prod

import numpy as np

from ...model.energy import gate, leakage_per_cycle
from ...workload.einsum import Tensor
from .inside import Pairs
from .outside import Outside

_LITTLE = 0.1                 # shares of words that may rest that are not looked at apart
_CLOSE = 1000                 # pairs together that are looked at with all numbers of middle tiles
_MOST_NUMBERS = 400           # of these
_NONE = -1                    # of the ranks of a tensor (see `Outside.table`)

#: Words that tiles load, by tensor and by the rank along which windows slide (see `Pairs.loads`).
Words = dict[str, dict[int | None, np.ndarray]]
#: How a middle tile is chosen for a candidate (see `Outside.middle_tile`).
Variant = tuple[str, Tensor | None, float]

#: Of middle tiles around a stationary tensor (see `Outside.table`), the share of it that rests.
_Case = tuple[str, int | None, int | None, np.ndarray]


class Around(Outside):
    """Costs of one keep/bypass choice by pairs of an instance's tile with a shape of the array."""

    @cached_property
    def still(self) -> list[list[Tensor]]:
        """By rank the tensors that a loop over it leaves in place."""
        return [[t for t in self.tensors if rank not in t.ranks] for rank in self.l.ranks]

    # ---- what the units ask --------------------------------------------------------------------

    def at_units(self, tensor: Tensor, copies: np.ndarray) -> np.ndarray:
        """Energy of what the units ask of an instance that keeps a tensor, less first touches there."""
        inside, enters = self.rates(tensor, self.l.middle + 1, None), self.entering(tensor)
        return inside.asked * self.l.einsum.macs \
            - (inside.first + enters.copied) * self.sizes[tensor.name] * copies

    def extent(self, tensor: Tensor) -> float:
        """Points of the ranks that move a tensor."""
        return prod((float(self.l.extents[i]) for i in self.l.moving(tensor)), start=1.0)

    def least_shared(self, tensor: Tensor, shape: np.ndarray) -> np.ndarray | float:
        """`Pairs.shared` of any tiles, at the least; `shape` by rank."""
        share: np.ndarray | float = 1.0
        for (p, _), (r, _) in self.l.windows(tensor):
            m, n = shape[p], shape[r]
            share = share * (m + n - 1) / (m * n) / np.where((m > 1) & (n > 1), 2, 1)
        return share

    @cached_property
    def _leaking(self) -> float:
        """Leakage in a cycle of an instance of the array, and of what it switches, pJ."""
        gates = [gate(self.l.arch, i) for i in range(self.l.depth)] if not self.figure else []
        return sum((leakage_per_cycle(self.l.arch.levels[i]) * switched
                    for i, (switch, switched) in enumerate(gates) if switch > self.l.middle), 0.0)

    def asked(self, pairs: Pairs) -> np.ndarray:
        """Energy of what the units ask, less first touches in the instances, and of what those of these leak
        that are at work."""
        total = self._leaking * pairs.steps * (pairs.tiles / pairs.passes).prod(axis=0)
        for tensor in self.tensors:
            if tensor in self.held:
                total += self.at_units(tensor, pairs.copies(tensor))
                total -= self.entering(tensor).first * self.sizes[tensor.name]
                continue
            rates = self.rates(tensor, self.parent(tensor), None)
            words: np.ndarray | float = float(self.l.einsum.macs)
            if self.l.multicast:
                words = pairs.shared(tensor) * self.extent(tensor)
                for i in self.l.others(tensor):
                    words = words * self.l.spreads[i].steps[pairs.s[i], pairs.t[i]]
            total += rates.asked * words - rates.first * self.sizes[tensor.name]
        return total

    # ---- what surrounds the array ----------------------------------------------------------------

    def variants(self, i: int | None, pairs: Pairs, energy: np.ndarray, words: Words,
                  close: int) -> list[tuple[np.ndarray, Variant]]:
        """Energy at the least, for classes of mappings that together are all."""
        if i is None:
            return self._around_the_array(None, pairs, energy, list(self.tensors), words, close)
        rest = np.maximum(pairs.alone[i], pairs.idle[i])
        rests: list[tuple[int | None, np.ndarray]] = [(None, rest)]
        apart = pairs.alone[i] > np.maximum(pairs.idle[i], _LITTLE)
        if close and apart.any():
            rests = [(None, np.where(apart, pairs.idle[i], rest)), (i, rest)]
        still = self.still[i]
        moved = {t.name: self.moved(i, t, pairs, words[t.name]) for t in self.held if t not in still}
        found = list[tuple[np.ndarray, Variant]]()
        for cut, share in rests:
            total = energy
            for anew, once in moved.values():
                total = total + (1 - share) * anew + share * once
            own = self._around_the_array(cut, pairs, total, still, words, close)
            found += own if cut is None else [(np.where(apart, x, inf), variant) for x, variant in own]
        much = rest > _LITTLE
        if close and much.any():
            energy = sum((self.once(t, pairs, words[t.name]) for t in self.held if t in still), energy)
            for name, (anew, once) in moved.items():
                others = [(1 - rest) * x + rest * y for other, (x, y) in moved.items() if other != name]
                outer = self._resting(self.l.einsum.tensor(name), i, pairs, rest, once)
                least = sum(others, energy + (1 - rest) * anew + outer)
                found = [(np.where(much, np.maximum(own, least), own), variant) for own, variant in found]
        return found

    def _resting(self, tensor: Tensor, i: int, pairs: Pairs, rest: np.ndarray,
                 once: np.ndarray) -> np.ndarray:
        """The least outer cost with what words cost that rest while the innermost loop makes a pass, `once`
        for all of them: these enter anew whenever the middle changes, unless neither the innermost outer
        loop nor any of the middle moves the tensor then."""
        at, own = tuple(pairs.a), [k for k in self.l.moving(tensor) if k != i]
        most, none = np.maximum(pairs.alone[own], pairs.idle[own]), np.zeros((2, len(rest)))
        both, single = most.max(axis=0, initial=0.0), pairs.single(own)
        apart = single * np.sort(np.concatenate([most, none]), axis=0)[-2] if len(own) > 1 else none[0]
        least = self.table("bare", tensor, None, i)[at] + rest * once
        for kind, but, share in (("moved", None, rest * (1 - apart)), ("moved", i, rest * (1 - single)),
                                 ("bare", None, rest * (1 - both))):
            bare, still = (self.table(x, tensor, None, but)[at] for x in (kind, f"{kind} still"))
            with np.errstate(invalid="ignore"):
                outer = (1 - share) * bare + share * still + (rest - share) * once
            least = np.minimum(least, np.where(np.isfinite(bare), outer, inf))
        return least

    def _around_the_array(self, cut: int | None, pairs: Pairs, energy: np.ndarray, still: list[Tensor],
                          words: Words, close: int) -> list[tuple[np.ndarray, Variant]]:
        """Energy at the least where tensors stay in place while the innermost loop above the array runs."""
        kept, at = [t for t in still if t in self.held], tuple(pairs.a)
        once = sum((self.once(t, pairs, words[t.name]) for t in kept), energy)
        if len(kept) != 1:      # counted with the fewest words of all
            return [(once + self.table("any", None, cut)[at], ("any", None, 0.0))]
        tensor, = kept
        price, energy = self._stationary(tensor, pairs, energy, words[tensor.name])
        cases = self._rests(tensor, cut, pairs, close)
        others = [self.l.shape[i] for i in self.l.others(tensor)]
        if close < 2 or self.l.is_constant(tensor) or prod(others) > _MOST_NUMBERS:
            outer = [self._again(tensor, pairs, *case) for case in cases]
        else:
            outer = [self._at_numbers(tensor, pairs, price, *case) for case in cases]
        return [(once + self.table("far", tensor, cut)[at], ("far", tensor, 0.0)),
                (energy + np.fmin.reduce(outer), ("any", tensor, float(price.min(initial=inf))))]

    def moved(self, i: int, tensor: Tensor, pairs: Pairs,
               words: dict[int | None, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Energy of a tensor that the innermost loop moves, that of rank `i`, and what it costs at the least
        while that loop has one iteration in a pass: words that may rest are loaded once and for all."""
        others, rates = self.l.others(tensor), self.entering(tensor)
        anew, least = words.get(i, words[None]), np.minimum.reduce(list(words.values()))
        passes, entered = pairs.passes[others].prod(axis=0), pairs.tiles[others].prod(axis=0)
        return (rates.asked * pairs.asked(tensor, anew, passes, entered) + rates.filled * anew * entered,
                rates.asked * pairs.asked(tensor, least, 1.0, 1.0) + rates.filled * least)

    def once(self, tensor: Tensor, pairs: Pairs, words: dict[int | None, np.ndarray]) -> np.ndarray:
        """Energy of a tensor that enters every instance that needs it once."""
        rates, copies = self.entering(tensor), pairs.copies(tensor)
        least = np.minimum.reduce(list(words.values()))
        return rates.asked * pairs.asked(tensor, least, 1.0, copies) + rates.filled * least * copies

    def _stationary(self, tensor: Tensor, pairs: Pairs, energy: np.ndarray,
                    words: dict[int | None, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """What a tensor costs in each pass of the middle if it enters anew whenever that changes, and
        `energy` with what it costs besides.

        Instances along a rank that have the same words, s of them, in n passes of the middle load these n +
        s - 1 times at least, and so in the product over ranks."""
        rates, copies = self.entering(tensor), pairs.copies(tensor)
        least = np.minimum.reduce(list(words.values()))
        price = least * (rates.asked * (pairs.shared(tensor) if self.l.multicast else 1.0) + rates.filled)
        return price, energy + (rates.filled if self.l.multicast else rates.word) * least * (copies - 1)

    def _rests(self, tensor: Tensor, cut: int | None, pairs: Pairs, close: int) -> list[_Case]:
        """Which share of a stationary tensor may rest through outer loops, and with which of these: where all
        loops of the middle that move it have one iteration, of which one or several may have more
        elsewhere. A share is nan where another case is enough; what is said of a pair depends on no other."""
        shares = {i: (pairs.idle[i], pairs.alone[i]) for i in self.l.moving(tensor)}
        most = {i: np.maximum(*own) for i, own in shares.items()}
        if not close:
            return [*self._single(cut, pairs, most),
                    ("bare", cut, None, np.max(list(most.values()), axis=0, initial=0.0))]
        cases = self._single(cut, pairs, most)
        none = np.zeros(len(pairs.steps))
        together = np.sort(np.stack([*most.values(), none, none]), axis=0)[-2:].prod(axis=0)
        for i, (idle, alone) in shares.items():
            little = most[i] <= _LITTLE
            together = np.maximum(together, np.where(little, most[i], 0.0))
            if little.all():
                continue
            cases.append(("bare", None, i, np.where(little, nan, idle)))
            cut_off = (alone > idle) & ~little
            if cut_off.any():
                cases.append(("bare", i, i, np.where(cut_off, most[i], nan)))
        return [*cases, ("bare", cut, None, together)]

    def _single(self, cut: int | None, pairs: Pairs, most: dict[int, np.ndarray]) -> list[_Case]:
        """The cases in which the innermost outer loop moves the tensor, but for words whose instance has a
        single iteration of it, while loops of the middle leave these in place. `most`: shares of which these
        do so if they move the tensor."""
        cases, common = list[_Case](), np.zeros(len(pairs.steps))
        for i in most:
            share, others = pairs.single([i]), [most[k] for k in most if k != i]
            much, part = share > _LITTLE, share * np.max(others, axis=0, initial=0.0)
            common = np.maximum(common, np.where(much, part, share))
            if much.any():
                cases.append(("lone", None, i, np.where(much, share, nan)))
        return [("moved", cut, None, common), *cases]

    def _again(self, tensor: Tensor, pairs: Pairs, kind: str, cut: int | None, but: int | None,
               rest: np.ndarray) -> np.ndarray:
        """The least outer cost with what a stationary tensor costs, at the least, of which a part rests."""
        still = self.table(f"{kind} still", tensor, cut, but)[tuple(pairs.a)]
        if not rest.any():
            return np.asarray(still)
        bare = self.table(kind, tensor, cut, but)[tuple(pairs.a)]
        once = self.entering(tensor).word * self.l.floor(tensor)
        with np.errstate(invalid="ignore"):
            return np.where(np.isfinite(bare), bare + rest * once + (1 - rest) * (still - bare), inf)

    def _at_numbers(self, tensor: Tensor, pairs: Pairs, price: np.ndarray, kind: str, cut: int | None,
                    but: int | None, rest: np.ndarray) -> np.ndarray:
        """The same over all numbers of middle tiles in the ranks that do not move the tensor, which costs
        `price` a pass of the middle."""
        others = self.l.others(tensor)
        chosen = np.indices([self.l.shape[i] for i in others]).reshape(len(others), -1 if others else 1)
        at: list[np.ndarray] = [own[:, None] for own in pairs.a]
        times = np.ones((1, chosen.shape[1]))
        for i, places in zip(others, chosen, strict=True):
            at[i], times = places[None, :], times * self.l.counts[i][places]
        table, again = self.table(f"{kind} at", tensor, cut, but), (1 - rest) * price
        found = list[np.ndarray]()
        for start in range(0, len(again), _CLOSE):
            part = slice(start, start + _CLOSE)
            own = [x[part] if i not in others else x for i, x in enumerate(at)]
            good = np.ones((1, 1), dtype=bool)
            for i in others:
                good = good & (at[i] <= pairs.a[i][part][:, None])
            outer = np.where(good, table[tuple(own)], inf)
            found.append((outer + again[part][:, None] * times).min(axis=1, initial=inf))
        return np.concatenate([np.zeros(0), *found]) + rest * price
