"""Receipts before judges nobody here wrote: a JSON-LD processor, an RDF library, a SHACL validator, JSON Schema."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pyld import jsonld  # type: ignore[import-untyped]
from pyshacl import validate
from rdflib import Graph
from rdflib.compare import isomorphic

import consent_app
from tests.receipt_vectors import EVENTS, RECORD, Edit, Kept, kept, taken

# rdflib's own parsers still use what rdflib calls old.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:rdflib")

FOLDER = Path(consent_app.__file__).parent / "static" / "receipt"
PROCESS = (RECORD, "dpv:hasProcess", 1)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return kept(tmp_path_factory.mktemp("ledger"))


@pytest.fixture(scope="module")
def shapes() -> Graph:
    return Graph().parse(FOLDER / "receipt.shapes.ttl")


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    document = json.loads((FOLDER / "receipt.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document, format_checker=jsonschema.FormatChecker())


def graph(document: dict[str, Any]) -> Graph:
    return Graph().parse(data=json.dumps(document), format="json-ld")


def faults(document: dict[str, Any], shapes: Graph) -> str:
    """What the shapes find; "" if nothing."""
    conforms, _, text = validate(graph(document), shacl_graph=shapes)
    return "" if conforms else str(text)


def test_two_processors_read_the_same_graph_without_a_network(held: Kept) -> None:
    def nothing_is_fetched(address: str, _: Any) -> None:
        raise AssertionError(f"{address} was asked for")

    options = {"format": "application/n-quads", "documentLoader": nothing_is_fetched}
    quads = jsonld.to_rdf(held.document, options)
    theirs = Graph().parse(data=quads, format="nt")
    assert len(theirs) > 150
    assert isomorphic(graph(held.document), theirs)


def test_every_name_is_one_of_a_vocabulary(held: Kept) -> None:
    expanded = json.dumps(jsonld.expand(held.document))
    for prefix in held.document["@context"]:
        assert f'"{prefix}:' not in expanded
    (receipt,) = jsonld.expand(held.document)
    assert receipt["@type"] == ["https://w3id.org/dpv#ConsentReceipt"]
    (record,) = receipt["https://w3id.org/dpv#hasRecordOfActivity"]
    assert record["https://w3id.org/dpv#hasJurisdiction"] == [{"@id": "https://w3id.org/dpv/loc#GB"}]
    assert len(record["https://w3id.org/dpv#hasConsentStatus"]) == 3


def test_the_shapes_and_the_schema_find_a_whole_receipt(
    held: Kept, shapes: Graph, schema: jsonschema.Draft202012Validator
) -> None:
    assert faults(held.document, shapes) == ""
    assert list(schema.iter_errors(held.document)) == []


def without(name: str) -> Edit:
    """A field taken out of every storage condition of a purpose."""

    def edit(document: dict[str, Any]) -> None:
        for condition in document[RECORD]["dpv:hasProcess"][1]["dpv:hasStorageCondition"]:
            condition.pop(name, None)

    return edit


# The field of ISO/IEC TS 27560 (or of ours) that a shape names, and how a receipt loses it.
MANDATORY: dict[str, Edit] = {
    "schema_version of the receipt": taken("dct:conformsTo"),
    "receipt_id": taken("dct:identifier"),
    "time of the receipt": taken("dct:created"),
    "seal": taken("app:seal"),
    "the consent record": taken(RECORD),
    "schema_version of the record": taken(RECORD, "dct:conformsTo"),
    "record_id": taken(RECORD, "dct:identifier"),
    "pii_principal_id": taken(RECORD, "dpv:hasDataSubject"),
    "privacy_notice": taken(RECORD, "dpv:hasNotice"),
    "privacy_notice of the event": taken(*EVENTS, 0, "dpv:hasNotice"),
    "pii_controllers": taken(RECORD, "dpv:hasDataController"),
    "party_id": taken(RECORD, "dpv:hasDataController", "dct:identifier"),
    "party_name": taken(RECORD, "dpv:hasDataController", "dpv:hasName"),
    "party_address": taken(RECORD, "dpv:hasDataController", "dpv:hasAddress"),
    "party_contact": taken(RECORD, "dpv:hasDataController", "dpv:hasContact"),
    "party_name of a third party": taken(RECORD, "dpv:hasProcess", 0, "dpv:hasRecipient", 1, "dpv:hasName"),
    "jurisdiction": taken(RECORD, "dpv:hasJurisdiction"),
    "withdrawal_method": taken(RECORD, "dpv:hasConsentControl"),
    "privacy_rights": taken(RECORD, "dpv:hasRight"),
    "purposes": taken(RECORD, "dpv:hasProcess"),
    "purpose": taken(*PROCESS, "dpv:hasPurpose"),
    "decision": taken(*PROCESS, "app:allowed"),
    "lawful_basis": taken(*PROCESS, "dpv:hasLegalBasis"),
    "event_type": taken(*PROCESS, "dpv:hasLegalBasis", "@type"),
    "pii_information": taken(*PROCESS, "dpv:hasPersonalData"),
    "pii_type": taken(RECORD, "dpv:hasProcess", 0, "dpv:hasPersonalData", 0, "dct:title"),
    "retention_period": without("dpv:hasDuration"),
    "storage_locations": without("dpv:hasLocation"),
    "recipient_third_parties": taken(*PROCESS, "dpv:hasRecipient"),
    "events": taken(*EVENTS),
    "event_time": taken(*EVENTS, 0, "dpv:isIndicatedAtTime"),
    "validity_duration": taken(*EVENTS, 0, "dpv:hasDuration"),
    "entity_id": taken(*EVENTS, 0, "dpv:isIndicatedBy"),
    "event_state": taken(*EVENTS, 0, "@type"),
    "the record as it was logged": taken(*EVENTS, 0, "app:record"),
    "nonce": taken(*EVENTS, 0, "app:nonce"),
    "proof": taken(*EVENTS, 0, "app:proof"),
}


@pytest.mark.parametrize("field", MANDATORY)
def test_each_mandatory_field_is_missed(
    held: Kept, shapes: Graph, schema: jsonschema.Draft202012Validator, field: str
) -> None:
    document = held.document
    MANDATORY[field](document)
    assert f"Message: {field}" in faults(document, shapes)
    if field != "storage_locations":  # what lies on a server has no place of its own; the schema looks at one by one
        assert list(schema.iter_errors(document)) != []


def test_the_language_is_missed_where_no_event_has_one(held: Kept, shapes: Graph) -> None:
    """A notice has one name wherever it stands, so its language is gone only once it is gone everywhere."""
    document = held.document
    taken(RECORD, "dpv:hasNotice", "dct:language")(document)
    for event in document[RECORD]["dpv:hasConsentStatus"]:
        del event["dpv:hasNotice"]["dct:language"]
    assert "Message: language" in faults(document, shapes)


def test_the_product_needs_none_of_these_judges() -> None:
    judges = {"pyld", "rdflib", "pyshacl", "jsonschema"}
    for file in Path(consent_app.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not judges & {name.split(".")[0] for name in names}, file
