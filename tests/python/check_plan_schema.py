#!/usr/bin/env python3
"""Checks what `remap plan --format json` prints against schemas/plan.schema.json, with the keywords that schema uses.

  remap plan model.pt --format json | check_plan_schema.py

A field that the schema does not name is a finding too, so that it stays complete. Only the standard library.
"""
import json
import pathlib
import sys

SCHEMA = json.loads((pathlib.Path(__file__).resolve().parents[2] / "schemas/plan.schema.json").read_text())
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None), "number": (int, float), "integer": int}


def has_type(value, name):
    return isinstance(value, TYPES[name]) and not (isinstance(value, bool) and name in ("integer", "number"))


def findings(value, schema, where="$"):
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if "const" in schema and value != schema["const"]:
        yield f"{where}: {schema['const']} was expected"
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(has_type(value, name) for name in types):
        yield f"{where}: {' or '.join(types)} was expected, not {type(value).__name__}"
        return
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{where}: less than {schema['minimum']}"
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{where}: {len(value)} items"
        for index, item in enumerate(value):
            yield from findings(item, schema.get("items", {}), f"{where}[{index}]")
    if isinstance(value, dict):
        yield from (f"{where}: no '{name}'" for name in schema.get("required", []) if name not in value)
        for name, item in value.items():
            inner = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if inner is not None:
                yield from findings(item, inner, f"{where}.{name}")
            elif "properties" in schema:
                yield f"{where}: '{name}' is not in the schema"


if __name__ == "__main__":
    found = list(findings(json.load(sys.stdin), SCHEMA))
    print("\n".join(found) if found else "fits the schema")
    sys.exit(1 if found else 0)
