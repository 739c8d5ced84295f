"""A Confluent client against a registry: python confluent_client.py URL.

Serializers and deserializers, references, compatibility, lookups, deletes, metadata and rules, all
through confluent-kafka's own code. Ends with a traceback at the first thing that is not as it
should be.
"""

import sys

from confluent_kafka.schema_registry import (
    Metadata,
    MetadataProperties,
    Rule,
    RuleKind,
    RuleMode,
    RuleParams,
    RuleSet,
    Schema,
    SchemaReference,
    SchemaRegistryClient,
    SchemaRegistryError,
    ServerConfig,
    ConfigCompatibilityLevel,
    header_schema_id_serializer,
    record_subject_name_strategy,
    topic_record_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

USER = """
{
  "type": "record", "name": "User", "namespace": "a.b",
  "fields": [{"name": "id", "type": "string"}, {"name": "age", "type": ["null", "int"], "default": null}]
}
"""
ORDER = '{"type":"record","name":"Order","namespace":"a.b","fields":[{"name":"by","type":"a.b.User"}]}'


def fails(code, call, *args, **kwargs):
    """The call is refused with this error code."""
    try:
        call(*args, **kwargs)
    except SchemaRegistryError as error:
        assert error.error_code == code, f"{error.error_code}: {error.error_message}"
        assert error.http_status_code == int(str(code)[:3]), error.http_status_code
        return error.error_message
    raise AssertionError(f"{call.__name__}{args} was not refused with {code}")


def avro_round_trip(client):
    context = SerializationContext("users", MessageField.VALUE)
    serializer = AvroSerializer(client, USER, conf={"normalize.schemas": True})
    event = {"id": "ü1", "age": 7}
    framed = serializer(event, context)
    assert framed[0] == 0
    schema_id = int.from_bytes(framed[1:5], "big")
    assert client.get_latest_version("users-value").schema_id == schema_id
    assert AvroDeserializer(client)(framed, context) == event
    # A client that may not register finds what another registered.
    lookup_only = AvroSerializer(client, USER, conf={"auto.register.schemas": False})
    assert lookup_only(event, context) == framed
    unregistered = AvroSerializer(client, '"string"', conf={"auto.register.schemas": False})
    fails(40403, unregistered, "x", context)
    latest = AvroSerializer(
        client, USER, conf={"auto.register.schemas": False, "use.latest.version": True}
    )
    assert latest(event, context) == framed
    # The GUID in a header, for a client that has never seen the schema.
    guid = AvroSerializer(client, USER, conf={"schema.id.serializer": header_schema_id_serializer})
    context = SerializationContext("users", MessageField.VALUE, [])
    payload = guid(event, context)
    assert payload == framed[5:]
    stranger = SchemaRegistryClient({"url": URL})
    assert AvroDeserializer(stranger)(payload, context) == event


def subject_strategies(client):
    for strategy, subject in [
        (record_subject_name_strategy, "a.b.User"),
        (topic_record_subject_name_strategy, "users-a.b.User"),
    ]:
        serializer = AvroSerializer(client, USER, conf={"subject.name.strategy": strategy})
        serializer({"id": "1"}, SerializationContext("users", MessageField.VALUE))
        assert subject in client.get_subjects(), subject


def avro_references(client):
    references = [SchemaReference("a.b.User", "users-value", 1)]
    schema = Schema(ORDER, "AVRO", references)
    serializer = AvroSerializer(client, schema)
    context = SerializationContext("orders", MessageField.VALUE)
    framed = serializer({"by": {"id": "1", "age": None}}, context)
    stranger = SchemaRegistryClient({"url": URL})
    assert AvroDeserializer(stranger)(framed, context) == {"by": {"id": "1", "age": None}}
    order_id = client.get_latest_version("orders-value").schema_id
    assert client.get_referenced_by("users-value", 1) == [order_id]
    fails(42206, client.delete_subject, "users-value")


def json_references(client):
    draft = "http://json-schema.org/draft-07/schema#"
    meta = '{"$schema":"%s","$id":"meta.json","type":"object","properties":{"dt":{"type":"string"}},"required":["dt"]}' % draft
    client.register_schema("meta", Schema(meta, "JSON"))
    event = '{"$schema":"%s","title":"event","type":"object","properties":{"meta":{"$ref":"meta.json"},"n":{"type":"integer"}}}' % draft
    schema = Schema(event, "JSON", [SchemaReference("meta.json", "meta", 1)])
    serializer = JSONSerializer(schema, client)
    context = SerializationContext("events", MessageField.VALUE)
    value = {"meta": {"dt": "2026"}, "n": 1}
    framed = serializer(value, context)
    stranger = SchemaRegistryClient({"url": URL})
    assert JSONDeserializer(None, schema_registry_client=stranger)(framed, context) == value
    try:
        serializer({"meta": {}}, context)
    except Exception as error:
        assert "'dt' is a required property" in str(error), error
    else:
        raise AssertionError("the reference was not enforced")
    registered = client.get_latest_version("events-value")
    assert registered.schema.schema_type == "JSON"
    assert registered.schema.references == schema.references


def compatibility(client):
    wider = Schema(USER.replace('"string"', '["string", "null"]'), "AVRO")
    missing = Schema(
        '{"type":"record","name":"User","namespace":"a.b","fields":[{"name":"x","type":"int"}]}', "AVRO"
    )
    assert client.get_compatibility() == "BACKWARD"
    assert client.test_compatibility("users-value", wider)
    assert not client.test_compatibility("users-value", missing, version=1, verbose=True)
    assert not client.test_compatibility_all_versions("users-value", missing)
    message = fails(40901, client.register_schema, "users-value", missing)
    assert "READER_FIELD_MISSING_DEFAULT_VALUE" in message, message
    client.set_compatibility("users-value", "NONE")
    assert client.get_compatibility("users-value") == "NONE"
    assert client.test_compatibility("users-value", missing)
    client.set_config("users-value", ServerConfig(compatibility=ConfigCompatibilityLevel.FULL))
    assert client.get_config("users-value").compatibility_level == ConfigCompatibilityLevel.FULL
    assert not client.test_compatibility("users-value", wider)
    client.delete_config("users-value")
    fails(40408, client.get_compatibility, "users-value")
    fails(42203, client.set_compatibility, level="sideways")


def lookups(client):
    schema = Schema(USER, "AVRO")
    found = client.lookup_schema("users-value", schema, normalize_schemas=True)
    assert (found.subject, found.version) == ("users-value", 1)
    assert client.get_schema_by_guid(found.guid).schema_str == found.schema.schema_str
    assert client.get_schema_types() == ["JSON", "AVRO"]
    assert "users-value" in client.get_subjects_by_schema_id(found.schema_id)
    versions = client.get_schema_versions(found.schema_id, subject_name="users-value")
    assert [(v.subject, v.version) for v in versions] == [("users-value", 1)]
    subjects = client.get_subjects()
    assert {"users-a.b.User", "users-value"} <= set(subjects) and subjects == sorted(subjects)
    assert client.get_subjects(offset=1, limit=2) == subjects[1:3]
    fails(40401, client.lookup_schema, "nobody", schema)
    fails(40403, client.get_schema, 4711)
    fails(40402, client.get_version, "users-value", 9)


def metadata_and_rules(client):
    # No tags: this client cannot put a schema with tags into its own cache.
    metadata = Metadata(
        tags=None, properties=MetadataProperties({"owner": "team-a"}), sensitive=None
    )
    rule = Rule(
        name="encrypt",
        doc=None,
        kind=RuleKind.TRANSFORM,
        mode=RuleMode.WRITEREAD,
        type="ENCRYPT",
        tags=["PII"],
        params=RuleParams({"encrypt.kek.name": "kek"}),
        expr=None,
        on_success=None,
        on_failure="ERROR,NONE",
        disabled=False,
    )
    rules = RuleSet(migration_rules=None, domain_rules=[rule], encoding_rules=None)
    schema_id = client.register_schema("rules-value", Schema(USER, "AVRO", [], metadata, rules))
    stranger = SchemaRegistryClient({"url": URL})
    read = stranger.get_schema(schema_id)
    assert read.metadata.properties == metadata.properties, read.metadata
    assert read.rule_set.domain_rules[0].tags == ["PII"], read.rule_set
    assert read.rule_set.domain_rules[0].params.params == {"encrypt.kek.name": "kek"}
    latest = stranger.get_latest_with_metadata("rules-value", {"owner": "team-a"})
    assert latest.schema_id == schema_id
    fails(40403, stranger.get_latest_with_metadata, "rules-value", {"owner": "team-b"})


def modes(client):
    assert client.get_global_mode() == "READWRITE"
    client.update_mode("frozen", "READONLY")
    assert client.get_mode("frozen") == "READONLY"
    fails(42205, client.register_schema, "frozen", Schema('"int"', "AVRO"))
    client.delete_mode("frozen")
    fails(40409, client.get_mode, "frozen")


def deletes(client):
    client.register_schema("gone", Schema('"int"', "AVRO"))
    client.register_schema("gone", Schema('"long"', "AVRO"))
    assert client.delete_version("gone", 1) == 1
    fails(40406, client.delete_version, "gone", 1)
    assert client.get_versions("gone") == [2]
    assert client.get_versions("gone", deleted=True) == [1, 2]
    fails(40405, client.delete_subject, "gone", permanent=True)
    assert client.delete_subject("gone") == [2]
    assert "gone" not in client.get_subjects()
    assert "gone" in client.get_subjects(deleted=True)
    assert client.delete_subject("gone", permanent=True) == [1, 2]
    assert "gone" not in client.get_subjects(deleted=True)


URL = sys.argv[1]
for step in (
    avro_round_trip,
    subject_strategies,
    avro_references,
    json_references,
    compatibility,
    lookups,
    metadata_and_rules,
    modes,
    deletes,
):
    step(SchemaRegistryClient({"url": URL}))
    print("ok", step.__name__, flush=True)
