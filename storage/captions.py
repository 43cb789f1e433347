"""Caption input sets: Parquet, COCO captions JSON, JSONL, TSV, CSV, TXT; any fsspec URL, in the file's order."""

import csv
import itertools
import json
from collections.abc import Iterator
from pathlib import PurePosixPath

import fsspec
import pyarrow.parquet as pq

from storage.coco import read_annotations
from storage.errors import UserError
from storage.images import CAPTION_COLUMNS, Row, without_duplicates

FORMATS = ".parquet, .json (COCO captions), .jsonl, .tsv, .csv or .txt"


def scan_captions(url: str, limit: int | None = None) -> Iterator[Row]:
    """Rows (id, caption, uri); raises UserError where there are no captions."""
    fs, path = fsspec.url_to_fs(url)
    if not fs.isfile(path):
        raise UserError(f"a caption file ({FORMATS})", f"nothing at {url}", "check --captions")
    readers = {
        ".parquet": _parquet,
        ".json": read_annotations,
        ".jsonl": _jsonl,
        ".tsv": _tsv,
        ".csv": _csv,
        ".txt": _txt,
    }
    reader = readers.get(PurePosixPath(path).suffix)
    if reader is None:
        raise UserError(f"a caption file ({FORMATS})", url, "convert it, or rename it to what it is")
    rows = itertools.islice(_numbered(reader(url), url), limit)
    first = next(rows, None)
    if first is None:
        raise UserError("captions", f"none in {url}", "check that the file has rows with text in them")
    return without_duplicates(itertools.chain([first], rows), url)


def _numbered(records: Iterator[dict[str, object]], url: str) -> Iterator[Row]:
    column = None
    for number, record in enumerate(records):
        column = column or next((name for name in CAPTION_COLUMNS if name in record), None)
        if column is None:
            raise UserError(f"one of the columns {CAPTION_COLUMNS}", f"{sorted(record)} in {url}", "rename the column")
        caption = str(record.get(column) or "").strip()
        if caption:
            yield {"id": str(record.get("id", number)), "caption": caption, "uri": f"{url}#{number}", "sha256": ""}


def _parquet(url: str) -> Iterator[dict[str, object]]:
    fs, path = fsspec.url_to_fs(url)
    with fs.open(path, "rb") as file:
        parquet = pq.ParquetFile(file)
        columns = [name for name in (*CAPTION_COLUMNS, "id") if name in parquet.schema_arrow.names]
        if columns in ([], ["id"]):
            yield dict.fromkeys(parquet.schema_arrow.names)
        for batch in parquet.iter_batches(4096, columns=columns):
            yield from batch.to_pylist()


def _lines(url: str) -> Iterator[str]:
    with fsspec.open(url, "rt", encoding="utf-8", newline="") as file:
        yield from file


def _jsonl(url: str) -> Iterator[dict[str, object]]:
    for number, line in enumerate(_lines(url), start=1):
        if line.strip():
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError("one JSON object a line", f"line {number} of {url}: {error}", "mend the line") from None
            yield record if isinstance(record, dict) else {"caption": record}


def _tsv(url: str) -> Iterator[dict[str, object]]:
    yield from csv.DictReader(_lines(url), delimiter="\t")


def _csv(url: str) -> Iterator[dict[str, object]]:
    yield from csv.DictReader(_lines(url))


def _txt(url: str) -> Iterator[dict[str, object]]:
    for line in _lines(url):
        yield {"caption": line}
