import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flows.evaluate import check
from flows.parameters.evaluation import EvaluateOptions, EvaluateParameters
from flows.protocols.applying import check_inputs, describe_run, fill_parameters, format_deviations
from flows.protocols.named import COCO30K, DEMO, PARTI, PROTOCOLS
from storage import UserError


def write_prompts(path: Path, count: int) -> str:
    """Write a file like PartiPrompts.tsv."""
    lines = [f"prompt {number}\tAbstract\tBasic\t" for number in range(count)]
    path.write_text("\n".join(["Prompt\tCategory\tChallenge\tNote", *lines]))
    return str(path)


def test_a_protocol_sets_what_is_not_given() -> None:
    options = EvaluateOptions.model_validate({"protocol": "parti", "guidance_scale": 3.0})
    assert (options.limit, options.noises, options.size, options.guidance_scale) == (1_632, 16, 512, 3.0)


@given(
    protocol=st.sampled_from(sorted(PROTOCOLS)),
    values=st.fixed_dictionaries({}, optional={"noises": st.integers(), "limit": st.none(), "seed": st.integers()}),
    names=st.sets(st.sampled_from(["noises", "limit", "size", "guidance_scale"])),
)
def test_what_is_given_stays_and_nothing_else_is_set(protocol: str, values: dict[str, Any], names: set[str]) -> None:
    filled = fill_parameters({"protocol": protocol, **values}, names)
    assert filled.items() >= values.items()
    assert filled.keys() - values.keys() <= names | {"protocol"}
    assert all(filled[name] == PROTOCOLS[protocol].parameters[name] for name in filled.keys() & names - values.keys())


def test_without_a_protocol_nothing_is_set() -> None:
    assert EvaluateOptions().limit is None
    assert describe_run(EvaluateOptions().model_dump()) is None
    assert format_deviations(None) == ""


def test_an_unknown_protocol_is_an_error() -> None:
    with pytest.raises(ValidationError, match="'demo', 'coco30k' or 'parti'"):
        EvaluateOptions.model_validate({"protocol": "coco"})


def test_a_run_that_deviates_is_marked() -> None:
    followed = describe_run(EvaluateOptions.model_validate({"protocol": "parti"}).model_dump())
    assert followed == {"name": "parti", "version": 1, "deviations": []}
    assert format_deviations(followed) == ""
    marked = describe_run(EvaluateOptions.model_validate({"protocol": "parti", "noises": 4}).model_dump())
    assert format_deviations(marked) == "; deviates from parti: noises 4, not 16"


@pytest.mark.parametrize("count", [1_600, 1_633])
def test_a_wrong_number_of_prompts_is_an_error(count: int, tmp_path: Path) -> None:
    url = write_prompts(tmp_path / "PartiPrompts.tsv", count)
    with pytest.raises(UserError, match=rf"expected the 1,632 prompts of PartiPrompts .* found {count:,} in"):
        check_inputs(PARTI, url, "no images", "no root")


def test_the_right_number_of_prompts_is_accepted(tmp_path: Path) -> None:
    check_inputs(PARTI, write_prompts(tmp_path / "PartiPrompts.tsv", 1_632), "no images", "no root")


def test_another_set_of_images_is_an_error(tmp_path: Path, drawings: Path) -> None:
    captions = {"annotations": [{"caption": f"caption {number}"} for number in range(COCO30K.captions.count)]}
    file = tmp_path / "captions_val2014.json"
    file.write_text(json.dumps(captions))
    with pytest.raises(UserError, match=r"expected the 40,504 images of COCO 2014 val .* found 10 in"):
        check_inputs(COCO30K, str(file), str(drawings), str(tmp_path))


def test_another_file_of_as_many_rows_is_not_the_demos(tmp_path: Path) -> None:
    url = write_prompts(tmp_path / "captions.tsv", DEMO.captions.count)
    with pytest.raises(UserError, match="found other bytes in"):
        check_inputs(DEMO, url, "no images", "no root")


def test_evaluate_checks_its_protocol_first(tmp_path: Path) -> None:
    """The CRF, the images and the teacher do not exist, and are not looked for."""
    url = write_prompts(tmp_path / "PartiPrompts.tsv", 1_600)
    others = {"crf": "none", "images": "none", "teacher": "none"}
    with pytest.raises(UserError, match="expected the 1,632 prompts of PartiPrompts"):
        check(EvaluateParameters.model_validate({"protocol": "parti", "captions": url, **others}))
