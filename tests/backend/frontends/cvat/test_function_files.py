"""The nuclio files of every model: valid, clean, and each with a way to its weights."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from backend.frontends.cvat import functions
from backend.frontends.cvat.function_files import FILE_NAMES, FunctionFile, of_model, text
from models import zoo

ROOT = Path(__file__).parents[4]
MODELS = [
    f"{entry.name}@{file.name}" for entry in zoo.SEGMENTERS.values() for file in entry.weights
]


def read(function: FunctionFile, gpu: bool = False) -> Any:
    return yaml.safe_load(text(function, gpu=gpu))


def weights_command(config: Any) -> str:
    command: str = config["spec"]["build"]["directives"]["postCopy"][-1]["value"]
    return command


@pytest.mark.parametrize("model", MODELS)
def test_every_model_differs_from_the_default_ones_file_in_its_name_and_weights_alone(
    model: str,
) -> None:
    config, default = read(of_model(model)), yaml.safe_load((ROOT / "function.yaml").read_text())
    assert config["metadata"]["name"] == of_model(model).folder == functions.function_id(model)
    assert config["metadata"]["annotations"]["name"] == f"Maskloop {model}"
    assert config["spec"]["env"][0] == {"name": "MASKLOOP_MODEL", "value": model}
    entry, name = zoo.parse(model)
    command = weights_command(config)
    if entry.weights_file(name).shipped:
        assert command == "python -m backend weights verify"
    elif entry.weights_file(name).url:
        assert command == f"python -m backend weights pull {model}"
    else:
        assert command.startswith("python -m backend weights add ")
        assert command.endswith(f" --name {name}")
        assert str(entry.weights_file(name).page) in text(of_model(model), gpu=False)
    for changed in (config, default):
        del changed["metadata"]["name"], changed["metadata"]["annotations"]["name"]
        del changed["spec"]["description"], changed["spec"]["env"]
        del (
            changed["spec"]["build"]["image"],
            changed["spec"]["build"]["directives"]["postCopy"][-1],
        )
    assert config == default


def test_all_files_pass_the_linter(tmp_path: Path) -> None:
    settings = (("MASKLOOP_FLIP", "false"),)
    for model in MODELS:
        for gpu, name in FILE_NAMES.items():
            path = tmp_path / functions.function_id(model) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text(of_model(model, settings), gpu=gpu))
    command = [Path(sys.executable).parent / "yamllint", "--strict", "-c", ROOT / ".yamllint"]
    found = subprocess.run([*command, tmp_path], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_weights_of_ones_own_are_expected_beside_the_code() -> None:
    function = of_model("ritm-hrnet18@ours.2")
    assert function.weights == "add ritm-hrnet18@ours.2.safetensors --name ours.2"
    assert function.bring is not None
    assert "ritm-hrnet18@ours.2.safetensors" in function.bring
    assert function.bring in text(function, gpu=False).replace("\n# ", " ")


def test_settings_are_text_in_the_environment() -> None:
    function = of_model("mobilesam", (("MASKLOOP_MOBILESAM_INPUT", "512"),))
    assert read(function)["spec"]["env"][2:] == [
        {"name": "MASKLOOP_MOBILESAM_INPUT", "value": "512"}
    ]


def test_a_model_without_boxes_has_another_help() -> None:
    config = read(replace(of_model("mobilesam"), prompts=("clicks",)))
    assert config["metadata"]["annotations"]["min_pos_points"] == "1"
    assert "box" not in config["metadata"]["annotations"]["help_message"]


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(zoo.UnknownModel, match="did you mean"):
        of_model("mobile-sam")
