"""The files that a run leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

from ..files import write_atomic
from .document import dumps
from .html import render_html
from .rows import render_csv, render_markdown
from .schema import ResultDocument
from .text import render_text


def render_mappings(document: ResultDocument) -> str:
    """All mappings as YAML, one document a layer, in Timeloop's v0.4 entries.

    A mapping that these cannot express is given as the lines of its loop nest, which tilebound
    reads as well.
    """
    import yaml  # type: ignore[import-untyped]

    documents = []
    for layer in document["layers"]:
        mapping = layer["mapping_spec"] or layer["mapping"]
        documents.append({"layer": layer["name"], "mapping": mapping})
    return str(yaml.safe_dump_all(documents, sort_keys=False, width=1000, explicit_start=True))


#: What `write_outputs` writes, by file name.
OUTPUTS: dict[str, Callable[[ResultDocument], str]] = {
    "result.json": dumps, "report.txt": render_text, "report.html": render_html,
    "mapping.yaml": render_mappings}
#: The forms of a report that can be asked for.
FORMATS: dict[str, Callable[[ResultDocument], str]] = {
    "text": render_text, "html": render_html, "csv": render_csv, "markdown": render_markdown}


def write_outputs(document: ResultDocument, folder: str | Path) -> list[Path]:
    """Write every file of `OUTPUTS` into `folder`, each one whole or not at all.

    All are made before the first is written. Raises OSError when one cannot be written.
    """
    texts = {Path(folder, name): render(document) for name, render in OUTPUTS.items()}
    for path, text in texts.items():
        write_atomic(path, text)
    return list(texts)
