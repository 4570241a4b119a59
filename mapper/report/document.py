"""`NetworkResult` to the result document and back. The document is what every report is made from."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar, cast
from typing import Mapping as MappingOf

from ..errors import Problem, SpecError
from ..files import read_bytes
from ..hardware.build import build_architecture
from ..mapping.read_constraints import read_constraints
from ..mapping.text import format_nest, parse_nest
from ..mapping.write_constraints import constraints_to_dict
from ..model.cost import Cost, LevelCost, NetworkCost, TensorCost, TransferCost
from ..model.options import Options
from ..model.traffic import Delivery
from ..search.objectives import PARETO
from ..search.result import Difference, LayerResult, NetworkResult
from ..spec.nodes import Problems, locate
from ..workload.build import build_workload, workload_to_dict
from ..workload.graph import WorkloadGraph
from .explain import explain_entry, explanation
from .machine import architecture_entry, digest
from .proofs import (
    certificate,
    certificate_entry,
    front_entry,
    layer_front,
    layer_front_entry,
    timeloop_entries,
)
from .schema import (
    Actions,
    LayerEntry,
    LevelEntry,
    NetworkCertificate,
    NetworkEntry,
    ResultDocument,
    TensorEntry,
    Total,
    TransferEntry,
    validate,
)
from .sparse import ONE, dense_entry, share, sparse_parts, sparse_tensor

_N = TypeVar("_N", int, float)


def to_document(result: NetworkResult, graph: WorkloadGraph | None = None) -> ResultDocument:
    """The result document of `result`: JSON-ready, its keys always in the same order.

    `graph` is the workload; without it, the document holds the layers without their edges.
    """
    if graph is None:
        graph = WorkloadGraph(result.workload, [(x.einsum, x.count) for x in result.layers])
    workload = workload_to_dict(graph)
    document: ResultDocument = {
        "schema": "tilebound.result/1",
        "tool": {"name": "tilebound", "version": version("tilebound")},
        "objective": result.objective,
        "interrupted": result.interrupted,
        "semantics": result.semantics,
        "architecture": architecture_entry(result.architecture),
        "workload": {"name": graph.name, "sha256": digest(workload), "spec": workload},
        "total": _total(result),
        "layers": [_layer_entry(layer, result) for layer in result.layers],
    }
    if result.constraints:
        document["constraints"] = constraints_to_dict(result.constraints)
    if result.front is not None:
        document["front"] = front_entry(result.front, [layer.name for layer in result.layers])
    if changed := result.options.changed():
        document["options"] = cast(Any, changed)
    found = {layer.name for layer in result.layers}
    if missing := [einsum.name for einsum in graph if einsum.name not in found]:
        document["missing"] = missing
    return document


def dumps(document: ResultDocument) -> str:
    """The JSON text of a document."""
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def load_document(path: str | Path) -> ResultDocument:
    """Read a result document.

    Raises SpecError, with every fault, for a file that cannot be read, is not JSON, or has not the
    shape of `result.schema.json`.
    """
    try:
        data = json.loads(read_bytes(path).decode("utf-8-sig"), parse_constant=_refuse_constant,
                          parse_int=lambda text: _finite(int, text),
                          parse_float=lambda text: _finite(float, text))
    except OSError as error:
        raise SpecError([Problem(str(path), 0, 0, f"cannot read the file: {error.strerror or error}; "
                                 "expected a result document")]) from None
    except UnicodeDecodeError as error:
        raise SpecError([Problem(str(path), 0, 0, f"byte {error.start} is not UTF-8; expected a result "
                                 "document")]) from None
    except json.JSONDecodeError as error:
        raise SpecError([Problem(str(path), error.lineno, error.colno,
                                 f"not JSON: {error.msg}; expected a result document")]) from None
    except (ValueError, RecursionError) as error:
        raise SpecError([Problem(str(path), 0, 0, f"not JSON: {error}; expected a result "
                                 "document")]) from None
    return validate(data, str(path))


def load_result(source: str | Path | MappingOf[str, object]) -> tuple[NetworkResult, WorkloadGraph]:
    """A result document, or the path of one, back into the values that it was made from; raises SpecError."""
    if isinstance(source, MappingOf):
        return from_document(validate(source))
    return from_document(load_document(source), str(source))


def from_document(document: ResultDocument,
                  origin: str = "document") -> tuple[NetworkResult, WorkloadGraph]:
    """The inverse of `to_document`. The costs are those that the document states, not re-computed.

    Raises SpecError where the embedded specs or mappings are wrong; `origin` names the document.
    """
    problems = Problems()
    architecture = build_architecture(locate(document["architecture"]["spec"], origin), problems)
    graph = build_workload(locate(document["workload"]["spec"], origin), problems)
    if architecture is None or graph is None:
        raise SpecError(problems.errors)
    sections = [locate(document["constraints"], origin)] if "constraints" in document else []
    constraints = read_constraints(sections, architecture, graph, problems)
    problems.raise_if_any()
    layers = []
    for entry in document["layers"]:
        if entry["name"] not in graph.graph:
            raise SpecError([Problem(origin, 0, 0, f"layer {entry['name']!r} is not in the workload")])
        einsum = graph[entry["name"]]
        mapping = parse_nest(locate(entry["mapping"], origin), architecture, einsum)
        layer = LayerResult(einsum, entry["count"], mapping, _cost(entry), difference=_difference(entry))
        if "certificate" in entry:
            why = explanation(entry["explain"]) if "explain" in entry else None
            layer = replace(layer, certificate=replace(certificate(entry["certificate"]), explanation=why))
        if "front" in entry:
            layer = replace(layer, front=layer_front(entry["front"], architecture, einsum, origin))
        layers.append(layer)
    return NetworkResult(architecture, graph.name, document["objective"], tuple(layers),
                         document["interrupted"], document["semantics"], constraints,
                         Options(**document.get("options", {}))), graph


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _finite(kind: type[_N], text: str) -> _N:
    """A number that can be reckoned with."""
    if isfinite(float(text)):
        return kind(text)
    raise ValueError(f"{text[:20]}{'...' * (len(text) > 20)} is too large a number")


def _total(result: NetworkResult) -> Total:
    cycles, macs = result.cycles, result.macs
    areas = [x.cost.area_um2 for x in result.layers]
    slots = result.architecture.compute.instances * cycles
    total: Total = {
        "cycles": cycles,
        "energy_pj": result.energy_pj,
        "edp_pj_cycles": result.energy_pj * cycles,
        "area_um2": areas[0] if areas else None,
        "macs": macs,
        "utilization": sum(x.count * _busy(x) for x in result.layers) / slots if slots else 0.0,
    }
    certificate = network_certificate(result)
    return total if certificate is None else {**total, "certificate": certificate}


def _busy(layer: LayerResult) -> float:
    """Operations that take a unit its time."""
    states = layer.cost.compute_states
    return layer.einsum.macs if states is None else states.actual + states.gated


def network_certificate(result: NetworkResult) -> NetworkCertificate | None:
    """The objective summed over all layers and their repetitions, and what is proven about it.

    Every layer is searched for itself, so this sum is what the search makes least. None when a
    layer has no certificate, and for a front.
    """
    if result.objective == PARETO:
        return None
    value = lower_bound = 0.0
    for layer in result.layers:
        if layer.certificate is None:
            return None
        value += layer.count * layer.certificate.value
        lower_bound += layer.count * layer.certificate.lower_bound
    gap = (value - lower_bound) / value if value else 0.0
    return {"value": value, "lower_bound": lower_bound, "gap": gap} if result.layers else None


def _layer_entry(layer: LayerResult, result: NetworkResult) -> LayerEntry:
    cost = layer.cost
    entry: LayerEntry = {
        "name": layer.name,
        "count": layer.count,
        "ranks": dict(layer.einsum.extent),
        "macs": layer.einsum.macs,
        "cycles": cost.cycles,
        "energy_pj": cost.energy_pj,
        "area_um2": cost.area_um2,
        "utilization": cost.utilization,
        "bottleneck": cost.bottleneck,
        "computes": _actions(cost.computes) if cost.compute_states is None
        else ONE.totals(cost.compute_states),
        "levels": [_level_entry(x) for x in (*cost.levels, cost.compute)],
        "networks": [_network_entry(x, cost.level(x.level).utilized_instances) for x in cost.networks],
        "mapping": format_nest(layer.mapping, result.architecture, layer.einsum),
        "mapping_spec": timeloop_entries(layer.mapping, layer.einsum, result.architecture),
    }
    if layer.certificate is not None:
        entry["certificate"] = certificate_entry(layer.certificate)
        if layer.certificate.explanation is not None:
            entry["explain"] = explain_entry(entry, layer.certificate.explanation)
    if layer.front is not None:
        entry["front"] = layer_front_entry(layer.front, result.architecture, layer.einsum)
    if (other := layer.difference) is not None:
        entry["difference"] = {"semantics": other.semantics, "energy_pj": other.energy_pj,
                               "cycles": other.cycles, "computes": other.computes}
    if (dense := dense_entry(layer, result)) is not None:
        entry["dense"] = dense
    return entry


def _actions(count: int) -> Actions:
    return {"algorithmic": count, "actual": count, "gated": 0, "skipped": 0}


def _level_entry(level: LevelCost) -> LevelEntry:
    entry: LevelEntry = {
        "name": level.name,
        "instances": level.instances,
        "utilized_instances": level.utilized_instances,
        "cycles": level.cycles,
        "energy_pj": level.energy_pj,
        "leakage_pj": level.leakage_pj,
        "area_um2": level.area_um2,
        "throttling": level.throttling,
        "tensors": {name: _tensor_entry(x, level) for name, x in level.tensors.items()},
    }
    return entry if level.dense_instances is None else {**entry, "dense_instances": level.dense_instances}


def _tensor_entry(tensor: TensorCost, level: LevelCost) -> TensorEntry:
    instances = level.utilized_instances
    if tensor.sparse is not None:
        return sparse_parts(tensor, tensor.sparse, instances, level.dense_instances or instances)

    def total(words: float) -> int:
        return round(words * instances)     # the mean of one instance need not be whole

    return {
        "tile_words": tensor.tile_words,
        "partition_words": tensor.partition_words,
        "reads": _actions(total(tensor.reads)),
        "fills": _actions(total(tensor.fills)),
        "updates": _actions(total(tensor.updates)),
        "metadata": {"reads": 0, "fills": 0, "updates": 0},
        "temporal_reductions": total(tensor.temporal_reductions),
        "address_generations": total(tensor.address_generations),
        "energy_pj": tensor.energy_pj,
        "address_pj": tensor.address_pj,
        "read_bandwidth": tensor.read_bandwidth,
        "write_bandwidth": tensor.write_bandwidth,
    }


def _network_entry(network: NetworkCost, instances: float) -> NetworkEntry:
    return {
        "name": network.name,
        "level": network.level,
        "energy_pj": network.energy_pj,
        "hop_pj": network.hop_pj,
        "tensors": {name: _transfer_entry(x, instances) for name, x in network.tensors.items()},
    }


def _transfer_entry(transfer: TransferCost, instances: float) -> TransferEntry:
    return {
        "accesses": [{"factor": factor, "words": round(words * instances)}
                     for factor, words in sorted(transfer.accesses.items())],
        "energy_pj": transfer.energy_pj,
        "deliveries": [{
            "multicast": x.multicast, "scatter": x.scatter, "words": float(x.words * instances),
            "hops": None if x.hops is None else float(x.hops * instances)} for x in transfer.deliveries],
        "ingresses": float(transfer.ingresses * instances),
        "hops": None if transfer.hops is None else float(transfer.hops),
        "reductions": float(transfer.reductions * instances),
        "passed": float(transfer.passed * instances),
        "energy_parts": {name: float(energy) for name, energy in transfer.energy_parts.items()},
    }


def _difference(entry: LayerEntry) -> Difference | None:
    other = entry.get("difference")
    return None if other is None else Difference(**other)


def _cost(entry: LayerEntry) -> Cost:
    levels = [_level_cost(x) for x in entry["levels"]]
    above = {x.name: x.utilized_instances for x in levels}
    networks = tuple(NetworkCost(
        x["name"], x["energy_pj"],
        {name: _transfer_cost(t, above[x["level"]]) for name, t in x["tensors"].items()},
        x["level"], x["hop_pj"]) for x in entry["networks"])
    sparse = any(x.dense_instances is not None for x in levels)
    return Cost(entry["cycles"], entry["energy_pj"], entry["computes"]["actual"],
                entry["utilization"], entry["bottleneck"], entry["area_um2"],
                tuple(levels[:-1]), levels[-1], networks,
                ONE.tally(entry["computes"]) if sparse else None)


def _transfer_cost(entry: TransferEntry, instances: float) -> TransferCost:
    n = instances or 1
    return TransferCost(
        {x["factor"]: share(x["words"], n) for x in entry["accesses"]}, entry["energy_pj"],
        tuple(Delivery(x["multicast"], x["scatter"], x["words"] / n,
                       None if x["hops"] is None else x["hops"] / n) for x in entry["deliveries"]),
        entry["ingresses"] / n, entry["hops"], entry["reductions"] / n, entry["passed"] / n,
        entry["energy_parts"])


def _level_cost(entry: LevelEntry) -> LevelCost:
    n = entry["utilized_instances"]
    tensors: MappingOf[str, TensorCost] = {
        name: _tensor_cost(x, n, entry.get("dense_instances", n)) for name, x in entry["tensors"].items()}
    return LevelCost(entry["name"], entry["instances"], n, entry["cycles"], entry["energy_pj"],
                     entry["leakage_pj"], entry["area_um2"], tensors, entry["throttling"],
                     entry.get("dense_instances"))


def _tensor_cost(x: TensorEntry, n: float, dense: float) -> TensorCost:
    if "sparse" in x:
        return sparse_tensor(x, x["sparse"], n, dense)
    return TensorCost(
        x["tile_words"], x["partition_words"], share(x["reads"]["actual"], n),
        share(x["fills"]["actual"], n), share(x["updates"]["actual"], n),
        share(x["temporal_reductions"], n), share(x["address_generations"], n), x["energy_pj"],
        x["address_pj"], x["read_bandwidth"], x["write_bandwidth"])
