"""`hip3 schema`: the JSON schemas of the lines of the files, and of what commands print with `--json`."""

import json
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from pydantic import BaseModel, create_model

from hip3_tasks.errors import BadSelection

RECORDS = {
    "signals": "Signal",
    "followups": "Followup",
    "missed": "Missed",
    "watched": "Followed",
    "rules": "RulesInForce",
}
"""Kind of file → record of its lines."""
RESULTS = {
    "compact": "hip3_tasks.analysis.compact.command.DirectoryCompactions",
    "audit": "hip3_tasks.audit.findings.Audit",
    "audit --replay": "hip3_tasks.recording.compare.Comparison",
}
"""Command → model of its result for a directory; the JSON has all of them, and whether they are well."""
DOCUMENTS = {
    "replay": "hip3_tasks.recording.command.ReplayCounts",
    "report": "hip3_tasks.analysis.reporting.model.Report",
    "status": "hip3_tasks.status.command.StatusDocument",
    "up": "hip3_tasks.up.command.UpSummary",
}
"""Command → model of its JSON."""
NAMES = (*RECORDS, *RESULTS, *DOCUMENTS)


def schema_command(names: Sequence[str]) -> int:
    """Print the schemas of these names, or of all, in one object. Raises BadSelection for an unknown name."""
    print(json.dumps({name: schema_of(name) for name in names or NAMES}, indent=1))
    return 0


def schema_of(name: str) -> dict[str, Any]:
    """The JSON schema of a name. Fields that later releases added to a line are not required of it."""
    if name in RECORDS:
        return _model(f"hip3_tasks.domain.records.{RECORDS[name]}").model_json_schema()
    if name in RESULTS:
        result = _model(RESULTS[name])
        document = create_model(f"{result.__name__}s", ok=(bool, ...), directories=(list[result], ...))  # type: ignore[valid-type]
        return document.model_json_schema(mode="serialization")
    if name in DOCUMENTS:
        return _model(DOCUMENTS[name]).model_json_schema(mode="serialization")
    raise BadSelection(f"no schema {name!r}: there are {', '.join(NAMES)}")


def _model(place: str) -> type[BaseModel]:
    module, _, name = place.rpartition(".")
    model: type[BaseModel] = getattr(import_module(module), name)
    return model
