"""Reads every file below the current folder and prints one JSON object a file.

Usage: python -c SCRIPT FORMAT [SCHEMA], where FORMAT says what the files are and who reads them, and
SCHEMA is that of Avro values which stand by themselves.
"""

import base64
import csv
import datetime
import decimal
import gzip
import io
import json
import math
import os
import pathlib
import sys
import uuid


def plain(value):
    """The value as JSON has it."""
    if isinstance(value, dict):
        return {text(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.timezone.utc)
        return value.isoformat(timespec="microseconds")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def text(key):
    return key if isinstance(key, str) else str(plain(key))


def snappy_java(data):
    import cramjam

    out, at = bytearray(), 16
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        out += bytes(cramjam.snappy.decompress_raw(data[at + 4 : at + 4 + size]))
        at += 4 + size
    return bytes(out)


def zstd(data):
    from backports import zstd as codec

    return codec.decompress(data)


def lz4(data):
    import cramjam

    return bytes(cramjam.lz4.decompress(data))


def snappy(data):
    import cramjam

    return bytes(cramjam.snappy.decompress(data))


CODECS = [
    ("gzip", b"\x1f\x8b", gzip.decompress),
    ("zstd", b"\x28\xb5\x2f\xfd", zstd),
    ("lz4", b"\x04\x22\x4d\x18", lz4),
    ("snappy", b"\xff\x06\x00\x00sNaPpY", snappy),
    ("snappy-java", b"\x82SNAPPY\x00", snappy_java),
]


def unpacked(data):
    for name, magic, decompress in CODECS:
        if data.startswith(magic):
            return name, decompress(data)
    return None, data


def avro(data, _path):
    import fastavro

    reader = fastavro.reader(io.BytesIO(data), return_record_name=False)
    rows = list(reader)
    return rows, {"codec": reader.codec, "schema": json.loads(reader.metadata["avro.schema"])}


def avro_values(data, _path):
    import fastavro

    schema = fastavro.parse_schema(json.loads(sys.argv[2]))
    stream, rows = io.BytesIO(data), []
    while frame := stream.read(5):
        assert len(frame) == 5 and frame[0] == 0, f"not the registry's framing: {frame}"
        rows.append(fastavro.schemaless_reader(stream, schema, None))
        assert stream.read(1) == b"\n", "no line break behind a value"
    return rows, {}


def comma_separated(data, _path):
    csv.field_size_limit(len(data))
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True)), {}


def json_array(data, _path):
    rows = json.loads(data)
    assert isinstance(rows, list), "not an array"
    return rows, {}


def json_lines(data, _path):
    assert not data or data.endswith(b"\n"), "the last line does not end"
    return [json.loads(line) for line in data.decode().split("\n")[:-1]], {}


def lines(data, _path):
    return data.decode().splitlines(), {}


def parquet(data, _path):
    import pyarrow
    import pyarrow.parquet

    file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data))
    groups = [file.metadata.row_group(at) for at in range(file.metadata.num_row_groups)]
    chunks = [group.column(at) for group in groups for at in range(group.num_columns)]
    about = {
        "schema": str(file.schema),
        "codecs": sorted({chunk.compression for chunk in chunks}),
        "row_groups": [group.num_rows for group in groups],
        "statistics": all(chunk.is_stats_set for chunk in chunks),
        "metadata": {
            key.decode(): value.decode()
            for key, value in (file.metadata.metadata or {}).items()
        },
    }
    return file.read().to_pylist(maps_as_pydicts="strict"), about


def parquet_by_duckdb(_data, path):
    import duckdb

    found = duckdb.execute("SELECT * FROM read_parquet(?)", [str(path)])
    names = [column[0] for column in found.description]
    return [dict(zip(names, row)) for row in found.fetchall()], {}


READERS = {
    "avro": avro,
    "avro-values": avro_values,
    "csv": comma_separated,
    "json": json_array,
    "jsonl": json_lines,
    "lines": lines,
    "parquet": parquet,
    "parquet-duckdb": parquet_by_duckdb,
}


def main():
    read = READERS[sys.argv[1]]
    for path in sorted(pathlib.Path().rglob("*"), key=str):
        if not path.is_file():
            continue
        try:
            compression, data = unpacked(path.read_bytes())
            rows, about = read(data, path)
        except Exception as error:
            raise SystemExit(f"{path}: {type(error).__name__}: {error}") from error
        found = {
            "name": str(path),
            "compression": compression,
            "rows": plain(rows),
            "about": plain(about),
        }
        print(json.dumps(found, allow_nan=False))


main()
# All is said. Threads of the libraries are not waited for: ending while one begins, they abort at times.
sys.stdout.flush()
os._exit(0)
