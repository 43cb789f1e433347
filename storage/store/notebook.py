"""A store in a notebook: in HTML, as a sheet of pictures, and as an xarray dataset.

The functions here are methods of ``LatentStore``. What comes from the data is escaped and cut short.
"""

import base64
import io
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from storage.errors import UserError
from storage.store.description import array_lines, filled, first_rows, provenance_lines, summary
from storage.store.handle import OpenedStore
from storage.store.layout import FLAGS, Array

if TYPE_CHECKING:
    import xarray

FIRST_ROWS, LONGEST_TEXT, THUMBNAIL_PIXELS = 5, 240, 128
Decode = Callable[[Array], Array]  # latents float16 (n, y, x, channel) -> pixels uint8 (n, height, width, 3)


class Html(str):
    """HTML that a notebook shows; as a string, its source."""

    def _repr_html_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        """What stands beside the HTML in a notebook's file, which need not hold the pictures twice."""
        return f"<HTML, {len(self)} characters>"


def to_html(store: OpenedStore) -> str:
    """What a notebook shows of a store: rows, arrays, provenance and the first captions. Reads no array."""
    name = "/".join(store.url.split("/")[-2:])  # a stage and its fingerprint
    lines = filled(first_rows(store, FIRST_ROWS), ("id", "caption", "reason"))
    provenance = provenance_lines(store.provenance)
    return "".join(
        [
            f"<p><b>{_text(name)}</b>: {_text(summary(store))}</p>",
            _records(array_lines(store)),
            _records([{"provenance": key, "": line} for key, line in provenance.items()]),
            _records(lines),
        ]
    )


def contact_sheet(
    store: OpenedStore,
    decode: Decode,
    rows: Sequence[int] | Array | None = None,
    names: Sequence[str] | None = None,
    beside: Mapping[str, Array] | None = None,
) -> Html:
    """Samples as pictures: a line a row with its caption, a column an array.

    ``decode``: latents float16 (n, y, x, channel) -> pixels uint8 (n, height, width, 3); what it gives
    is shown at most 128 pixels wide and high. ``rows``: the first eight unless given. ``names``:
    arrays of the store, all latents unless given. ``beside``: heading -> further latents (rows,
    y, x, channel) of the same rows, such as a CRF's output. A rejected row shows its reason.

    Raises IndexError beyond the last row, UserError where ``decode`` gives something else, ValueError
    where a chunk's checksum is wrong.
    """
    chosen = np.asarray(range(min(8, len(store))) if rows is None else rows, dtype=np.intp)
    lines = _index_lines(store, chosen)
    good = np.asarray(store["valid"].oindex[chosen], dtype=np.bool_)
    if names is None:
        names = [name for name in store.names if store[name].ndim == 4]
    latents = {name: np.asarray(store[name].oindex[chosen[good]]) for name in names}
    latents |= {heading: np.asarray(values)[good] for heading, values in (beside or {}).items()}
    pictures = {heading: iter(_pictures(decode, values)) for heading, values in latents.items()}
    body = []
    for row, line, valid in zip(chosen, lines, good, strict=True):
        missing = _text(line.get("reason") or "not written")
        cells = [next(column) if valid else missing for column in pictures.values()]
        body.append([f"{row}: {_text(line['caption'])}", *cells])
    return Html(_table(["", *latents], body))


def to_xarray(store: OpenedStore) -> "xarray.Dataset":
    """The arrays as an xarray dataset along ``sample``, with the coordinates ``id``, ``caption``, ``valid``, ``seed``.

    Lazy: an array's values are read when they are asked for, and of them only the chunks that are
    indexed (a chunk is a sample): ``dataset.step_40[7]``, or ``dataset.isel(sample=rows)``. Reading raises
    zarr's ValueError where a chunk's checksum is wrong. ``dataset.chunk()`` gives dask arrays where
    dask is installed. The index is read at once. Raises UserError where xarray is missing.
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


def _index_lines(store: OpenedStore, rows: Array) -> list[dict[str, Any]]:
    """The rows' lines of the index. Raises IndexError where there is no such row."""
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(store):
        raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(store)} in {store.url}")
    shards = {shard: store.rows(shard) for shard in np.unique(rows // store.shard_rows).tolist()}
    places = zip((rows // store.shard_rows).tolist(), (rows % store.shard_rows).tolist(), strict=True)
    return [shards[shard].slice(place, 1).to_pylist()[0] for shard, place in places]


def _pictures(decode: Decode, latents: Array) -> list[str]:
    """Latents (n, y, x, channel) -> n HTML images."""
    if not len(latents):
        return []
    pixels = np.asarray(decode(latents))
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[-1] != 3 or len(pixels) != len(latents):
        raise UserError(
            f"a decoder that gives uint8 ({len(latents)}, height, width, 3)",
            f"{pixels.dtype} {pixels.shape}",
            "pixels are 0 to 255, channels last",
        )
    return [_picture(picture) for picture in pixels]


def _picture(pixels: Array) -> str:
    from PIL import Image

    image, out = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    image.save(out, "JPEG", quality=90)
    return f'<img src="data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}">'


def _records(lines: list[dict[str, str]]) -> str:
    """A table of texts that share their keys."""
    return _table(lines[0] if lines else (), ([_text(value) for value in line.values()] for line in lines))


def _table(headings: Iterable[str], body: Iterable[Iterable[str]]) -> str:
    """``body``: cells in HTML."""
    head = "".join(f"<th>{_text(heading)}</th>" for heading in headings)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in body)
    return f"<table><tr>{head}</tr>{lines}</table>"


def _text(text: str) -> str:
    """Escaped, and of bounded length."""
    return escape(text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…")
