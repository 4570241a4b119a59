"""Timeloop's section `mapper`: what becomes an option, and warnings about all else."""

from __future__ import annotations

import pytest
from tilebound.errors import SpecError
from tilebound.search.mapper_keys import MapperOptions, read_mapper
from tilebound.spec.nodes import Problems
from tilebound.spec.reader import read_text


def read(text: str) -> MapperOptions:
    problems = Problems()
    node, = read_text(text, problems, "m.yaml")
    found = read_mapper(node["mapper"], problems)
    problems.raise_if_any()
    return found


def refused(text: str) -> list[str]:
    with pytest.raises(SpecError) as error:
        read(text)
    return [str(problem) for problem in error.value.problems]


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
    found, = refused("mapper: {optimization_metric: enrgy}")
    assert "unknown metric 'enrgy'; expected one of edp, " in found and "did you mean 'energy'?" in found


def test_keys_of_timeloop_without_a_meaning_are_warned_of_where_they_stand() -> None:
    found = read("mapper:\n  version: 0.4\n  victory_condition: 100\n  log_stats: true\n"
                 "  live-status: false\n")
    assert [str(warning) for warning in found.warnings] == [
        "m.yaml:3:3: warning: victory_condition is not used: the search goes on until its result is proven, "
        "or to --gap or --time-limit"]


def test_keys_that_nobody_knows_are_faults() -> None:
    first, second = refused("mapper:\n  num_thread: 2\n  num_threads: 0\n")
    assert first.startswith("m.yaml:2:3: error: unknown key 'num_thread' in mapper; expected one of ")
    assert first.endswith("; did you mean 'num_threads'?")
    assert second == "m.yaml:3:16: error: num_threads is 0; expected a whole number, 1 or more"
    assert refused("mapper: [1]") == ["m.yaml:1:9: error: mapper is a list; expected a mapping"]
