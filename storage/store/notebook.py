"""Show a store in a notebook: as HTML, as a sheet of pictures, and as an xarray dataset.

The public functions are methods of ``LatentStore``. Text from the data is escaped and truncated.
"""

import base64
import io
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from storage.errors import UserError
from storage.store.description import (
    drop_empty_columns,
    format_arrays,
    format_provenance,
    read_first_rows,
    summarize,
)
from storage.store.handle import OpenedStore
from storage.store.layout import FLAGS, Array

if TYPE_CHECKING:
    import xarray

FIRST_ROWS, LONGEST_TEXT, THUMBNAIL_PIXELS = 5, 240, 128
Decode = Callable[[Array], Array]  # latents float16 (n, y, x, channel) -> pixels uint8 (n, height, width, 3)


class Html(str):
    """A string of HTML that a notebook renders."""

    def _repr_html_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        """Return a short text: a notebook's file stores it beside the HTML, and should not hold the pictures twice."""
        return f"<HTML, {len(self)} characters>"


def to_html(store: OpenedStore) -> str:
    """Format a store's rows, arrays, provenance and first captions as HTML. Reads no latents."""
    name = "/".join(store.url.split("/")[-2:])  # a stage and its fingerprint
    lines = drop_empty_columns(read_first_rows(store, FIRST_ROWS), ("id", "caption", "reason"))
    provenance = format_provenance(store.provenance)
    return "".join(
        [
            f"<p><b>{_escape(name)}</b>: {_escape(summarize(store))}</p>",
            _format_records(format_arrays(store)),
            _format_records([{"provenance": key, "": line} for key, line in provenance.items()]),
            _format_records(lines),
        ]
    )


def contact_sheet(
    store: OpenedStore,
    decode: Decode,
    rows: Sequence[int] | Array | None = None,
    names: Sequence[str] | None = None,
    beside: Mapping[str, Array] | None = None,
) -> Html:
    """Show samples as pictures: one line per row with its caption, one column per array of latents.

    A rejected row shows its reason.

    Args:
        decode: Function from latents float16 (n, y, x, channel) to pixels uint8 (n, height, width, 3). Pictures are
            shrunk to at most 128 pixels per side.
        rows: Numbers of the rows to show. Default: the first eight.
        names: Names of the arrays to show. Default: all latents.
        beside: Heading -> other latents (rows, y, x, channel) of the same rows, e.g. a CRF's output. Default: none.

    Returns:
        A table that a notebook renders; ``str`` of it is HTML.

    Raises:
        IndexError: There is no such row.
        UserError: ``decode`` returns another dtype or shape.
        ValueError: A chunk's checksum is wrong.

    Example:
        >>> store.contact_sheet(teacher.decode, rows=[0, 5, 9])
        <HTML, 48211 characters>
    """
    chosen = np.asarray(range(min(8, len(store))) if rows is None else rows, dtype=np.intp)
    lines = _read_index_lines(store, chosen)
    good = np.asarray(store["valid"].oindex[chosen], dtype=np.bool_)
    if names is None:
        names = [name for name in store.names if store[name].ndim == 4]
    latents = {name: np.asarray(store[name].oindex[chosen[good]]) for name in names}
    latents |= {heading: np.asarray(values)[good] for heading, values in (beside or {}).items()}
    pictures = {heading: iter(_draw_pictures(decode, values)) for heading, values in latents.items()}
    body = []
    for row, line, valid in zip(chosen, lines, good, strict=True):
        missing = _escape(line.get("reason") or "not written")
        cells = [next(column) if valid else missing for column in pictures.values()]
        body.append([f"{row}: {_escape(line['caption'])}", *cells])
    return Html(_format_table(["", *latents], body))


def to_xarray(store: OpenedStore) -> "xarray.Dataset":
    """Open the store as an xarray dataset along ``sample``. Coordinates: ``id``, ``caption``, ``valid``, ``seed``.

    The index is read at once. An array's values are read on use, and only the samples that are indexed. A wrong
    checksum then raises zarr's ValueError. ``dataset.chunk()`` makes dask arrays.

    Returns:
        The dataset. Its arrays have the dimensions (sample, y, x, channel) or (sample, feature).

    Raises:
        UserError: xarray is not installed.

    Example:
        >>> store.to_xarray().step_40[7].shape
        (64, 64, 8)
    """
    try:
        import xarray
    except ModuleNotFoundError:
        raise UserError("xarray", "none installed", "pip install 'latentcrf[notebook]'") from None
    with warnings.catch_warnings():
        # Without consolidated metadata, zarr inspects all objects beside the arrays.
        warnings.filterwarnings("ignore", message="Object at .* is not recognized")
        dataset: xarray.Dataset = xarray.open_zarr(store.url, chunks=None, decode_cf=False, consolidated=store.sealed)
    index = store.index
    texts = {name: ("sample", index[name].to_numpy(zero_copy_only=False)) for name in ("id", "caption")}
    return dataset.set_coords(list(FLAGS)).assign_coords(texts)


def _read_index_lines(store: OpenedStore, rows: Array) -> list[dict[str, Any]]:
    """Read the rows' lines of the index. Raises IndexError if there is no such row."""
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(store):
        raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(store)} in {store.url}")
    shards = {shard: store.rows(shard) for shard in np.unique(rows // store.shard_rows).tolist()}
    places = zip((rows // store.shard_rows).tolist(), (rows % store.shard_rows).tolist(), strict=True)
    return [shards[shard].slice(place, 1).to_pylist()[0] for shard, place in places]


def _draw_pictures(decode: Decode, latents: Array) -> list[str]:
    """Draw latents (n, y, x, channel) as n images in HTML."""
    if not len(latents):
        return []
    pixels = np.asarray(decode(latents))
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[-1] != 3 or len(pixels) != len(latents):
        raise UserError(
            f"a decoder that returns uint8 ({len(latents)}, height, width, 3)",
            f"{pixels.dtype} {pixels.shape}",
            "return pixels from 0 to 255, channels last",
        )
    return [_draw_picture(picture) for picture in pixels]


def _draw_picture(pixels: Array) -> str:
    from PIL import Image

    image, out = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    image.save(out, "JPEG", quality=90)
    return f'<img src="data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}">'


def _format_records(lines: list[dict[str, str]]) -> str:
    """Format records of text, which share their keys, as an HTML table."""
    return _format_table(lines[0] if lines else (), ([_escape(value) for value in line.values()] for line in lines))


def _format_table(headings: Iterable[str], body: Iterable[Iterable[str]]) -> str:
    """Format an HTML table. ``body``: the cells of each line, as HTML."""
    head = "".join(f"<th>{_escape(heading)}</th>" for heading in headings)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in body)
    return f"<table><tr>{head}</tr>{lines}</table>"


def _escape(text: str) -> str:
    """Truncate text to LONGEST_TEXT characters, and escape it for HTML."""
    return escape(text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…")
