"""Caption input sets: Parquet, COCO captions JSON, JSONL, TSV, CSV or TXT files at any fsspec URL."""

import csv
import itertools
import json
from collections.abc import Iterator
from pathlib import PurePosixPath

import fsspec

from storage.errors import UserError
from storage.inputs.coco import read_annotations
from storage.inputs.parquet import holds_text, open_parquet, read_cells
from storage.inputs.rows import CAPTION_COLUMNS, Row, add_caption, new_row, reject, replace_surrogates
from storage.inputs.unique_ids import check_unique_ids

FORMATS = ".parquet, .json (COCO captions), .jsonl, .tsv, .csv or .txt"
MAX_LINE = 1 << 24  # characters; a file with a longer line is not a text file of lines


def scan_captions(url: str, limit: int | None = None, *, keep_empty: bool = False) -> Iterator[Row]:
    """Yield one row per caption, in the file's order.

    A caption that is too long becomes a rejected row.

    Args:
        url: Path or fsspec URL of a file. Its suffix determines its format.
        limit: Number of rows to yield at most. Default: all.
        keep_empty: Whether an empty caption becomes a rejected row. Default False: it is left out.

    Raises:
        UserError: There is no such file, its format is not supported, or it has no captions.
    """
    fs, path = fsspec.url_to_fs(url)
    if not fs.isfile(path):
        raise UserError(f"a caption file ({FORMATS})", f"nothing at {url}", "check --captions")
    readers = {
        ".parquet": _read_parquet,
        ".json": read_annotations,
        ".jsonl": _read_jsonl,
        ".tsv": _read_tsv,
        ".csv": _read_csv,
        ".txt": _read_txt,
    }
    reader = readers.get(PurePosixPath(path).suffix)
    if reader is None:
        raise UserError(f"a caption file ({FORMATS})", url, "convert it, or give it the suffix of its format")
    rows = itertools.islice(_number_rows(reader(url), url, keep_empty), limit)
    first = next(rows, None)
    if first is None:
        raise UserError("captions", f"none in {url}", "check that the file has rows with text in them")
    return check_unique_ids(itertools.chain([first], rows), url)


def _number_rows(records: Iterator[dict[str, object]], url: str, keep_empty: bool) -> Iterator[Row]:
    column = None
    for number, record in enumerate(records):
        column = column or next((name for name in CAPTION_COLUMNS if name in record), None)
        if column is None:
            columns = [replace_surrogates(str(name)) for name in sorted(record, key=str)]
            raise UserError(f"one of the columns {CAPTION_COLUMNS}", f"{columns} in {url}", "rename the column")
        caption = record.get(column) or ""
        if not isinstance(caption, str):
            found = f"{type(caption).__name__} in row {number} of {url}"
            raise UserError(f"text in {column!r}", found, "correct the row, or write it as text")
        row = new_row(str(record.get("id", number)), f"{url}#{number}")
        if caption.strip():
            yield add_caption(row, caption)
        elif keep_empty:
            yield reject(row, "an empty caption")


def _read_parquet(url: str) -> Iterator[dict[str, object]]:
    with open_parquet(url) as parquet:
        schema = parquet.schema_arrow
        columns = [name for name in (*CAPTION_COLUMNS, "id") if name in schema.names]
        if columns in ([], ["id"]):
            yield dict.fromkeys(schema.names)
        if columns and columns[0] != "id" and not holds_text(schema.field(columns[0]).type):
            found = f"{schema.field(columns[0]).type} in {url}"
            raise UserError(f"text in the column {columns[0]!r}", found, "write it as text")
        for values in read_cells(parquet, columns, 256):
            yield dict(zip(columns, values, strict=True))


def _read_lines(url: str) -> Iterator[str]:
    """Yield the lines of a UTF-8 file, with or without a byte order mark. Raises UserError if it is not UTF-8."""
    with fsspec.open(url, "rt", encoding="utf-8-sig", newline="") as file:
        number = 1
        try:
            while line := file.readline(MAX_LINE):
                if len(line) == MAX_LINE:
                    found = f"line {number} of {url} with {MAX_LINE} or more"
                    raise UserError(f"lines of fewer than {MAX_LINE} characters", found, "write one caption per line")
                yield line
                number += 1
        except UnicodeDecodeError as error:
            found = f"{error.reason} after line {number - 1} of {url}"
            raise UserError("UTF-8 text", found, "save the file as UTF-8") from None


def _read_jsonl(url: str) -> Iterator[dict[str, object]]:
    for number, line in enumerate(_read_lines(url), start=1):
        if line.strip():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:  # ValueError: also if a number has too many digits
                raise UserError(
                    "one JSON object per line", f"line {number} of {url}: {error}", "correct the line"
                ) from None
            yield record if isinstance(record, dict) else {"caption": record}


def _read_tsv(url: str) -> Iterator[dict[str, object]]:
    return _read_delimited(url, "\t")


def _read_csv(url: str) -> Iterator[dict[str, object]]:
    return _read_delimited(url, ",")


def _read_delimited(url: str, delimiter: str) -> Iterator[dict[str, object]]:
    csv.field_size_limit(MAX_LINE)  # for the whole process; the default of 131,072 fails at one long caption
    reader = csv.DictReader(_read_lines(url), delimiter=delimiter)
    try:
        yield from reader
    except csv.Error as error:
        found = f"line {reader.line_num} of {url}: {error}"
        raise UserError("rows of delimited text", found, "correct the line; it may lack a closing quote") from None


def _read_txt(url: str) -> Iterator[dict[str, object]]:
    for line in _read_lines(url):
        yield {"caption": line}
