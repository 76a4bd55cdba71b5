"""The table of architectures."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from models import zoo


def test_the_table_has_its_names() -> None:
    assert list(zoo.ARCHITECTURES) == ["mobilesam", "ritm-hrnet18s", "ritm-hrnet18", "ritm-hrnet32"]


@pytest.mark.parametrize("entry", zoo.ARCHITECTURES.values(), ids=lambda entry: entry.name)
def test_every_entry_is_complete(entry: zoo.Architecture) -> None:
    assert entry.weights
    assert set(entry.prompts) <= {"clicks", "box", "scribbles", "mask"}
    for file in entry.weights:
        assert zoo.WEIGHTS_NAME.fullmatch(file.name)
        assert file.url.startswith("https://") and file.url.endswith(file.file_name)
        assert file.licence_code and file.licence_weights
        assert entry.weights_file(file.name) is file
    assert entry.weights_file() is entry.weights[0]


def test_size_agrees_with_the_parameters() -> None:
    for entry in zoo.ARCHITECTURES.values():
        for file in entry.weights:
            assert file.mebibytes == pytest.approx(entry.parameters * 4 / 2**20, rel=0.03)


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("mobile-sam", "mobilesam"), ("ritm-hrnet-18", "ritm-hrnet18"), ("MobileSAM", "mobilesam")],
)
def test_a_wrong_name_is_told_the_near_ones(wrong: str, near: str) -> None:
    with pytest.raises(zoo.UnknownModel, match=near):
        zoo.architecture(wrong)


def test_a_strange_name_is_told_all() -> None:
    with pytest.raises(zoo.UnknownModel, match="there are mobilesam, ritm-hrnet18s"):
        zoo.architecture("zzz")


def test_parse() -> None:
    ritm = zoo.architecture("ritm-hrnet18")
    assert zoo.parse("ritm-hrnet18") == (ritm, None)
    assert zoo.parse("ritm-hrnet18@sbd") == (ritm, "sbd")
    assert zoo.parse("ritm-hrnet18@my-own.2") == (ritm, "my-own.2")


@pytest.mark.parametrize("wrong", ["mobilesam@", "mobilesam@../x", "mobilesam@A", "mobilesam@a@b"])
def test_parse_refuses_names_that_could_be_paths(wrong: str) -> None:
    with pytest.raises(zoo.UnknownModel, match="name of lower-case letters"):
        zoo.parse(wrong)


def test_unpublished_weights_are_refused_with_the_published_ones() -> None:
    with pytest.raises(zoo.UnknownModel, match="ritm-hrnet18@coco-lvis, ritm-hrnet18@sbd"):
        zoo.architecture("ritm-hrnet18").weights_file("voc")


def test_a_name_given_twice_is_refused() -> None:
    entry = zoo.architecture("mobilesam")
    with pytest.raises(ValueError, match="two architectures are called 'mobilesam'"):
        zoo.table([entry, entry])
    with pytest.raises(ValueError, match="two weights files of mobilesam"):
        zoo.table([replace(entry, weights=entry.weights * 2)])


def test_importing_the_zoo_does_not_import_torch() -> None:
    code = "import sys, models, models.zoo; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
