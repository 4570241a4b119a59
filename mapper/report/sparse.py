"""What zeros change, between costs and the result document."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import MappingError, SpecError
from ..model.cost import SparseTensorCost, Tally, TensorCost
from ..model.evaluate import evaluate
from ..search.result import LayerResult, NetworkResult
from .schema import Actions, DenseEntry, SparseEntry, TensorEntry


@dataclass(frozen=True, slots=True)
class Scale:
    """Instances that a count of one average instance stands for: those of the dense run, and those that
    are left at work on one tensor."""

    dense: float
    left: float

    def totals(self, tally: Tally) -> Actions:
        """Over all instances. Means need not be whole numbers."""
        actual, gated, skipped = (round(n * self.left) for n in (tally.actual, tally.gated, tally.skipped))
        return {"algorithmic": round(tally.algorithmic * self.dense), "actual": actual, "gated": gated,
                "skipped": skipped}

    def tally(self, totals: Actions) -> Tally:
        """The inverse of `totals`."""
        return Tally(share(totals["algorithmic"], self.dense), share(totals["actual"], self.left),
                     share(totals["gated"], self.left), share(totals["skipped"], self.left))


#: For counts that are totals already.
ONE = Scale(1.0, 1.0)


def share(total: int, instances: float) -> float:
    """One instance's share of a total; whole where it can be."""
    each = total / instances if instances else 0.0
    return int(each) if each.is_integer() else each


def dense_entry(layer: LayerResult, result: NetworkResult) -> DenseEntry | None:
    """What the mapping of a layer costs on the same machine where nothing is done about zeros; None
    where that is so anyway, and where the mapping does not fit there."""
    if not result.architecture.sparse:
        return None
    try:
        cost = evaluate(result.architecture.without_zeros(), layer.einsum, layer.mapping,
                        result.semantics, result.options)
    except (MappingError, SpecError):
        return None
    return {"energy_pj": cost.energy_pj, "cycles": cost.cycles}


def sparse_parts(tensor: TensorCost, sparse: SparseTensorCost, utilized: float, dense: float) -> TensorEntry:
    """The entry of a tensor at a level of which so many instances are utilized, and were in a dense run."""
    scale = Scale(dense, utilized * sparse.present)
    reads, fills, updates = (scale.totals(x) for x in (sparse.reads, sparse.fills, sparse.updates))
    metadata = [scale.totals(x) for x in (sparse.metadata_reads, sparse.metadata_fills,
                                          sparse.metadata_updates)]
    entry: SparseEntry = {
        "density": sparse.density, "present": sparse.present, "fitting": sparse.fitting,
        "formats": list(sparse.formats), "tile_bits": round(sparse.tile_bits),
        "tile_metadata_bits": round(sparse.metadata_bits),
        "metadata_reads": metadata[0], "metadata_fills": metadata[1], "metadata_updates": metadata[2],
        "compressions": round(sparse.compressions * scale.left),
        "decompressions": round(sparse.decompressions * scale.left),
        "data_pj": sparse.data_pj, "metadata_pj": sparse.metadata_pj, "conversion_pj": sparse.conversion_pj,
        "refetched_pj": sparse.refetched_pj}
    return {
        "tile_words": tensor.tile_words,
        "partition_words": tensor.partition_words,
        "reads": reads, "fills": fills, "updates": updates,
        "metadata": {"reads": metadata[0]["actual"], "fills": metadata[1]["actual"],
                     "updates": metadata[2]["actual"]},
        "temporal_reductions": round(tensor.temporal_reductions * scale.left),
        "address_generations": round(tensor.address_generations * scale.left),
        "energy_pj": tensor.energy_pj,
        "address_pj": tensor.address_pj,
        "read_bandwidth": tensor.read_bandwidth,
        "write_bandwidth": tensor.write_bandwidth,
        "sparse": entry}


def sparse_tensor(entry: TensorEntry, sparse: SparseEntry, utilized: float, dense: float) -> TensorCost:
    """The inverse of `sparse_parts`, to within the rounding of totals."""
    scale = Scale(dense, utilized * sparse["present"])
    reads, fills, updates, more_reads, more_fills, more_updates = (scale.tally(x) for x in (
        entry["reads"], entry["fills"], entry["updates"], sparse["metadata_reads"],
        sparse["metadata_fills"], sparse["metadata_updates"]))
    return TensorCost(
        entry["tile_words"], entry["partition_words"], reads.actual, fills.actual, updates.actual,
        share(entry["temporal_reductions"], scale.left), share(entry["address_generations"], scale.left),
        entry["energy_pj"], entry["address_pj"], entry["read_bandwidth"], entry["write_bandwidth"],
        SparseTensorCost(
            reads, fills, updates, sparse["density"], sparse["present"], sparse["fitting"],
            tuple(sparse["formats"]),
            more_reads, more_fills, more_updates,
            sparse["tile_bits"], sparse["tile_metadata_bits"], share(sparse["compressions"], scale.left),
            share(sparse["decompressions"], scale.left), sparse["data_pj"], sparse["metadata_pj"],
            sparse["conversion_pj"], sparse["refetched_pj"]))
