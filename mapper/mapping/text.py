"""The loop nest of a mapping as text: one line a level, one line a loop, readable both ways.

    GLB [A 256, B 128, Z 128] no multicast [A]
          for N in 4
            for K in 4 (Spatial-Y)
              for M in 8,5 (Spatial-X)

The 5 is the number of iterations in the last pass, where it differs. A level line lists the tensors
kept, with the words of their tiles; a person who writes one leaves the numbers out, and the brackets
too when the level keeps all it may. A level may have several lines, each with the tensors whose tiles
are cut there (see `parts`). Indentation is free.
"""

from __future__ import annotations

import re
from dataclasses import replace

from ..errors import SpecError
from ..hardware.architecture import Architecture
from ..spec.fields import describe
from ..spec.nodes import Node, Problems, did_you_mean, locate, one_of
from ..workload.einsum import Axis, Einsum, Tensor
from .nest import DIRECTIVES, Block, Loop, Mapping, Skew, SkewTerm, factor_text
from .parts import in_order
from .timeloop import default_keep

# Both are matched after runs of blanks have been made single ones.
LOOP = re.compile(r"for (?P<rank>\w+) in (?P<factor>\d{1,15})(?: ?, ?(?P<last>\d{1,15}))?"
                  r"(?: ?\(Spatial-(?P<axis>[XY])\))?$")
LEVEL = re.compile(r"(?P<name>[^\[\]]+?)(?: ?\[(?P<keep>[^\]]*)\])?"
                   + "".join(rf"(?: {directive.replace('_', ' ')} ?\[(?P<{directive}>[^\]]*)\])?"
                             for directive in DIRECTIVES)
                   + r"(?: skew (?P<skew>[^\[\]]+))?$")
SKEW_TERM = re.compile(r"(?P<constant>[+-]?\d{1,15})(?: ?\* ?(?P<rank>\w+)(?P<spatial> ?\(spatial\))?)?$")


def format_nest(mapping: Mapping, architecture: Architecture, einsum: Einsum) -> list[str]:
    """One line a level and a loop, outermost first, and the compute unit's work at the end.

    The numbers after the kept tensors are the words of the tile that one instance holds.
    `parse_nest` reads the lines back.
    """
    lines, depth = [], 0
    for index, block in enumerate(mapping):
        tile = mapping.tile(index, einsum.extent)
        kept = [f"{t.name} {einsum.tile_words(t, tile)}" for t in einsum.tensors if t.name in block.keep]
        heading = f"{block.level} [{', '.join(kept)}]"
        for directive, names in block.directives:
            if names:
                heading += f" {directive.replace('_', ' ')} [{', '.join(sorted(names))}]"
        if block.skew is not None:
            heading += f" skew {format_skew(block.skew)}"
        lines.append(heading)
        for suffix, loops in (("", block.temporal), (" (Spatial-Y)", block.spatial_y),
                              (" (Spatial-X)", block.spatial_x)):
            for loop in loops:
                lines.append(f"{'  ' * depth}for {loop.rank} in {factor_text(loop)}{suffix}")
                depth += 1
    lines.append(f"{architecture.compute.name}: {'  ' * depth}{format_work(einsum)}")
    return lines


def format_skew(skew: Skew) -> str:
    """`1*M (spatial), 1*K mod 4`: the position of the instance that does the work."""
    terms = [f"{x.constant}" + ("" if x.rank is None else f"*{x.rank}" + " (spatial)" * x.spatial)
             for x in skew.terms]
    return f"{', '.join(terms)} mod {skew.modulo}"


def format_work(einsum: Einsum) -> str:
    """What one compute unit does at a point of the nest: `Z[M, N] += A[M, K] * B[K, N]`."""
    outputs = " ".join(f"{_indexed(t)} +=" for t in einsum.tensors if t.is_output)
    return f"{outputs} {' * '.join(_indexed(t) for t in einsum.tensors if not t.is_output)}".strip()


def _indexed(tensor: Tensor) -> str:
    return f"{tensor.name}[{', '.join(_affine(axis) for axis in tensor.projection)}]"


def _affine(axis: Axis) -> str:
    text = ""
    for term in axis:
        sign = "-" if term.coefficient < 0 else "+" if text else ""
        scale = "" if abs(term.coefficient) == 1 else f"{abs(term.coefficient)}*"
        text += f"{sign}{scale}{term.rank}"
    return text or "0"


def parse_nest(data: object, architecture: Architecture, einsum: Einsum,
               problems: Problems | None = None) -> Mapping:
    """Read the lines that `format_nest` prints, or that a person wrote.

    Parameters
    ----------
    data : str, list of str, or a `Node` of either
        Blank lines and the line of the compute unit count for nothing. A level that is not
        mentioned has no loops and keeps all it may.
    problems : Problems, optional
        Collects the faults; the mapping returned is meaningless when it gains any.

    Raises
    ------
    SpecError
        When `problems` is not given and there are faults.
    """
    found = Problems() if problems is None else problems
    defaults = {level.name: Block(level.name, default_keep(level, einsum)) for level in architecture.levels}
    blocks: list[Block] = []
    compute = re.compile(rf"{re.escape(architecture.compute.name)}(:|$)")
    for line in _lines(locate(data)):
        if not line.is_scalar:
            found.error(line, f"{describe(line)} of YAML here; expected the lines of a loop nest, or a list "
                        "of entries with `target` and `type`")
            continue
        text = " ".join(str(line.value).split())
        if not text or compute.match(text):
            continue
        if text.startswith("for "):
            if not blocks:
                found.error(line, f"{text!r}; expected the line of a level first")
            else:
                blocks[-1] = _with_loop(line, text, blocks[-1], einsum, found)
        elif (block := _level(line, text, defaults, einsum, found)) is not None:
            blocks.append(block)
    if problems is None and found.errors:
        raise SpecError(found.errors)
    return in_order(architecture, blocks, defaults.values())


def _lines(node: Node) -> list[Node]:
    """The lines of a text block or of a list of texts, with their places."""
    if not node.is_scalar:
        return list(node) or [node] * node.is_map
    below = 1 if node.line else 0      # a block scalar starts on the line after its `|`
    return [replace(node, value=text, line=node.line + below + i if node.line else i + 1)
            for i, text in enumerate(str(node.value or "").splitlines())]


def _with_loop(line: Node, text: str, block: Block, einsum: Einsum, problems: Problems) -> Block:
    """`block` with the loop that `text` describes as its innermost."""
    match = LOOP.match(text)
    if match is None:
        problems.error(line, f"{text!r}; expected for RANK in NUMBER or NUMBER,LAST, then nothing, "
                       "(Spatial-X) or (Spatial-Y)")
        return block
    rank, factor = match["rank"], int(match["factor"])
    if rank not in einsum.ranks or factor < 1:
        wrong = f"factor {factor}; expected 1 or more" if factor < 1 else (
            f"no rank {rank!r} in {einsum.name}; expected {one_of(einsum.ranks)}"
            + did_you_mean(rank, einsum.ranks))
        problems.error(line, wrong)
        return block
    last = int(match["last"] or factor)
    if not 1 <= last <= factor:
        problems.error(line, f"{last} iterations in the last pass; expected 1 to {factor}")
        return block
    loops = (Loop(rank, factor, None if last == factor else last),) if factor > 1 else ()
    if match["axis"] == "X":
        return replace(block, spatial_x=block.spatial_x + loops)
    if match["axis"] == "Y":
        return replace(block, spatial_y=block.spatial_y + loops)
    if block.spatial:
        problems.error(line, f"{text!r} inside a spatial loop of {block.level}; expected temporal "
                       "loops before spatial ones, or the line of the next level")
    return replace(block, temporal=block.temporal + loops)


def _level(line: Node, text: str, blocks: dict[str, Block], einsum: Einsum,
           problems: Problems) -> Block | None:
    """The level that `text` opens, without loops; None when there is no such level."""
    match = LEVEL.match(text)
    name = match["name"] if match else text
    if match is None or name not in blocks:
        problems.error(line, f"no storage level {name!r}; expected {one_of(blocks)}, or a loop "
                       "for RANK in NUMBER" + did_you_mean(name, blocks))
        return None
    keep = blocks[name].keep
    if match["keep"] is not None:
        keep = _tensors(line, match["keep"], einsum, problems)
    skew = None if match["skew"] is None else _skew(line, match["skew"], einsum, problems)
    named = {x: _tensors(line, match[x], einsum, problems) for x in DIRECTIVES}
    return Block(name, keep, (), (), (), **named, skew=skew)


def _skew(line: Node, text: str, einsum: Einsum, problems: Problems) -> Skew | None:
    """The skew that `format_skew` prints; None when it is not understood."""
    listed, _, modulo = text.rpartition(" mod ")
    matches = [SKEW_TERM.match(x.strip()) for x in listed.split(",")]
    terms = tuple(SkewTerm(int(x["constant"]), x["rank"], bool(x["spatial"])) for x in matches if x)
    if len(terms) < len(matches) or not modulo.isdecimal() or modulo.strip("0") == "" or any(
            x.rank not in (None, *einsum.ranks) for x in terms):
        problems.error(line, f"skew {text!r}; expected NUMBER, NUMBER*RANK or NUMBER*RANK (spatial), "
                       "separated by commas, then mod NUMBER")
        return None
    return Skew(int(modulo), terms)


def _tensors(line: Node, listed: str | None, einsum: Einsum, problems: Problems) -> frozenset[str]:
    """The tensors of a bracket such as `A 256, B 128`; the numbers are not read."""
    known = [t.name for t in einsum.tensors]
    names = [item.split()[0] for item in (listed or "").split(",") if item.strip()]
    for name in names:
        if name not in known:
            problems.error(line, f"no tensor {name!r} in {einsum.name}; expected {one_of(known)}"
                           + did_you_mean(name, known))
    return frozenset(names)
