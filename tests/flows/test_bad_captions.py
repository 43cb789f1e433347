"""10,000 captions with one in a hundred bad, of every kind: counts add up, and nothing shifts."""

import json
from pathlib import Path

import numpy as np
import pytest

import flows.teach
from crf.noise import derive_seed
from flows.parameters.latents import TeachParameters
from flows.stage import plan_stage, run_stage
from flows.teach import TEACH
from storage import LatentStore, UserError
from tests.support.stub_teach import describe_sample

COUNT, SEED = 10_000, 3
LEFT_OUT: list[dict[str, str | None]] = [{"caption": ""}, {"caption": " \t "}, {"caption": None}, {}]
REJECTED: list[dict[str, str | None]] = [{"caption": "x" * 10_001}, {"caption": "long " * 200_000}]
UNUSUAL: list[dict[str, str | None]] = [
    {"caption": "a NUL \0 within"},
    {"caption": "half a pair \ud83d"},
    {"caption": "two\nlines"},
    {"caption": "naïve 猫"},
]
BAD: list[dict[str, str | None]] = [*LEFT_OUT, *REJECTED, *UNUSUAL]


def make_record(number: int) -> dict[str, str | None]:
    record: dict[str, str | None] = {"id": f"id-{number}", "caption": f"thing {number}"}
    return record if number % 100 else {"id": record["id"], **BAD[number // 100 % len(BAD)]}


@pytest.mark.usefixtures("ray_local")
def test_every_row_keeps_its_own_caption_seed_and_values(
    tiny_teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows.teach, "MODEL", "tests.support.stub_teach:StubTeach")
    records = [make_record(number) for number in range(COUNT)]
    del records[7]["id"]  # named by its number
    captions = tmp_path / "captions.jsonl"
    captions.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    params = TeachParameters(
        captions=str(captions), teacher=str(tiny_teacher), root=str(tmp_path), seed=SEED, shard_rows=2_048
    )
    result = run_stage(TEACH, params, params.root)

    left_out, rejected = (
        sum(record.get("caption") in ([each.get("caption") for each in kind]) for record in records)
        for kind in (LEFT_OUT, REJECTED)
    )
    assert (left_out, rejected) == (40, 20)
    assert (result.rows, result.rejected, result.valid) == (COUNT - left_out, rejected, COUNT - left_out - rejected)
    store = LatentStore.open(result.url)
    index = store.index.to_pylist()
    by_id = {str(record.get("id", number)): record for number, record in enumerate(records)}
    assert [row["id"] for row in index] == [
        name for name, record in by_id.items() if (record.get("caption") or "").strip()
    ]
    valid, seeds, told = store.valid, np.asarray(store["seed"][:]), np.asarray(store["step_50"][:])
    for place, row in enumerate(index):
        caption = str(by_id[row["id"]]["caption"]).replace("\ud83d", "\ufffd")
        assert valid[place] == (row["reason"] is None) == (len(caption) <= 10_000)
        assert seeds[place] == derive_seed(SEED, row["id"])
        if valid[place]:
            assert row["caption"] == caption
            assert (told[place] == describe_sample(caption, int(seeds[place]))).all()
        else:
            assert row["reason"].startswith("too long a caption")
            assert np.isnan(told[place]).all()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"id": "new", "caption": 7}', "text in 'caption', found int in row 3"),
        (b'{"id": "id-1", "caption": "again"}', "every id once, found 'id-1' twice"),
        (b'{"id": "new", "caption": "\xff"}', "UTF-8 text, found invalid start byte"),
        (b'{"id": "new", "caption": ', "one JSON object per line, found line 4"),
    ],
)
def test_what_makes_the_whole_file_doubtful_stops_before_any_work(
    line: bytes, words: str, tiny_teacher: Path, tmp_path: Path
) -> None:
    captions = tmp_path / "captions.jsonl"
    good = [json.dumps({"id": f"id-{number}", "caption": "a cat"}).encode() for number in range(3)]
    captions.write_bytes(b"\n".join([*good, line]) + b"\n")
    params = TeachParameters(captions=str(captions), teacher=str(tiny_teacher), root=str(tmp_path))
    with pytest.raises(UserError, match=words):
        plan_stage(TEACH, params, params.root)
