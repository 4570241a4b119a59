"""What conflicts where nothing fits, as a document of its own."""

from __future__ import annotations

import json
from dataclasses import asdict

from ..errors import InfeasibleError


def conflict_text(error: InfeasibleError) -> str:
    """The JSON text of "tilebound.conflict/1": the message, and the conflict where one is known (see
    `search.conflict.relief.Conflict`)."""
    conflict = None if error.conflict is None else asdict(error.conflict)
    document = {"schema": "tilebound.conflict/1", "error": str(error), "conflict": conflict}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"
