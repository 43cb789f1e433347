"""Show a store in a notebook: as HTML, as a sheet of pictures, and as an xarray dataset.

The functions here are methods of ``LatentStore``. Text that comes from the data is escaped and cut short.
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
    """HTML that a notebook renders. As a string it is the source."""

    def _repr_html_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        """A short text: a notebook's file has it beside the HTML, and need not hold the pictures twice."""
        return f"<HTML, {len(self)} characters>"


def to_html(store: OpenedStore) -> str:
    """Rows, arrays, provenance and the first captions of a store, as HTML. Reads no array."""
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
        decode: Latents float16 (n, y, x, channel) -> pixels uint8 (n, height, width, 3). They are shown at most
            128 pixels wide and high.
        rows: Numbers of the rows to show. Default: the first eight.
        names: The arrays to show. Default: all latents.
        beside: Heading -> further latents (rows, y, x, channel) of the same rows, such as a CRF's output.

    Returns:
        A table that a notebook renders; ``str`` of it is HTML.

    Raises:
        IndexError: There is no such row.
        UserError: ``decode`` returns something else.
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
    """Open the arrays as an xarray dataset along ``sample``, with coordinates ``id``, ``caption``, ``valid``, ``seed``.

    The index is read at once. An array's values are read when they are used, and only the samples that are indexed;
    if a chunk's checksum is wrong, that raises zarr's ValueError. ``dataset.chunk()`` makes dask arrays.

    Returns:
        The dataset; dimensions (sample, y, x, channel) or (sample, feature), as each array has them.

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
        # Without consolidated metadata, zarr looks at all that lies beside the arrays.
        warnings.filterwarnings("ignore", message="Object at .* is not recognized")
        dataset: xarray.Dataset = xarray.open_zarr(store.url, chunks=None, decode_cf=False, consolidated=store.sealed)
    index = store.index
    texts = {name: ("sample", index[name].to_numpy(zero_copy_only=False)) for name in ("id", "caption")}
    return dataset.set_coords(list(FLAGS)).assign_coords(texts)


def _read_index_lines(store: OpenedStore, rows: Array) -> list[dict[str, Any]]:
    """The rows' lines of the index. Raises IndexError if there is no such row."""
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(store):
        raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(store)} in {store.url}")
    shards = {shard: store.rows(shard) for shard in np.unique(rows // store.shard_rows).tolist()}
    places = zip((rows // store.shard_rows).tolist(), (rows % store.shard_rows).tolist(), strict=True)
    return [shards[shard].slice(place, 1).to_pylist()[0] for shard, place in places]


def _draw_pictures(decode: Decode, latents: Array) -> list[str]:
    """Latents (n, y, x, channel) -> n images in HTML."""
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
    """A table in HTML, of records of text that share their keys."""
    return _format_table(lines[0] if lines else (), ([_escape(value) for value in line.values()] for line in lines))


def _format_table(headings: Iterable[str], body: Iterable[Iterable[str]]) -> str:
    """A table in HTML. ``body``: its cells, in HTML."""
    head = "".join(f"<th>{_escape(heading)}</th>" for heading in headings)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in body)
    return f"<table><tr>{head}</tr>{lines}</table>"


def _escape(text: str) -> str:
    """Escape text for HTML, and cut it to LONGEST_TEXT characters."""
    return escape(text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…")
