"""The command `tilebound`. Answers go to stdout, progress and diagnostics to stderr."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Sequence

import click

from .cli_input import evaluated, load, note_unused, refuse_switches
from .cli_output import (
    BAD_INPUT,
    DONE,
    INFEASIBLE,
    INTERNAL,
    INTERRUPTED,
    TERMINATED,
    answer,
    conflicts_shown,
    require_place,
    saver,
    write,
)
from .cli_values import File, Number, Objective, Whole, defined, switched
from .errors import InfeasibleError, MappingError, SpecError
from .signals import Terminated, heeded

if TYPE_CHECKING:
    from .model.cost import Semantics

#: Sections that say which mappings a search may consider.
_CONSTRAINTS = ("constraints", "architecture_constraints", "mapspace_constraints")
#: Sections of Timeloop's inputs that are known and have no meaning here.
_NEVER_USED = ("layout", "model")

_EPILOG = """Exit status: 0 done; 1 internal error; 2 bad input, every problem on a line of its own;
3 no valid mapping exists; 130 interrupted by Ctrl-C, 143 by SIGTERM: the best found so far is written; before
a search begins, or where there is none, no file is."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.version_option(package_name="tilebound", prog_name="tilebound")
def cli() -> None:
    """Find, cost and prove mappings of DNN layers on accelerators.

    A SPEC is a YAML file (native or Timeloop) or the name of a library entry, such as eyeriss or
    resnet18; several are merged by their top-level keys.
    """


_specs = click.argument("specs", metavar="SPEC...", nargs=-1, required=True)
_define = click.option("-D", "--define", "define", metavar="NAME=VALUE", multiple=True,
                       help="Value of a name in SPECs that are jinja2 templates.")
_json = click.option("--json", "as_json", is_flag=True,
                     help="Print the result document on stdout, and nothing else.")
_folder = click.option("-o", "folder", metavar="DIR", type=File(file_okay=False, path_type=Path),
                       help="Write result.json, report.txt, report.html and mapping.yaml into DIR.")

_file = click.option("-o", "file", metavar="FILE", type=File(dir_okay=False, path_type=Path),
                     help="Write to FILE and not to stdout; folders that do not exist are made.")

_semantics = click.option("--semantics", type=click.Choice(["exact", "timeloop"]), default="exact",
                          show_default=True, help="Count right, or with the defects of Timeloop's model.")


@cli.command(epilog=_EPILOG)
@_specs
@_semantics
@click.option("--option", "switches", metavar="NAME=on|off", multiple=True,
              help="first-read-elision (on), torus or updated-rmw (off): what Timeloop takes from "
              "environment variables; wins over `globals` in a SPEC.")
@_define
@_json
@_folder
def evaluate(specs: tuple[str, ...], semantics: Semantics, switches: tuple[str, ...],
             define: tuple[str, ...], as_json: bool, folder: Path | None) -> int:
    """Cost of given mappings.

    The SPECs hold an architecture, a workload and a mapping for each of its layers: Timeloop
    entries or the lines of a loop nest. A document with a mapping names its layer under `layer`,
    which a workload of one layer does not need.
    """
    from .search.result import NetworkResult

    loaded, architecture, workload = load(specs, define)
    require_place(folder)
    options = switched(loaded.options, switches)
    note_unused(loaded, (*_CONSTRAINTS, "mapper", *_NEVER_USED))
    layers = evaluated(loaded, architecture, workload, semantics, options)
    result = NetworkResult(architecture, workload.name, "edp", layers, semantics=semantics, options=options)
    return answer(result, workload, as_json, folder)


@cli.command("map", epilog=_EPILOG)
@_specs
@click.option("--objective", type=Objective(), metavar="OBJECTIVE",
              help="What to make least: energy, latency, edp or ed2p, or two of these with a comma between, "
              "the second among mappings that are equal in the first; or pareto, the front of energy and "
              "cycles.  [default: what `mapper` in a SPEC says, else edp]")
@click.option("--points", metavar="N", type=Whole(2), help="With pareto: at most so many searches for a "
              "layer, each of which finds a point of its front or shows that there is none.  [default: 20]")
@click.option("--gap", metavar="SHARE", type=Number(0, 1), default=0.0, show_default=True,
              help="Stop at a layer once it is proven to be within this share of the optimum.")
@click.option("--time-limit", metavar="SECONDS", type=Number(0, min_open=True),
              help="Most time for the search, all layers together. Reading SPECs and writing the answer come "
              "on top; a first mapping and one bound of every layer are found in any case.")
@click.option("--jobs", metavar="N", type=Whole(1), help="Processes to use; the answer does not depend on "
              "it.  [default: what `mapper` in a SPEC says, else 1]")
@click.option("--seed", metavar="N", type=Whole(0), default=0, show_default=True,
              help="Seed of what is tried at random.")
@click.option("--imperfect", is_flag=True, help="Consider factors that do not divide the ranks as well: any "
              "loop may have fewer iterations in its last pass.")
@click.option("--uneven", is_flag=True, help="Consider mappings as well in which each tensor cuts the loop "
              "nest at a place of its own.")
@click.option("--explain", is_flag=True, help="Say as well why each mapping is the best: what dominates, "
              "what binds, what other classes lose (looked at closely, for up to as long again), where the "
              "mapspace went. Of a front, of the point chosen.")
@_semantics
@_define
@_json
@_folder
def map_(specs: tuple[str, ...], objective: str | None, points: int | None, gap: float,
         time_limit: float | None, jobs: int | None, seed: int, imperfect: bool, uneven: bool, explain: bool,
         semantics: Semantics, define: tuple[str, ...], as_json: bool, folder: Path | None) -> int:
    """Find the best mapping of every layer, and prove how good it is.

    Constraints in the SPECs say which mappings are considered, native ones and Timeloop's.
    Ctrl-C (or SIGTERM) gives the best found so far, with the bounds proven so far.
    """
    loaded, architecture, workload = load(specs, define)
    require_place(folder)
    refuse_switches(loaded)
    from .api import read_constraints
    from .search.mapper_keys import read_mapper
    from .spec.nodes import Problems

    sections = [loaded.sections[key] for key in _CONSTRAINTS if key in loaded.sections]
    constraints = read_constraints(sections, architecture, workload, semantics)
    constraints = replace(constraints, imperfect=imperfect or constraints.imperfect,
                          uneven=uneven or constraints.uneven)
    problems = Problems()
    asked = read_mapper(loaded.sections.get("mapper"), problems)
    problems.raise_if_any()
    for warning in asked.warnings:
        click.echo(str(warning), err=True)
    objective, jobs = objective or asked.objective or "edp", jobs or asked.jobs or 1
    if points is not None and objective != "pareto":
        raise click.BadParameter(f"only a front has points, and the objective is {objective}.",
                                 param_hint="--points")
    note_unused(loaded, ("mapping", *_NEVER_USED))
    from .report.progress import ProgressDisplay
    from .search.network import search_network  # slow to import: only for sound specs

    watch = ProgressDisplay(objective, sys.stderr) if sys.stderr.isatty() else nullcontext()
    with watch as progress, conflicts_shown(as_json):
        result = search_network(architecture, workload, objective=objective, gap=gap, time_limit=time_limit,
                                jobs=jobs, seed=seed, constraints=constraints, semantics=semantics,
                                points=points or 20, explain=explain, progress=progress,
                                save=saver(workload, folder))
    return answer(result, workload, as_json, folder, explain)


@cli.command()
@_specs
@click.option("--to", "dialect", type=click.Choice(["timeloop", "native"]), required=True,
              help="The dialect to write.")
@click.option("--layer", metavar="NAME", help="The layer to write; Timeloop's files hold one.")
@_file
@_define
def convert(specs: tuple[str, ...], dialect: Literal["timeloop", "native"], layer: str | None,
            file: Path | None, define: tuple[str, ...]) -> int:
    """Write architectures, workloads, mappings and constraints in the other dialect.

    Timeloop's dialect comes with the energies and areas as reference tables (ERT and ART).
    """
    from .convert import convert as converted
    from .convert import dump
    from .loading import load_specs

    loaded = load_specs(specs, define=defined(define))
    for note in loaded.notes:
        click.echo(str(note), err=True)
    return write(dump(converted(loaded, dialect, layer)), file)


@cli.command()
@click.argument("name", metavar="[CLASS", required=False)
@click.argument("parameters", metavar="KEY=VALUE...]", nargs=-1)
@click.option("--arch", "specs", metavar="SPEC", multiple=True,
              help="Every level, network and unit of the architecture in SPEC; with CLASS, the components in "
              "SPEC are known as well. May be given several times, for files that belong together.")
@_define
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, and nothing else.")
def energy(name: str | None, parameters: tuple[str, ...], specs: tuple[str, ...], define: tuple[str, ...],
           as_json: bool) -> int:
    """Energy, area and leakage of a component, and where each figure comes from.

    CLASS with its parameters, such as `sram depth=16384 width=64 node=45nm`; or --arch; without
    either, the classes that are known, with their parameters.
    """
    if define and not specs:
        raise click.UsageError("-D without --arch: no SPEC takes a value.")
    from . import cli_energy

    if name is not None:
        cli_energy.component(name, parameters, specs, defined(define), as_json)
    elif specs:
        cli_energy.machine(specs, defined(define), as_json)
    else:
        cli_energy.classes(as_json)
    return DONE


@cli.command("list")
@click.argument("kind", type=click.Choice(["arch", "workloads"]), required=False)
def list_(kind: str | None) -> int:
    """What the library holds: architectures and workloads."""
    from .loading import library_names

    for name in [kind] if kind else ["arch", "workloads"]:
        entries = library_names(name)
        if kind is None:
            click.echo({"arch": "Architectures", "workloads": "Workloads"}[name])
        width = max((len(entry) for entry, _ in entries), default=0)
        for entry, description in entries:
            more = "" if description.endswith(".") else " ..."      # a sentence that goes on
            click.echo(f"  {entry.ljust(width)}  {description}{more}".rstrip())
    return DONE


@cli.command()
@click.argument("result", type=File(path_type=Path))
@click.option("--format", "form", type=click.Choice(["text", "html", "csv", "markdown"]), default="text",
              show_default=True, help="csv: a row for each layer, in pJ and cycles.")
@_file
def report(result: Path, form: str, file: Path | None) -> int:
    """The report on a result document: all of it as text or as one HTML file, or its tables."""
    from .report.document import load_document
    from .report.output import FORMATS

    return write(FORMATS[form](load_document(result)), file)


@cli.command()
@click.argument("result", type=File(path_type=Path))
def check(result: Path) -> int:
    """Check a result document without a solver: evaluate its mappings again and derive its bounds
    from the multipliers in its certificates.

    Exit status: 0 all of it holds; 1 the check failed, every difference on a line of stderr; 2 the
    document cannot be read.
    """
    from .report.document import load_document

    document = load_document(result)
    from .report.check import certificates, check_document  # slow to import: only for a sound document

    failures = check_document(document)
    for failure in failures:
        click.echo(f"{result}: {failure}", err=True)
    if failures:
        click.echo(f"{result}: check failed, {len(failures)} difference{'s' * (len(failures) > 1)}", err=True)
        return INTERNAL
    mappings = sum(len(x["front"]["points"]) if "front" in x else 1 for x in document["layers"])
    click.echo(f"{result}: {mappings} mappings and {len(list(certificates(document)))} certificates hold")
    return DONE


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    with heeded() as came:
        status = _run(arguments, came)
    return TERMINATED if status == INTERRUPTED and signal.SIGTERM in came else status


def _run(arguments: Sequence[str] | None, came: Sequence[int]) -> int:
    """`run`, with the signals that have come."""
    try:
        status = cli.main(arguments, prog_name="tilebound", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else DONE
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        return BAD_INPUT
    except SpecError as error:
        _say("\n".join(map(str, error.problems)))
        return BAD_INPUT
    except MappingError as error:
        _say("\n".join(f"error: {reason}" for reason in error.reasons))
        return BAD_INPUT
    except InfeasibleError as error:
        _say(f"error: {error}")
        return INFEASIBLE
    except (KeyboardInterrupt, click.Abort):
        _say(_left("interrupted", came))
        return INTERRUPTED
    except Terminated:
        _say(_left("terminated", came))
        return TERMINATED
    except (BrokenPipeError, SystemExit):       # with which click answers the former
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())    # nobody reads any more
        return DONE
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _say(f"error: {where}{error.strerror or error}")
        return BAD_INPUT
    except Exception as error:
        if came:        # some libraries turn an interruption into an error of their own
            _say(_left("interrupted", came))
            return INTERRUPTED
        if os.environ.get("TILEBOUND_DEBUG"):
            raise
        _say(f"internal error: {type(error).__name__}: {error}\n(set TILEBOUND_DEBUG=1 to see where)")
        return INTERNAL


def _say(text: str) -> None:
    """Print on stderr, where there is room for it: the exit status tells the rest."""
    with suppress(OSError):
        click.echo(text, err=True)


def _left(how: str, came: Sequence[int]) -> str:
    """What is said where no answer is given: the first signal that comes before or after a search leaves
    no file behind, while a second one may end a search that has kept its best in one."""
    return how if len(came) > 1 else f"{how} before there was an answer: no file is written"


def main() -> None:
    """Entry point of the command."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:      # closed by whoever runs the command
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        getattr(sys, name).reconfigure(errors="replace")      # a name that the terminal cannot show
    sys.exit(run())
