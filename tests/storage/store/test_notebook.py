import base64
import io
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from storage import ArraySpec, LatentStore, UserError
from storage.store.index import index_tables
from tests.support.stores import create_store, fill_shard

HOSTILE = "<script>alert('&\"')</script>"


def colours(latents: Any) -> Any:
    """A decoder: each sample one colour, which its first latent says."""
    assert latents.dtype == np.float16
    levels = np.nan_to_num(latents[:, 0, 0, 0]).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (len(latents), 300, 200, 3))


def store_of_levels(folder: Path) -> LatentStore:
    """Six rows in shards of four; row r's latents are 40 * r, its ``step_50`` 40 * r + 20; row 4 is rejected."""
    rows = [
        {"id": f"{row}{HOSTILE}", "caption": f"c{row} {HOSTILE}", "uri": "", "checksum": "", "reason": ""}
        for row in range(6)
    ]
    specs = {**dict.fromkeys(("step_40", "step_50"), ArraySpec.latent(2, 2, 4)), "text": ArraySpec.vector(3)}
    url = str(folder / "s")
    store = LatentStore.create(url, specs, index_tables(rows, 4), shard_rows=4, provenance={HOSTILE: [HOSTILE]})
    levels = np.broadcast_to(40 * np.arange(6).reshape(6, 1, 1, 1), (6, 2, 2, 4))
    for shard, rejected in enumerate([{}, {4: f"bad {HOSTILE}"}]):
        part = store.extent(shard)
        arrays = {"step_40": levels[part], "step_50": levels[part] + 20, "text": np.zeros((len(levels[part]), 3))}
        flags = {"valid": np.arange(6)[part] != 4, "seed": np.arange(6, dtype=np.uint64)[part]}
        store.write_shard(shard, arrays, **flags, rejected=rejected, timing={})
    store.seal()
    return LatentStore.open(url)


def cells(html: str) -> list[list[str]]:
    return [re.findall("<t[hd]>(.*?)</t[hd]>", line) for line in re.findall("<tr>(.*?)</tr>", html)]


def level(cell: str) -> int:
    """Of a picture in a cell."""
    data = re.fullmatch('<img src="data:image/jpeg;base64,(.*)">', cell)
    assert data, cell
    with Image.open(io.BytesIO(base64.b64decode(data[1]))) as picture:
        assert picture.size == (85, 128)
        return round(np.asarray(picture).mean())


def test_html_says_what_a_store_is_and_escapes_it(tmp_path: Path) -> None:
    html = store_of_levels(tmp_path)._repr_html_()
    assert "6 rows in shards of 4, sealed: 5 valid, 1 rejected" in html
    assert ["step_40", "(6, 2, 2, 4)", "float16", "sample y x channel"] in cells(html)
    assert "<script" not in html
    assert "c0 &lt;script&gt;alert(&#x27;&amp;&quot;&#x27;)&lt;/script&gt;" in html
    assert str(tmp_path) not in html


def test_html_of_an_unfinished_and_of_an_empty_store(tmp_path: Path) -> None:
    store = create_store(str(tmp_path / "s"), 8, 3)
    fill_shard(store, 1)
    assert "8 rows in shards of 3, 1 of 3 shards written" in store._repr_html_()
    empty = create_store(str(tmp_path / "e"), 0, 3)
    assert "0 rows in shards of 3, 0 of 0 shards written" in empty._repr_html_()


def test_a_long_caption_is_cut(tmp_path: Path) -> None:
    rows = [{"id": "0", "caption": "long " * 200_000, "uri": "", "checksum": "", "reason": ""}]
    store = LatentStore.create(str(tmp_path / "s"), {}, index_tables(rows, 1), shard_rows=1, provenance={})
    assert len(store._repr_html_()) < 2000


def test_a_contact_sheet_is_a_line_a_row_and_a_column_an_array(tmp_path: Path) -> None:
    store = store_of_levels(tmp_path)
    beside = {"CRF": np.full((3, 2, 2, 4), 7, np.float16)}
    sheet = store.contact_sheet(colours, rows=np.array([5, 4, 1]), beside=beside)
    assert sheet._repr_html_() == sheet
    assert "<script" not in sheet
    headings, *lines = cells(sheet)
    assert headings == ["", "step_40", "step_50", "CRF"]
    assert [line[0].split(" ")[:2] for line in lines] == [["5:", "c5"], ["4:", "c4"], ["1:", "c1"]]
    assert [level(cell) for cell in lines[0][1:]] == [200, 220, 7]
    assert [level(cell) for cell in lines[2][1:]] == [40, 60, 7]
    assert all(cell.startswith("bad &lt;script") for cell in lines[1][1:])


def test_a_contact_sheet_of_what_is_asked_for(tmp_path: Path) -> None:
    store = store_of_levels(tmp_path)
    assert len(cells(store.contact_sheet(colours))) == 7
    assert cells(store.contact_sheet(colours, rows=[], names=["step_50"])) == [["", "step_50"]]
    for row in (-1, 6):
        with pytest.raises(IndexError, match="of 6"):
            store.contact_sheet(colours, rows=[row])
    with pytest.raises(UserError, match=r"uint8 \(1, height, width, 3\), found float16 \(1, 2, 2, 4\)"):
        store.contact_sheet(lambda latents: latents, rows=[0])


def test_what_is_not_written_yet_has_no_picture(tmp_path: Path) -> None:
    store = create_store(str(tmp_path / "s"), 4, 2)
    fill_shard(store, 1)
    lines = cells(store.contact_sheet(colours))[1:]
    assert [line[1][:11] for line in lines] == ["not written"] * 2 + ['<img src="d'] * 2


def test_an_xarray_dataset_has_the_index_beside_the_arrays(tmp_path: Path) -> None:
    dataset = store_of_levels(tmp_path).to_xarray()
    assert dataset.step_40.dims == ("sample", "y", "x", "channel")
    assert dataset.caption.to_numpy()[3] == f"c3 {HOSTILE}"
    assert dataset.valid.to_numpy().tolist() == [True, True, True, True, False, True]
    found = dataset.isel(sample=dataset.caption.str.contains("c[25]") & dataset.valid)
    assert found.step_50.to_numpy()[:, 0, 0, 0].tolist() == [100, 220]
    assert found.seed.to_numpy().tolist() == [2, 5]


def test_xarray_reads_an_array_only_when_asked(tmp_path: Path) -> None:
    store = store_of_levels(tmp_path)
    (tmp_path / "s/step_40/c/1/0/0/0").write_bytes(b"broken")
    (tmp_path / "s/step_50/c/0/0/0/0").write_bytes(b"broken")
    dataset = store.to_xarray()
    assert dataset.step_40[2].to_numpy()[0, 0, 0] == 80
    with pytest.raises(ValueError, match=r"."):
        dataset.step_40[5].to_numpy()


def test_xarray_of_an_unfinished_store(tmp_path: Path) -> None:
    written = fill_shard(create_store(str(tmp_path / "s"), 5, 2), 0)
    dataset = LatentStore.open(str(tmp_path / "s"), allow_unsealed=True).to_xarray()
    np.testing.assert_array_equal(dataset.latents[:2], written["latents"])
    assert np.isnan(dataset.latents[2:].to_numpy()).all()


def test_without_xarray_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of_levels(tmp_path)
    monkeypatch.setitem(sys.modules, "xarray", None)  # Python's own way to say that there is none
    with pytest.raises(UserError, match=r"latentcrf\[notebook\]"):
        store.to_xarray()
