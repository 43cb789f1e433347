"""Rebuild the demo's captioned image set from two packages of free drawings.

    python deploy/demo/build_images.py            # about three minutes, mostly downloads

Sources (see LICENSES.md beside this file):

- Debian's ``openclipart-png`` (pixels) and ``openclipart-svg`` (titles, keywords and licence
  in each file's RDF): public domain.
- npm's ``emoji-datasource-google`` (Noto Emoji, names in ``emoji.json``): Apache-2.0.

Writes ``images/train.parquet`` and ``images/heldout.parquet`` with the columns ``id``,
``caption``, ``title``, ``image`` (WebP bytes, 128 px, on white), ``source`` and ``license``.
No title occurs in both files. The captions of the held-out drawings are divided, because the teacher knows those of
``train.parquet`` by heart and draws for them what users will never see: the first 64 rows of ``heldout.parquet`` are
for evaluation and the search's test, ``images/select.txt`` and ``images/calibrate.txt`` for the search, and
``images/captions.txt`` for ``teach``. No caption is in two of them.
"""

import hashlib
import io
import json
import re
import subprocess
import tempfile
import warnings
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

HERE = Path(__file__).parent
SIZE, DRAWN = 128, 116
HELDOUT_PERCENT = 10
TESTED, SELECTED, TAUGHT = 64, 56, 192  # captions of the held-out rows, in their order; the others calibrate
SERIES = 6  # a title on more drawings than this says nothing about any of them
# Abstract shapes and signs, screen furniture whose names draw nothing ("konqueror"), and trademarks.
LEFT_OUT = re.compile(
    r"shapes/|special/|logos/|unsorted/|decorations/|geography/|office/|education/|signs_and_symbols/(?!flags)"
    r"|computer/(?!hardware)|games/cards|card_figure|semaphore|_bw\b|_bw_|boating_rules|aiga-symbols|buttons|menu_example|/duplicates/|music/notes|jigsaw"
)
NO_TITLE = re.compile(
    r"\b(bw )?ganson\b|clip ?art (by [a-z]+ [a-z]+|collection)( example)?|\bsvg\b|\bhash\b"
    r"|\b0x\w+|\b(v|ver|nr|no)?\.?\s*\d+\b|(?<=[a-z])\d+\b|[^\w\s']"
)
STOPWORDS = {"unsorted", "clip art", "clipart", "icon", "image", "svg", "png", "externalsource"}
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
DC = "{http://purl.org/dc/elements/1.1/}"
CC = "{http://web.resource.org/cc/}"


def download(folder: Path) -> tuple[Path, Path]:
    """Fetch and unpack the packages -> (openclipart folder, emoji folder)."""
    subprocess.run(["apt-get", "download", "openclipart-png", "openclipart-svg"], cwd=folder, check=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, folder], check=True)
    subprocess.run(["npm", "pack", "--silent", "emoji-datasource-google@16.0.0"], cwd=folder, check=True)
    subprocess.run(["tar", "xzf", next(folder.glob("*.tgz"))], cwd=folder, check=True)
    return folder / "usr/share/openclipart", folder / "package"


def words(text: str) -> str:
    """Lower case, no numbering, no punctuation that a tokenizer would stumble on."""
    return " ".join(NO_TITLE.sub(" ", re.sub(r"[_\-/]+", " ", text.lower())).split())


def caption_of(title: str, keywords: list[str]) -> str:
    """``"simple pig, mammal, animal"``: the title, then at most four keywords that add a word."""
    parts = [title]
    for keyword in keywords:
        if keyword and keyword not in STOPWORDS and not set(keyword.split()) <= set(" ".join(parts).split()):
            parts.append(keyword)
    return ", ".join(parts[:5])


def read_rdf(svg: Path) -> tuple[str, list[str]] | None:
    """Title and keywords of a drawing; None if its metadata is missing or not public domain."""
    try:
        root = ElementTree.parse(svg).getroot()
    except ElementTree.ParseError:
        return None
    licences = [node.get(f"{RDF}resource", "") for node in root.iter(f"{CC}license")]
    if not any("publicdomain" in licence.lower() for licence in licences):
        return None
    work = root.find(f".//{CC}Work")
    title = work.findtext(f"{DC}title", "") if work is not None else ""
    keywords = [words(node.text or "") for node in root.iter(f"{RDF}li")]
    return words(title), [keyword for keyword in keywords if 2 < len(keyword) < 30]


def on_white(picture: Image.Image) -> bytes:
    """Crop to what is drawn, fit into DRAWN px, centre on SIZE px of white -> WebP bytes."""
    picture = picture.convert("RGBA")
    canvas = Image.new("RGBA", picture.size, "white")
    canvas.alpha_composite(picture)
    drawn = canvas.convert("RGB")
    ink = drawn.convert("L").point(lambda level: 255 if level < 250 else 0).getbbox()
    if ink is None:
        raise ValueError("nothing is drawn")
    drawn = drawn.crop(ink)
    scale = DRAWN / max(drawn.size)
    width, height = (max(1, round(side * scale)) for side in drawn.size)
    drawn = drawn.resize((width, height), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (SIZE, SIZE), "white")
    square.paste(drawn, ((SIZE - width) // 2, (SIZE - height) // 2))
    out = io.BytesIO()
    square.save(out, "WEBP", quality=90, method=6)
    return out.getvalue()


def clip_art(folder: Path) -> Iterator[dict[str, object]]:
    """Openclipart's drawings, in path order; a title that names a whole series gives way to the file's name."""
    names = [path.relative_to(folder / "png") for path in sorted((folder / "png").rglob("*.png"))]
    metadata = {
        name: read_rdf((folder / "svg" / name).with_suffix(".svg")) for name in names if not LEFT_OUT.search(str(name))
    }
    uses = Counter(rdf[0] for rdf in metadata.values() if rdf)
    for name, rdf in metadata.items():
        if rdf is None:
            continue
        path = folder / "png" / name
        title, keywords = rdf
        if not title or uses[title] > SERIES:
            title = words(path.stem)
        categories = [words(part) for part in name.parent.parts]
        try:
            with Image.open(path) as picture:
                image = on_white(picture)
        except (ValueError, Image.DecompressionBombError):
            continue
        yield {
            "id": f"openclipart/{name.with_suffix('')}",
            "title": title,
            "caption": caption_of(title, keywords + categories[::-1]),
            "image": image,
            "source": "openclipart-png 1:0.18+dfsg-19",
            "license": "public domain",
        }


def emoji(folder: Path) -> Iterator[dict[str, object]]:
    """Noto Emoji without skin-tone variants, in their own order."""
    for entry in json.loads((folder / "emoji.json").read_text()):
        if not entry["has_img_google"] or entry["category"] == "Component":
            continue
        title = words(entry["name"] or entry["short_name"])
        keywords = [words(name) for name in entry["short_names"]] + [words(entry["subcategory"])]
        with Image.open(folder / "img/google/64" / entry["image"]) as picture:
            image = on_white(picture)
        yield {
            "id": f"noto-emoji/{entry['image'].removesuffix('.png')}",
            "title": title,
            "caption": caption_of(title, keywords),
            "image": image,
            "source": "emoji-datasource-google 16.0.0",
            "license": "Apache-2.0",
        }


def shuffled(row: dict[str, object]) -> str:
    """An order in which the first hundred rows are like any other hundred."""
    return hashlib.sha256(str(row["id"]).encode()).hexdigest()


def is_heldout(title: str) -> bool:
    """Split by caption: every drawing of one title falls on the same side."""
    return int(hashlib.sha256(title.encode()).hexdigest(), 16) % 100 < HELDOUT_PERCENT


def main() -> None:
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the flags are drawn at up to 169 megapixels
    with tempfile.TemporaryDirectory() as scratch:
        openclipart, noto = download(Path(scratch))
        rows = list(clip_art(openclipart)) + list(emoji(noto))
    seen: set[bytes] = set()
    unique = [row for row in rows if not (row["image"] in seen or seen.add(row["image"]))]  # type: ignore[func-returns-value]
    (HERE / "images").mkdir(exist_ok=True)
    for name, side in (("train", False), ("heldout", True)):
        part = sorted((row for row in unique if is_heldout(str(row["title"])) is side), key=shuffled)
        target = HERE / "images" / f"{name}.parquet"
        pq.write_table(pa.Table.from_pylist(part), target, compression="zstd", row_group_size=512)
        print(f"{target}: {len(part)} images, {target.stat().st_size / 2**20:.1f} MiB")
        if side:
            write_captions([str(row["caption"]) for row in part])


def write_captions(captions: list[str]) -> None:
    """Divide the held-out captions: none is in two files."""
    reserved = captions[: TESTED + SELECTED]
    left = [caption for caption in captions[TESTED + SELECTED :] if caption not in reserved]
    taught = left[:TAUGHT]
    calibrated = [caption for caption in dict.fromkeys(left[TAUGHT:]) if caption not in taught]
    for name, chosen in (("select", reserved[TESTED:]), ("captions", taught), ("calibrate", calibrated)):
        (HERE / f"images/{name}.txt").write_text("".join(f"{caption}\n" for caption in chosen))


if __name__ == "__main__":
    main()
