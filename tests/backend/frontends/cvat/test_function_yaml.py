"""The nuclio function files: keys and types, and agreement with the code they deploy."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from backend.frontends.cvat import function_files, functions, nuclio
from backend.settings import Settings
from models import zoo

ROOT = Path(__file__).parents[4]
FILES = ("function.yaml", "function-gpu.yaml")


@pytest.fixture(params=FILES)
def config(request: pytest.FixtureRequest) -> Any:
    return read(request.param)


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def directives(config: Any, stage: str, kind: str) -> list[str]:
    found = config["spec"]["build"]["directives"][stage]
    assert all(set(item) == {"kind", "value"} for item in found)
    return [item["value"] for item in found if item["kind"] == kind]


def environment(config: Any) -> dict[str, str]:
    """The environment of the running function: from the image, then from `env`."""
    image = dict(line.split("=", 1) for line in directives(config, "preCopy", "ENV"))
    return image | {item["name"]: item["value"] for item in config["spec"]["env"]}


def pinned(package: str) -> str:
    match = re.search(rf"^{package}==(\S+)$", (ROOT / "requirements.txt").read_text(), re.M)
    assert match
    return match[1]


def test_the_function_is_the_one_that_the_stand_in_lists(config: Any) -> None:
    model = environment(config)["MASKLOOP_MODEL"]
    assert config["metadata"]["name"] == functions.function_id(model)
    prompts = zoo.architecture(model).prompts
    assert config["metadata"]["annotations"] == functions.annotations_of(model, prompts)
    assert config["spec"]["description"] == functions.description(model, prompts)


@pytest.mark.parametrize("gpu", [False, True])
def test_the_file_is_the_one_that_is_written_for_the_default_model(gpu: bool) -> None:
    written = function_files.text(function_files.of_model("mobilesam"), gpu=gpu)
    assert (ROOT / FILES[gpu]).read_text() == written


def test_the_handler_exists_under_its_name(config: Any) -> None:
    module, name = config["spec"]["handler"].split(":")
    assert getattr(import_module(module), name) is nuclio.handler
    assert import_module(module).init_context is nuclio.init_context


def test_the_image_has_the_python_of_the_runtime_and_the_pinned_torch(config: Any) -> None:
    version = config["spec"]["runtime"].removeprefix("python:")
    assert version in ("3.11", "3.12")
    assert config["spec"]["build"]["baseImage"].startswith(f"python:{version}-slim")
    assert f"torch=={pinned('torch')}" in " ".join(directives(config, "preCopy", "RUN"))


def test_the_image_has_its_weights_and_every_package_but_nuclios_own(config: Any) -> None:
    install, pull = directives(config, "postCopy", "RUN")
    model = environment(config)["MASKLOOP_MODEL"]
    assert pull == f"python -m backend weights pull {model}"
    assert model in zoo.ARCHITECTURES
    assert "--no-deps -r /tmp/requirements.txt" in install
    assert "grep -v '^nuclio-sdk==' requirements.txt" in install
    assert pinned("nuclio-sdk")


def test_every_setting_exists_and_is_valid(
    config: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ours = {k: v for k, v in environment(config).items() if k.startswith("MASKLOOP_")}
    assert all(type(value) is str for value in ours.values())
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.model == "mobilesam"
    assert settings.device in ("cpu", "cuda")


def test_times_are_in_the_right_order(config: Any) -> None:
    spec = config["spec"]
    trigger = spec["triggers"]["myHttpTrigger"]
    event = float(re.fullmatch(r"(\d+)s", spec["eventTimeout"])[1])  # type: ignore[index]
    queue = trigger["workerAvailabilityTimeoutMilliseconds"] / 1000
    assert Settings().deadline_seconds < event
    assert queue + 2 * event <= 120
    assert spec["readinessTimeoutSeconds"] > nuclio.LOADING_SECONDS


def test_one_worker_and_room_for_the_largest_body(config: Any) -> None:
    (trigger,) = config["spec"]["triggers"].values()
    assert trigger["kind"] == "http"
    assert (trigger["numWorkers"], trigger["maxWorkers"]) == (1, 1)
    assert trigger["attributes"]["maxRequestBodySize"] == Settings().max_body_bytes


def test_the_platform_starts_it_again(config: Any) -> None:
    attributes = config["spec"]["platform"]["attributes"]
    assert attributes["restartPolicy"] == {"name": "always", "maximumRetryCount": 3}
    assert attributes["mountMode"] == "volume"


def test_the_gpu_file_differs_only_in_what_the_gpu_needs() -> None:
    cpu, gpu = map(read, FILES)
    assert gpu["spec"].pop("resources") == {"limits": {"nvidia.com/gpu": 1}}
    assert environment(gpu).items() - environment(cpu).items() == {
        ("MASKLOOP_DEVICE", "cuda"),
        ("NVIDIA_VISIBLE_DEVICES", "all"),
        ("NVIDIA_DRIVER_CAPABILITIES", "compute,utility"),
    }
    assert gpu["spec"]["build"].pop("image") == cpu["spec"]["build"].pop("image") + ":latest-gpu"
    for config in (cpu, gpu):
        del config["spec"]["env"], config["spec"]["build"]["directives"]["preCopy"]
    assert cpu == gpu
