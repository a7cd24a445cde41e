"""Validates the custom resources in a file by the CRDs in a folder: crd.py FOLDER FILE.

A Kubernetes API server drops fields that a CRD does not have; here they are errors.
"""

import pathlib
import sys

import jsonschema
import yaml


def forbid_unknown_fields(schema):
    if isinstance(schema, dict):
        if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
        if schema.get("x-kubernetes-int-or-string"):
            schema["type"] = ["string", "integer"]
        for value in schema.values():
            forbid_unknown_fields(value)
    elif isinstance(schema, list):
        for value in schema:
            forbid_unknown_fields(value)


def read_schemas(folder):
    schemas = {}
    for file in pathlib.Path(folder).glob("*.yaml"):
        for crd in yaml.safe_load_all(file.read_text()):
            if not crd or crd.get("kind") != "CustomResourceDefinition":
                continue
            for version in crd["spec"]["versions"]:
                schema = version["schema"]["openAPIV3Schema"]
                forbid_unknown_fields(schema)
                schema["properties"]["metadata"] = {"type": "object"}
                group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"]
                schemas[f"{group}/{version['name']}", kind] = schema
    return schemas


schemas = read_schemas(sys.argv[1])
checked = 0
for document in yaml.safe_load_all(pathlib.Path(sys.argv[2]).read_text()):
    schema = schemas.get((document["apiVersion"], document["kind"]))
    if schema:
        jsonschema.Draft202012Validator(schema).validate(document)
        checked += 1
if checked != 2:
    sys.exit(f"{checked} custom resources were found instead of a SpinApp and a SpinAppExecutor")
