"""Timeloop's section `mapper`: what becomes an option, and warnings about all else."""

from __future__ import annotations

import pytest
from tilebound.search.mapper_keys import MapperOptions, read_mapper
from tilebound.spec.nodes import Problems
from tilebound.spec.reader import read_text


def read(text: str) -> MapperOptions:
    node, = read_text(text, Problems(), "m.yaml")
    return read_mapper(node["mapper"])


def warned(text: str) -> list[str]:
    return [str(warning) for warning in read(text).warnings]


def test_further_metrics_that_the_search_does_not_heed_are_warned_of() -> None:
    found = read("mapper:\n  optimization-metrics: [delay, energy, edp]\n  num-threads: 4\n")
    assert (found.objective, found.jobs) == ("latency,energy", 4)
    assert [(x.line, x.column) for x in found.warnings] == [(2, 41)]
    assert str(found.warnings[0]) == (
        "m.yaml:2:41: warning: metric 'edp' is not used: mappings that are equal in latency and energy are "
        "equal in it")


@pytest.mark.parametrize(("metrics", "objective"), [
    ("delay, energy", "latency,energy"), ("energy, delay", "energy,latency"),
    ("cycles, energy", "latency,energy")])
def test_a_metric_after_the_first_chooses_among_equal_mappings(metrics: str, objective: str) -> None:
    assert read(f"mapper: {{optimization_metrics: [{metrics}]}}") == MapperOptions(objective)


@pytest.mark.parametrize("metric", ["last-level-accesses", "last_level_accesses", "accesses-2", "accesses",
                                    "ordered_accesses", "ordered-accesses"])
def test_words_moved_are_no_objective(metric: str) -> None:
    found = read(f"mapper: {{optimization_metrics: [{metric}, energy]}}")
    assert found.objective == "energy"
    assert [str(x) for x in found.warnings] == [
        f"m.yaml:1:33: warning: metric '{metric}' is not used: words moved are no objective here; expected "
        "one of edp, delay, cycles, latency, energy, ed2p"]


def test_metrics_that_nobody_knows() -> None:
    assert read("mapper: {optimization_metric: EDP}") == MapperOptions("edp")
    found, = warned("mapper: {optimization_metric: enrgy}")
    assert "metric 'enrgy' is not used: it is not known" in found and "did you mean 'energy'?" in found


def test_other_keys_are_warned_of_where_they_stand() -> None:
    assert warned("mapper:\n  version: 0.4\n  victory_condition: 100\n  log_stats: true\n  num_thread: 2\n"
                  "  num_threads: 0\n  live-status: false\n") == [
        "m.yaml:3:3: warning: victory_condition is not used: the search goes on until its result is proven, "
        "or to --gap or --time-limit",
        "m.yaml:5:3: warning: num_thread is not used: it has no meaning for this search; did you mean "
        "'num_threads'?",
        "m.yaml:6:16: warning: num_threads is 0 and is not used; expected a whole number, 1 or more"]
    assert warned("mapper: [1]") == [
        "m.yaml:1:9: warning: mapper is a list and is not used; expected a mapping"]
