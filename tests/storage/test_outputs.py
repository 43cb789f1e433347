import time
from pathlib import Path

import pytest

from storage import Identity, UserError, locations
from storage.outputs import Output, find_newest, find_outputs, find_teacher_parts, remove_output, split_by_use
from storage.seals import TrainingManifest, is_sealed, seal_output
from storage.store.layout import make_commit_path
from tests.support.outputs import write_training_output
from tests.support.stores import make_store


@pytest.fixture
def outputs(tmp_path: Path) -> dict[str, Output]:
    """encode <- train <- distill, and an older train of the same encode, which was not finished."""
    store = Path(make_store(tmp_path)).name
    train = write_training_output(tmp_path, "train", {"encode": store, "teacher.scheduler": "5c"})
    write_training_output(tmp_path, "distill", {"train": train.fingerprint, "teacher.unet": "u1"})
    write_training_output(tmp_path, "train", {"encode": store, "teacher.scheduler": "0ld"}, sealed=False)
    (tmp_path / "notes").mkdir()
    return {f"{o.identity.stage}{'' if o.sealed else ' old'}": o for o in find_outputs(str(tmp_path))}


def test_what_lies_below_a_root(outputs: dict[str, Output]) -> None:
    assert set(outputs) == {"encode", "train", "train old", "distill"}
    assert [outputs[name].kind for name in ("encode", "train")] == ["store", "checkpoint"]
    assert [outputs[name].progress for name in ("encode", "train", "train old")] == [(3, 3), (40, 40), (30, 40)]
    assert (outputs["encode"].rows, outputs["train"].rows) == (8, None)
    assert sum(outputs["encode"].sizes.values()) > 1000
    assert 0 <= outputs["encode"].age() < 600


def test_all_shards_of_a_large_store_are_counted() -> None:
    identity = Identity("encode", 1, {}, {"shard_rows": 2})
    numbers = (0, 99_999, 100_000, 2_345_678)
    sizes = dict.fromkeys(["commits/created.json", *map(make_commit_path, numbers)], 1)
    assert Output("runs/encode/0", identity, sizes, 6_000_000).progress == (4, 3_000_000)


def test_a_teacher_is_followed_through_the_inputs(outputs: dict[str, Output]) -> None:
    assert find_teacher_parts(outputs["distill"], outputs.values()) == {"unet": "u1", "scheduler": "5c"}
    assert find_teacher_parts(outputs["encode"], outputs.values()) == {}


@pytest.mark.parametrize("by", ["url", "fingerprint"])
def test_what_a_kept_output_was_made_from_is_kept(outputs: dict[str, Output], by: str) -> None:
    kept, rest = split_by_use(list(outputs.values()), [getattr(outputs["distill"], by)])
    assert {o.url for o in kept} == {outputs[name].url for name in ("encode", "train", "distill")}
    assert rest == [outputs["train old"]]
    assert [o.identity.stage for o in split_by_use(list(outputs.values()), [outputs["encode"].url])[0]] == ["encode"]


def test_an_unknown_output_is_not_kept_silently(outputs: dict[str, Output]) -> None:
    with pytest.raises(UserError, match="found 0123"):
        split_by_use(list(outputs.values()), ["0123"])


def test_a_removed_output_is_gone_and_no_other(outputs: dict[str, Output], tmp_path: Path) -> None:
    remove_output(outputs["train old"])
    assert not Path(outputs["train old"].url).exists()
    assert len(find_outputs(str(tmp_path))) == 3


def test_a_root_without_outputs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none below"):
        find_outputs(str(tmp_path))


def test_a_damaged_identity_stops_everything_that_asks_what_depends_on_what(
    outputs: dict[str, Output], tmp_path: Path
) -> None:
    document = Path(outputs["train"].url) / "identity.json"
    whole = document.read_text()
    for damaged in (whole.replace(outputs["encode"].fingerprint, "0" * 16), whole[1:], "{}"):
        document.write_text(damaged)
        with pytest.raises(UserError, match=outputs["train"].fingerprint):
            find_outputs(str(tmp_path))


def test_the_newest_is_the_one_that_was_sealed_last(root: str) -> None:
    """Whatever its name, and wherever the root is. Some servers' clocks count whole seconds."""
    urls = sorted(Identity("distill", 1, {}, {"steps": steps}).url(root) for steps in (1, 2, 3))
    assert find_newest(root, "distill") is None
    for url in urls:
        locations.write_json(f"{url}/identity.json", {})
    assert find_newest(root, "distill") is None
    for url in (urls[1], urls[0]):
        time.sleep(1.1)
        seal_output(url, TrainingManifest(objects={}, steps=1, workers=0, provenance={}))
    assert find_newest(root, "distill") == locations.make_absolute(urls[0])
    assert [is_sealed(url) for url in urls] == [True, True, False]
    assert find_newest(root, "train") is None
