"""The options of the CRF are declared once: forms, YAML files, the command line and fingerprints follow from that."""

import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools import validate
from pydantic import ValidationError

from crf.model.config import CRFOptions, LatentCRFConfig
from flows.commands.configs import load_config
from flows.commands.ui import fill_in_demo
from flows.parameters.latents import TeachParameters
from flows.parameters.pipeline import PipelineParameters
from flows.parameters.training import TrainOptions, TrainParameters


def schema() -> dict[str, Any]:
    properties: dict[str, Any] = TrainOptions.model_json_schema()["$defs"]["CRFOptions"]["properties"]
    return properties


def test_the_form_describes_and_bounds_every_option() -> None:
    assert set(schema()) == {field.name for field in fields(CRFOptions)}
    assert all(option["description"] for option in schema().values())
    assert schema()["heads"]["minimum"] == 1
    assert schema()["similarity"]["enum"] == ["dense", "stationary"]


def test_help_describes_every_option() -> None:
    command = [str(Path(sys.executable).with_name("latentcrf")), "train", "--help"]
    wide = {**os.environ, "COLUMNS": "1000"}
    done = subprocess.run(command, env=wide, capture_output=True, text=True, check=True)
    printed = " ".join(done.stdout.split())
    for option in schema().values():
        described = option["description"].partition(" (default: ")[0]  # which help prints its own way
        assert " ".join(described.split()) in printed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hedas": 1}, "hedas"),
        ({"heads": 0}, "greater than or equal to 1"),
        ({"similarity_width": 0}, "greater than 0"),
        ({"normalizer": "exact"}, "use normalizer='batch'"),
        ({"with_pairwise": False, "with_higher_order": False}, "expected with_pairwise or with_higher_order"),
    ],
)
def test_what_does_not_fit_is_an_error(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TrainOptions.model_validate({"crf": options})


def test_a_fingerprint_is_taken_of_plain_json() -> None:
    dumped = TrainOptions.model_validate({"crf": {"heads": 2}}).model_dump()
    assert json.loads(json.dumps(dumped)) == dumped
    assert LatentCRFConfig(**dumped["crf"]).heads == 2


def test_the_options_need_neither_pydantic_nor_torch() -> None:
    code = "import sys, crf.model.config; assert not {'pydantic', 'torch', 'diffusers'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def test_a_form_asks_first_for_what_is_required_and_has_no_tabs() -> None:
    fields = TeachParameters.model_json_schema()["properties"]
    places = sorted(fields, key=lambda name: fields[name]["position"])
    assert places == ["captions", "teacher", *(name for name in TeachParameters.model_fields if name in places[2:])]
    assert not any("anyOf" in field for field in fields.values())
    assert (fields["limit"]["type"], fields["limit"]["minimum"], fields["limit"]["title"]) == ("integer", 1, "Limit")
    assert fields["shard_rows"]["description"].endswith("(default: 512)")
    assert fields["trajectory"]["enum"] == ["none", "states", "products"]
    crf = TrainParameters.model_json_schema()["$defs"]["CRFOptions"]["properties"]
    assert [crf[name]["position"] for name in ("heads", "hidden", "filters")] == [0, 1, 2]


def test_the_server_accepts_none_where_the_form_may_be_empty() -> None:
    from flows.teach import teach

    schema = parameter_schema(teach.fn).model_dump()
    params = {"captions": "a.txt", "teacher": "t", "limit": None, "lead": None}
    assert validate({"params": params}, schema) == []
    assert validate({"params": {**params, "limit": 0}}, schema)
    TeachParameters.model_validate(params)


def test_a_quick_run_of_the_pipeline_is_the_demo(tmp_path: Path) -> None:
    from flows.pipeline import pipeline

    content = yaml.safe_load(fill_in_demo(tmp_path).read_text())
    filled = [deployment["parameters"] for deployment in content["deployments"] if "parameters" in deployment]
    assert filled
    for parameters in filled:
        assert validate(parameters, parameter_schema(pipeline.fn).model_dump()) == []
        assert pipeline.validate_parameters(parameters) == {"params": load_config("demo", "runs/demo")}


@pytest.mark.parametrize("url", ["https://user:CANARY@host/teacher", "gs://bucket/teacher?token=CANARY"])
def test_a_url_with_credentials_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValidationError, match="expected a URL without credentials") as caught:
        TeachParameters(captions="captions.txt", teacher=url)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(("stage", "needs"), [({"observed": "lead"}, "teach.lead"), ({"target": "tail"}, "teach.tail")])
def test_a_pipeline_without_what_distill_needs_is_an_error(stage: dict[str, str], needs: str, tmp_path: Path) -> None:
    inputs = dict.fromkeys(("teacher", "images", "captions", "heldout_images", "heldout_captions"), str(tmp_path))
    with pytest.raises(ValidationError, match=f"expected {needs} for distill"):
        PipelineParameters.model_validate({**inputs, "distill": stage})
