"""`WorkloadGraph`: the layers of a network, with the tensors that flow between them on the edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterable, Iterator, Mapping

from ..spec.nodes import did_you_mean, one_of
from .einsum import Einsum

if TYPE_CHECKING:
    import networkx


class WorkloadGraph:
    """Layers (`Einsum`) in execution order over a `networkx.DiGraph`.

    `graph` has a node a layer name, with attributes `einsum`, `count` (how often the layer occurs)
    and `extra_parameters` (trained numbers outside the loop nest: biases, batch normalisation), and
    an edge producer -> consumer with attribute `tensor`, the name of what flows.
    """

    def __init__(self, name: str, layers: Iterable[tuple[Einsum, int]],
                 edges: Iterable[tuple[str, str, str]] = (),
                 extra_parameters: Mapping[str, int] | None = None) -> None:
        import networkx  # 0.1 s: only when a workload is really built

        self.name = name
        self.graph: networkx.DiGraph = networkx.DiGraph(name=name)
        for einsum, count in layers:
            if einsum.name in self.graph:
                raise ValueError(f"{name}: two layers are called {einsum.name!r}")
            self.graph.add_node(einsum.name, einsum=einsum, count=count,
                                extra_parameters=(extra_parameters or {}).get(einsum.name, 0))
        for producer, consumer, tensor in edges:
            for end in (producer, consumer):
                if end not in self.graph:
                    raise ValueError(f"{name}: edge {producer} -> {consumer}: no layer {end!r}")
            self.graph.add_edge(producer, consumer, tensor=tensor)
        if not networkx.is_directed_acyclic_graph(self.graph):
            raise ValueError(f"{name}: the layers form a cycle")

    def __getitem__(self, layer: str) -> Einsum:
        """The layer of this name; KeyError, with the nearest name, when there is none."""
        einsum: Einsum = self._node(layer)["einsum"]
        return einsum

    def _node(self, layer: str) -> dict[str, Any]:
        if layer not in self.graph:
            raise KeyError(f"no layer {layer!r} in {self.name}; expected {one_of(self.graph)}"
                           f"{did_you_mean(str(layer), self.graph)}")
        found: dict[str, Any] = self.graph.nodes[layer]
        return found

    def __iter__(self) -> Iterator[Einsum]:
        return (self.graph.nodes[n]["einsum"] for n in self.graph)

    def __len__(self) -> int:
        return len(self.graph)

    def count(self, layer: str) -> int:
        """How often `layer` occurs in the network."""
        count: int = self._node(layer)["count"]
        return count

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the whole network, repeated layers included."""
        return sum(e.macs * self.count(e.name) for e in self)

    @property
    def parameters(self) -> int:
        """Trained numbers of the whole network: the words of every tensor called "Weights" and the
        extra parameters, repeated layers included."""
        return sum(
            (sum(e.tensor_words(t.name) for t in e.tensors if t.name == "Weights")
             + self.graph.nodes[e.name]["extra_parameters"]) * self.count(e.name) for e in self)

    def distinct(self) -> dict[tuple[object, ...], list[str]]:
        """Layer names grouped by canonical form, in order of first occurrence."""
        groups: dict[tuple[object, ...], list[str]] = {}
        for einsum in self:
            groups.setdefault(einsum.canonical, []).append(einsum.name)
        return groups
