"""The command `tilebound`. Answers go to stdout, progress and diagnostics to stderr."""

from __future__ import annotations

import errno
import os
import signal
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterator, Literal, Sequence

import click

from .cli_values import Number, Objective, defined, switched
from .errors import InfeasibleError, MappingError, Problem, SpecError
from .signals import Terminated, heeded

if TYPE_CHECKING:
    from .hardware.architecture import Architecture
    from .loading import Loaded
    from .model.cost import Semantics
    from .model.options import Options
    from .report.schema import ResultDocument
    from .search.result import LayerResult, NetworkResult
    from .workload.graph import WorkloadGraph

DONE, INTERNAL, BAD_INPUT, INFEASIBLE, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143

#: Sections that say which mappings a search may consider.
_CONSTRAINTS = ("constraints", "architecture_constraints", "mapspace_constraints")
#: Sections of Timeloop's inputs that are known and have no meaning here.
_NEVER_USED = ("layout", "model")

_EPILOG = """Exit status: 0 done; 1 internal error; 2 bad input, every problem on a line of its own;
3 no valid mapping exists; 130 interrupted by Ctrl-C, 143 by SIGTERM: the best found so far is written."""


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
_folder = click.option("-o", "folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
                       help="Write result.json, report.txt, report.html and mapping.yaml into DIR.")

_file = click.option("-o", "file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
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

    loaded, architecture, workload = _load(specs, define)
    _require_place(folder)
    options = switched(loaded.options, switches)
    _note_unused(loaded, (*_CONSTRAINTS, "mapper", *_NEVER_USED))
    layers = _evaluated(loaded, architecture, workload, semantics, options)
    result = NetworkResult(architecture, workload.name, "edp", layers, semantics=semantics, options=options)
    return _answer(result, workload, as_json, folder)


@cli.command("map", epilog=_EPILOG)
@_specs
@click.option("--objective", type=Objective(), metavar="OBJECTIVE",
              help="What to make least: energy, latency, edp or ed2p, or two of these with a comma between, "
              "the second among mappings that are equal in the first; or pareto, the front of energy and "
              "cycles.  [default: what `mapper` in a SPEC says, else edp]")
@click.option("--points", type=click.IntRange(2), default=20, show_default=True,
              help="With pareto: at most so many searches for a layer, each of which finds a point of its "
              "front or shows that there is none.")
@click.option("--gap", type=Number(0, 1), default=0.0, show_default=True,
              help="Stop at a layer once it is proven to be within this share of the optimum.")
@click.option("--time-limit", metavar="SECONDS", type=Number(0, min_open=True),
              help="Most time for the whole search, all layers together.")
@click.option("--jobs", type=click.IntRange(1), help="Processes to use; the answer does not depend on it.  "
              "[default: what `mapper` in a SPEC says, else 1]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Seed of what is tried at random.")
@click.option("--imperfect", is_flag=True, help="Consider factors that do not divide the ranks as well: any "
              "loop may have fewer iterations in its last pass.")
@click.option("--uneven", is_flag=True, help="Consider mappings as well in which each tensor cuts the loop "
              "nest at a place of its own.")
@click.option("--explain", is_flag=True, help="Say as well why each mapping is the best: what dominates, "
              "what binds, what other classes lose (looked at closely, for up to as long again), where the "
              "mapspace went. Nothing of this is said of fronts and of uneven mappings.")
@_semantics
@_define
@_json
@_folder
def map_(specs: tuple[str, ...], objective: str | None, points: int, gap: float, time_limit: float | None,
         jobs: int | None, seed: int, imperfect: bool, uneven: bool, explain: bool,
         semantics: Semantics, define: tuple[str, ...], as_json: bool, folder: Path | None) -> int:
    """Find the best mapping of every layer, and prove how good it is.

    Constraints in the SPECs say which mappings are considered, native ones and Timeloop's.
    Ctrl-C (or SIGTERM) gives the best found so far, with the bounds proven so far.
    """
    loaded, architecture, workload = _load(specs, define)
    _require_place(folder)
    _refuse_switches(loaded)
    from .api import read_constraints
    from .search.mapper_keys import read_mapper

    sections = [loaded.sections[key] for key in _CONSTRAINTS if key in loaded.sections]
    constraints = read_constraints(sections, architecture, workload, semantics)
    constraints = replace(constraints, imperfect=imperfect or constraints.imperfect,
                          uneven=uneven or constraints.uneven)
    asked = read_mapper(loaded.sections.get("mapper"))
    for warning in asked.warnings:
        click.echo(str(warning), err=True)
    objective, jobs = objective or asked.objective or "edp", jobs or asked.jobs or 1
    _note_unused(loaded, ("mapping", *_NEVER_USED))
    from .report.progress import ProgressDisplay
    from .search.network import search_network  # slow to import: only for sound specs

    watch = ProgressDisplay(objective, sys.stderr) if sys.stderr.isatty() else nullcontext()
    with watch as progress, _conflicts_shown(as_json):
        result = search_network(architecture, workload, objective=objective, gap=gap, time_limit=time_limit,
                                jobs=jobs, seed=seed, constraints=constraints, semantics=semantics,
                                points=points, explain=explain, progress=progress,
                                save=_saver(workload, folder))
    return _answer(result, workload, as_json, folder, explain)


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
    return _written(dump(converted(loaded, dialect, layer)), file)


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
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["text", "html", "csv", "markdown"]), default="text",
              show_default=True, help="csv: a row for each layer, in pJ and cycles.")
@_file
def report(result: Path, form: str, file: Path | None) -> int:
    """The report on a result document: all of it as text or as one HTML file, or its tables."""
    from .report.document import load_document
    from .report.output import FORMATS

    return _written(FORMATS[form](load_document(result)), file)


@cli.command()
@click.argument("result", type=click.Path(path_type=Path))
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


def _load(specs: Sequence[str], define: Sequence[str]) -> tuple[Loaded, Architecture, WorkloadGraph]:
    """What the SPECs hold, when that can be evaluated."""
    from .loading import load_specs

    loaded = load_specs(specs, define=defined(define))
    for note in loaded.notes:
        click.echo(str(note), err=True)
    problems = list(loaded.unsupported)
    if loaded.architecture is None:
        problems.append(_missing(specs, "architecture", "arch"))
    if loaded.workload is None:
        problems.append(_missing(specs, "workload", "workloads"))
    if problems or loaded.architecture is None or loaded.workload is None:
        raise SpecError(problems)
    return loaded, loaded.architecture, loaded.workload


def _written(text: str, file: Path | None) -> int:
    """Write `text` to the file, or else to stdout."""
    if file is None:
        click.echo(text, nl=False)
    else:
        from .files import write_atomic

        write_atomic(file, text)
    return DONE


def _require_place(folder: Path | None) -> None:
    """Raise an OSError where the folder of the answer cannot be written or made, so that no long run ends
    without a place for it. It is made when there is something to write."""
    if folder is None:
        return
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(there))
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(there))


def _refuse_switches(loaded: Loaded) -> None:
    """Raise a SpecError for switches that a search cannot honour."""
    if loaded.options.changed():
        from .model.options import refuse_changed
        from .spec.nodes import Problems

        problems = Problems()
        refuse_changed(loaded.sections["globals"], problems)
        raise SpecError(problems.unsupported)


def _missing(specs: Sequence[str], what: str, kind: str) -> Problem:
    return Problem(" ".join(specs), 0, 0, f"no {what} given; expected a SPEC with the key {what!r} or the "
                   f"name of a library entry; `tilebound list {kind}` shows them")


def _note_unused(loaded: Loaded, keys: Sequence[str]) -> None:
    """Say on stderr which sections were read and count for nothing here."""
    nodes = dict(loaded.sections)
    if loaded.mappings:
        nodes["mapping"] = next(iter(loaded.mappings.values()))
    for key in keys:
        if (node := nodes.get(key)) is not None:
            note = Problem(node.file, node.line, node.column, f"{key!r} is not used here", "note")
            click.echo(str(note), err=True)


def _evaluated(loaded: Loaded, architecture: Architecture, workload: WorkloadGraph,
               semantics: Semantics, options: Options) -> tuple[LayerResult, ...]:
    """Every layer with the mapping given for it, evaluated."""
    from .api import evaluate_layer

    mappings = dict(loaded.mappings)
    names = [einsum.name for einsum in workload]
    if "" in mappings and len(names) == 1:
        mappings.setdefault(names[0], mappings.pop(""))
    problems = [Problem(node.file, node.line, node.column, f"a mapping for layer {name!r}; expected one of "
                        f"{', '.join(names)} under `layer`")
                for name, node in mappings.items() if name not in names]
    problems += [Problem(workload.name, 0, 0, f"no mapping for layer {name!r}; expected the key 'mapping'")
                 for name in names if name not in mappings]
    layers = []
    for einsum in workload:
        if problems or einsum.name not in mappings:
            continue
        try:
            layers.append(evaluate_layer(architecture, einsum, mappings[einsum.name],
                                         workload.count(einsum.name), semantics, options))
        except MappingError as error:
            node = mappings[einsum.name]
            problems += [Problem(node.file, node.line, node.column, f"layer {einsum.name}: {reason}")
                         for reason in error.reasons]
    if problems:
        raise SpecError(problems)
    return tuple(layers)


@contextmanager
def _conflicts_shown(as_json: bool) -> Iterator[None]:
    """Prints what conflicts as JSON where nothing fits, if that is asked for."""
    try:
        yield
    except InfeasibleError as error:
        if as_json:
            from .report.conflict import conflict_text

            click.echo(conflict_text(error), nl=False)
        raise


def _saver(workload: WorkloadGraph, folder: Path | None) -> Callable[[NetworkResult], None] | None:
    """Keeps result.json up to date while layers are still being searched."""
    if folder is None:
        return None
    from .files import write_atomic
    from .report.document import dumps, to_document

    return lambda result: write_atomic(folder / "result.json", dumps(to_document(result, workload)))


def _answer(result: Any, workload: WorkloadGraph, as_json: bool, folder: Path | None,
            explain: bool = False) -> int:
    """Print the answer and write its files."""
    from .report import front
    from .report.document import dumps, to_document
    from .report.output import write_outputs
    from .report.potential import sentences
    from .report.tables import show
    from .report.text import summary
    from .report.views import counting

    document: ResultDocument = to_document(result, workload)
    try:
        if folder is not None:
            write_outputs(document, folder)
    finally:        # an answer that cannot be written is still shown
        if as_json:
            click.echo(dumps(document), nl=False)
        else:
            show(summary(document))
            if (table := front.summary(document)) is not None:
                click.echo()
                show(table)
                click.echo(front.note(document["front"]))
            if explain:
                from .report.why import render

                click.echo(f"\n{render(document)}")
            if any("difference" in layer for layer in document["layers"]):
                click.echo(counting(document), err=True)
            for sentence in sentences(document):
                click.echo(sentence, err=True)
    if not document["interrupted"]:
        return DONE
    missing = document.get("missing", [])
    click.echo(f"interrupted: {len(document['layers'])} of {len(workload)} layers, the best found so far"
               + (f"; none yet of {', '.join(missing)}" if missing else ""), err=True)
    return INTERRUPTED


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    with heeded() as came:
        status = _run(arguments, came)
    return TERMINATED if status == INTERRUPTED and signal.SIGTERM in came else status


def _run(arguments: Sequence[str] | None, came: Sequence[int]) -> int:
    """`run`, with the signals that have come."""
    try:
        status = cli.main(arguments, prog_name="tilebound", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status if isinstance(status, int) else DONE
    except click.ClickException as error:
        error.show()
        return BAD_INPUT
    except SpecError as error:
        click.echo("\n".join(map(str, error.problems)), err=True)
        return BAD_INPUT
    except MappingError as error:
        click.echo("\n".join(f"error: {reason}" for reason in error.reasons), err=True)
        return BAD_INPUT
    except InfeasibleError as error:
        click.echo(f"error: {error}", err=True)
        return INFEASIBLE
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except Terminated:
        click.echo("terminated", err=True)
        return TERMINATED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())    # nobody reads any more
        return DONE
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"error: {where}{error.strerror or error}", err=True)
        return BAD_INPUT
    except Exception as error:
        if came:        # some libraries turn an interruption into an error of their own
            click.echo("interrupted", err=True)
            return INTERRUPTED
        if os.environ.get("TILEBOUND_DEBUG"):
            raise
        click.echo(f"internal error: {type(error).__name__}: {error}\n"
                   "(set TILEBOUND_DEBUG=1 to see where)", err=True)
        return INTERNAL


def main() -> None:
    """Entry point of the command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")      # a name that the terminal cannot show
    sys.exit(run())
