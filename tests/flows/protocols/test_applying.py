from pathlib import Path

import pytest

from flows.protocols.applying import check_captions, check_images, describe_protocol, fill_parameters
from flows.protocols.named import COCO30K, DEMO, PARTI
from storage import UserError


def write_prompts(path: Path, count: int) -> str:
    """Write a file like PartiPrompts.tsv."""
    lines = [f"prompt {number}\tAbstract\tBasic\t" for number in range(count)]
    path.write_text("\n".join(["Prompt\tCategory\tChallenge\tNote", *lines]))
    return str(path)


def test_a_protocol_fills_what_is_not_given() -> None:
    filled = fill_parameters({"protocol": "coco30k", "guidance_scale": 3.0})
    assert filled["guidance_scale"] == 3.0
    assert (filled["limit"], filled["noises"], filled["size"]) == (30_000, 1, 512)


def test_without_a_protocol_nothing_is_filled() -> None:
    assert fill_parameters({"limit": 3}) == {"limit": 3}
    assert describe_protocol({"limit": 3, "protocol": None}) is None


def test_a_run_that_deviates_is_marked() -> None:
    assert describe_protocol(fill_parameters({"protocol": "parti"})) == {
        "name": "parti",
        "version": 1,
        "deviations": [],
    }
    marked = describe_protocol(fill_parameters({"protocol": "parti", "noises": 4, "guidance_scale": 7.5}))
    assert marked
    assert marked["deviations"] == ["noises 4, not 16"]


@pytest.mark.parametrize("count", [1_600, 1_633])
def test_a_wrong_number_of_prompts_is_an_error(count: int, tmp_path: Path) -> None:
    url = write_prompts(tmp_path / "PartiPrompts.tsv", count)
    with pytest.raises(UserError, match=rf"expected the 1,632 prompts of PartiPrompts .* found {count:,} in"):
        check_captions(PARTI, url)


def test_the_right_number_of_prompts_is_accepted(tmp_path: Path) -> None:
    check_captions(PARTI, write_prompts(tmp_path / "PartiPrompts.tsv", 1_632))


def test_images_are_counted_where_the_protocol_compares_with_any(tmp_path: Path) -> None:
    check_images(COCO30K, "val2014", 40_504)
    check_images(PARTI, "anything", 3)
    with pytest.raises(UserError, match=r"expected the 40,504 images of COCO 2014 val .* found 5,000 in val2017"):
        check_images(COCO30K, "val2017", 5_000)


def test_another_file_of_as_many_rows_is_not_the_demos(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found other bytes in"):
        check_captions(DEMO, write_prompts(tmp_path / "captions.tsv", DEMO.captions.count))
