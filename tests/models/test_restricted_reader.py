"""Files of authors' objects: read without them; hostile, damaged and absurd ones are refused."""

from __future__ import annotations

import io
import os
import pickle
import types
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models import checkpoints, restricted_reader
from models.checkpoints import CheckpointError
from models.restricted_reader import Refused, read
from tests.models import torch_files
from tests.models.torch_files import (
    FORMS,
    authors_code,
    program,
    storage,
    table,
    tensor,
    text,
    written,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:Detected pickle protocol", "ignore:Couldn't retrieve source code"
)

NUMBERS = {"0": np.arange(6, dtype=np.float32)}
TENSOR = tensor(storage(), (2, 3), (3, 1))


WEIGHTS = OrderedDict(weight=torch.ones(2, 3), bias=torch.zeros(2))


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_objects_are_left_out_and_tables_kept(tmp_path: Path, legacy: bool, protocol: int) -> None:
    """SimpleClick's container: a module in the configuration, and tables of another kind."""
    path = tmp_path / "net.pth"
    with authors_code(isegm__model__losses__Loss=torch.nn.Module, easydict__EasyDict=dict) as code:
        loss = code["Loss"]()
        loss.register_buffer("table", torch.ones(3))
        neck = code["EasyDict"](in_dim=8)
        neck.hidden = "left out"
        config = {"class": "x.Network", "params": {"loss": loss, "neck": neck, "sizes": (1, 2)}}
        torch.save(
            {"state_dict": WEIGHTS, "config": config},
            path,
            _use_new_zipfile_serialization=not legacy,
            pickle_protocol=protocol,
        )
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    with pytest.raises(ModuleNotFoundError):
        torch.load(path, weights_only=False)
    content = read(path)
    parameters = {"loss": None, "neck": {"in_dim": 8}, "sizes": (1, 2)}
    assert content["config"] == {"class": "x.Network", "params": parameters}
    assert type(content["config"]["params"]["neck"]) is dict
    assert content["state_dict"].keys() == WEIGHTS.keys()
    assert all(torch.equal(content["state_dict"][name], t) for name, t in WEIGHTS.items())


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_whole_training_is_left_out_beside_its_network(tmp_path: Path, legacy: bool) -> None:
    """TransT's container: constructor, settings, statistics and optimiser beside `net`."""
    path = tmp_path / "TransT_ep0500.pth.tar"
    network = torch.nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    with authors_code(
        ltr__admin__model_constructor__NetConstructor=object,
        ltr__admin__settings__Settings=object,
        ltr__admin__stats__AverageMeter=object,
    ) as code:
        constructor, settings = code["NetConstructor"](), code["Settings"]()
        constructor.fun_name, constructor.kwds = "transt_resnet50", {"settings": settings}
        settings.device, settings.scale = torch.device("cuda", 0), np.float64(0.25)
        meter = code["AverageMeter"]()
        meter.history = [np.float32(1.5), b"bytes"]
        content = {
            "epoch": 500,
            "net_type": "TransT",
            "net": network.state_dict(),
            "net_info": None,
            "constructor": constructor,
            "optimizer": optimiser.state_dict(),
            "stats": OrderedDict(train=OrderedDict(loss=meter, seen={1, 2})),
            "settings": settings,
        }
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    found = read(path)
    assert (found["epoch"], found["net_type"]) == (500, "TransT")
    assert (found["constructor"], found["settings"]) == (None, None)
    assert found["stats"]["train"] == {"loss": None, "seen": [1, 2]}
    assert all(torch.equal(found["net"][name], t) for name, t in network.state_dict().items())
    assert len(found["optimizer"]["state"]) == 2


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_tensors_are_those_that_were_saved(tmp_path: Path, legacy: bool) -> None:
    whole = torch.arange(12).view(3, 4)
    saved = {
        "plain": torch.randn(2, 3),
        "half": torch.randn(3).half(),
        "bfloat16": torch.randn(3).bfloat16(),
        "double": torch.randn(2).double(),
        "byte": torch.tensor([1, 255], dtype=torch.uint8),
        "transposed": whole.t(),
        "part": whole[1:, 1::2],
        "scalar": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.randn(2)),
    }
    path = tmp_path / "net.pth"
    torch.save(saved, path, _use_new_zipfile_serialization=not legacy)
    found = read(path)
    assert found.keys() == saved.keys()
    for name, wanted in saved.items():
        assert (found[name].dtype, found[name].stride()) == (wanted.dtype, wanted.stride())
        assert torch.equal(found[name], wanted)
        assert not found[name].requires_grad


class Call:
    """Pickles into a call."""

    def __init__(self, callee: Callable[..., Any], *args: Any) -> None:
        self.reduced = callee, args

    def __reduce__(self) -> Any:
        return self.reduced


def nested(marker: Path) -> Call:
    """A file within the file, for a loader that is called without its guard."""
    inner = io.BytesIO()
    torch.save(Call(os.mkdir, str(marker)), inner)
    inner.seek(0)
    return Call(torch.load, Call(io.BytesIO, inner.getvalue()), "cpu", pickle, Call(dict))


HOSTILE: dict[str, Callable[[Path], Any]] = {
    "os.mkdir": lambda marker: Call(os.mkdir, str(marker)),
    "os.system": lambda marker: Call(os.system, f"mkdir {marker}"),
    "eval": lambda marker: Call(eval, f"__import__('os').mkdir({str(marker)!r})"),
    "exec": lambda marker: Call(exec, f"import os; os.mkdir({str(marker)!r})"),
    "getattr": lambda marker: Call(Call(getattr, os, "mkdir"), str(marker)),
    "import": lambda marker: Call(Call(getattr, Call(__import__, "os"), "mkdir"), str(marker)),
    "pickle.loads": lambda marker: Call(pickle.loads, pickle.dumps(Call(os.mkdir, str(marker)))),
    "map": lambda marker: Call(list, Call(map, os.mkdir, [str(marker)])),
}


class _Pickler(pickle._Pickler):
    """Pickles calls of calls and modules by name, as a program written by hand would."""

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, Call):
            callee, args = obj.reduced
            self.save(callee)
            self.save(args)
            self.write(pickle.REDUCE)
        elif isinstance(obj, types.ModuleType):
            self.save(Call(__import__, obj.__name__))
        else:
            super().save(obj, save_persistent_id)


def dumped(value: Any, protocol: int) -> bytes:
    """A pickle that runs what it contains."""
    buffer = io.BytesIO()
    _Pickler(buffer, protocol).dump(value)
    return buffer.getvalue()


@pytest.mark.parametrize("attack", HOSTILE)
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_hostile_files_do_not_run(tmp_path: Path, attack: str, protocol: int) -> None:
    marker = tmp_path / "executed"
    content = dumped({"state_dict": {}, "config": HOSTILE[attack](marker)}, protocol)
    bare = tmp_path / "bare.pth"
    bare.write_bytes(content)
    files = [written(form, tmp_path / f"{form}.pth", content) for form in FORMS]
    for path in (*files, bare):
        with pytest.raises(Refused, match=r"it asks for|it is no PyTorch file"):
            read(path)
        with pytest.raises(CheckpointError, match=rf"{path.name} cannot be read safely: it is no"):
            checkpoints.load(path)
    assert not marker.exists()
    pickle.loads(content)  # noqa: S301 - the very same bytes do run where they are let
    assert marker.exists()


def test_a_hostile_file_within_the_file_does_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    for form in FORMS:
        path = written(form, tmp_path / form, dumped({"a": nested(marker)}, 4))
        with pytest.raises(CheckpointError, match=r"asks for '_?io\.BytesIO'|asks for 'torch"):
            checkpoints.load(path)
    assert not marker.exists()


def test_a_call_behind_an_authors_object_does_not_run(tmp_path: Path) -> None:
    """As state, as argument, as item: all of it is read by the same rules."""
    call = b"cos\nsystem\n" + text(f"mkdir {tmp_path}/executed") + b"\x85R"
    loss = b"cisegm.loss\nLoss\n"
    for operations in (
        loss + b")\x81" + call + b"b",
        loss + call + b"\x85R",
        loss + b")\x81" + call + b"a",
        b"ccollections\nOrderedDict\n)R" + call + b"b",
    ):
        for form in FORMS:
            path = written(form, tmp_path / form, program(table(config=operations)))
            with pytest.raises(CheckpointError, match=r"it asks for 'os\.system'"):
                checkpoints.load(path)
    assert not (tmp_path / "executed").exists()


ABSURD = {
    "more numbers than bytes": (storage("1", count=1 << 40), "has bytes for"),
    "fewer than none": (storage("1", count=-6), "has bytes for"),
    "a storage in two ways": (tensor(storage(count=5), (2,), (1,)), "in two ways"),
    "a storage of two types": (storage(kind="IntStorage"), "in two ways"),
    "a tensor beyond its numbers": (tensor(storage(), (2, 3), (3, 2)), "larger than its"),
    "an offset beyond": (tensor(storage(), (2, 3), (3, 1), offset=1), "larger than its"),
    "numbers used twice": (tensor(storage(), (1 << 40, 6), (0, 1)), "larger than its"),
    "a negative stride": (tensor(storage(), (2,), (-1,)), "impossible shape"),
    "a negative size": (tensor(storage(), (-2,), (1,)), "impossible shape"),
    "a negative offset": (tensor(storage(), (2,), (1,), offset=-1), "impossible shape"),
    "an endless stride": (tensor(storage(), (1,), (1 << 62,)), "impossible shape"),
    "an empty tensor far away": (tensor(storage(), (0,), (1,), offset=99), "larger than its"),
    "strides for other sizes": (tensor(storage(), (2, 3), (1,)), "impossible shape"),
    "many dimensions": (tensor(storage(), (1,) * 9, (1,) * 9), "impossible shape"),
    "a tensor of no storage": (tensor(b"N", (2,), (1,)), "a way that is not known"),
    "a parameter of no tensor": (b"ctorch._utils\n_rebuild_parameter\n(N\x88}tR", "a parameter"),
    "a storage of an unknown type": (storage(kind="BoolStorage"), "it asks for"),
    "a storage that is none": (text("0") + b"Q", "no storage"),
    "a storage with a long name": (storage(key="../" * 99), "no storage"),
    "attributes of a tensor": (TENSOR + b"}b", "sets attributes"),
    "items of a tensor": (TENSOR + b"K\x00K\x01s", "sets items"),
    "a table of pairs": (b"ccollections\nOrderedDict\n]\x85R", "makes a table"),
    "a table of a list": (b"ceasydict\nEasyDict\n]\x85R", "makes a table"),
    "a set of a table": (b"cbuiltins\nset\n}\x85R", "makes a set"),
    "a size of a table": (b"ctorch\nSize\n}\x85R", "makes a size"),
    "a table that contains itself": (b"}q\x01" + text("a") + b"h\x01s", "nested too deep"),
    "deep tables": (b"]" * 99 + b"a" * 98, "nested too deep"),
    "a tree of shared branches": (
        b"]q\x00" + b"".join(b"0](h%ch%ceq%c" % (i, i, i + 1) for i in range(28)), "absurd size",
    ),
    "a text mentioned often": (
        b"](" + text("a" * 99_999) + b"q\x00" + b"h\x00" * 99 + b"e", "absurd size",
    ),
    "a key made of tuples": (b"}" + b")\x85" + b"K\x01s", "neither texts nor"),
    "a key that none can hash": (b"}" + b")" + b"\x85" * 300_000 + b"K\x01s", "too deep"),
    "a member that none can hash": (
        b"cbuiltins\nset\n](" + b")" + b"\x85" * 300_000 + b"e\x85R", "too deep",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ABSURD)
@pytest.mark.parametrize("form", FORMS)
def test_absurd_contents_are_refused(tmp_path: Path, name: str, form: str) -> None:
    operations, match = ABSURD[name]
    # Used from both: a legacy file lists the storages that its tensors use.
    path = written(form, tmp_path / "net.pth", program(table(a=TENSOR, b=operations)), NUMBERS)
    with pytest.raises(Refused, match=match):
        read(path)
    with pytest.raises(CheckpointError, match=r"net\.pth"):
        checkpoints.load(path)


@pytest.mark.parametrize("form", FORMS)
def test_a_file_made_by_hand_is_read(tmp_path: Path, form: str) -> None:
    """The absurd contents fail for their absurdity, not for how the files are made."""
    content = program(table(a=TENSOR, b=tensor(storage(), (3, 2), (1, 3))))
    found = read(written(form, tmp_path / "net.pth", content, NUMBERS))
    assert torch.equal(found["a"], torch.arange(6.0).view(2, 3))
    assert torch.equal(found["b"], found["a"].t())


GOOD = program(table(a=TENSOR))


def damaged_archives() -> dict[str, tuple[bytes, str]]:
    compressed = io.BytesIO()
    with zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", GOOD)
    whole = torch_files.zipped(GOOD, NUMBERS)
    encrypted = bytearray(whole)
    for flags in (whole.index(b"PK\x01\x02") + 8, 6):
        encrypted[flags] |= 1
    wrong = bytearray(whole)
    wrong[whole.index(NUMBERS["0"].tobytes()) + 5] ^= 1
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = torch_files.zipped(GOOD, NUMBERS, [("net/data/0", bytes(24))])
    return {
        "compressed": (compressed.getvalue(), "compressed or encrypted"),
        "encrypted": (bytes(encrypted), "compressed or encrypted"),
        "twice the same member": (twice, "members that overlap"),
        "no pickle": (torch_files.zipped(GOOD, {}).replace(b"data.pkl", b"data.txt"), "with 0"),
        "two pickles": (torch_files.zipped(GOOD, NUMBERS, [("b/data.pkl", GOOD)]), "with 2"),
        "big numbers first": (whole.replace(b"little", b"big   "), "damaged|little-endian"),
        "a storage missing": (torch_files.zipped(GOOD, {}), "data/'0' is missing"),
        "a storage cut short": (torch_files.zipped(GOOD, {"0": NUMBERS["0"][:5]}), "cut short"),
        "a wrong bit": (bytes(wrong), "damaged"),
        "the end missing": (whole[:-30], "damaged"),
        "a pickle of absurd length": (torch_files.zipped(b"N" * (9 << 20), {}), "far too large"),
    }


def damaged_sequences() -> dict[str, tuple[bytes, str]]:
    whole = torch_files.sequence(GOOD, NUMBERS)
    more = {"0": np.arange(7, dtype=np.float32)}
    return {
        "another magic": (pickle.dumps(7) + whole, "no PyTorch file"),
        "another protocol": (whole.replace(b"M\xe9\x03", b"M\xe8\x03", 1), "another protocol"),
        "other bytes first": (whole.replace(b"\x88", b"\x89", 1), "another protocol or byte"),
        "the end missing": (whole[:-4], "cut short"),
        "half of it missing": (whole[: len(whole) // 2], "damaged|in the middle"),
        "a list of storages that is none": (torch_files.sequence(GOOD, {}, keys={}), "is none"),
        "a storage twice": (torch_files.sequence(GOOD, {}, keys=["0", "0"]), "are not those"),
        "a storage that nobody uses": (torch_files.sequence(GOOD, {}, ["0", "1"]), "are not those"),
        "a storage of another length": (torch_files.sequence(GOOD, more), "cut short"),
        "a tensor in the first pickle": (program(TENSOR), "it asks for"),
        "nothing": (b"", "in the middle|damaged"),
        "a picture": (b"\xff\xd8\xff\xe0" + bytes(2000), "damaged"),
        "a page": (b"<html>404</html>", "damaged|a value is missing|the operation"),
    }


DAMAGED = damaged_archives() | damaged_sequences()


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_are_refused(tmp_path: Path, name: str) -> None:
    data, match = DAMAGED[name]
    path = tmp_path / "net.pth"
    path.write_bytes(data)
    with pytest.raises(Refused, match=match):
        read(path)
    with pytest.raises(CheckpointError, match=r"net\.pth"):
        checkpoints.load(path)


@pytest.mark.parametrize("member", ["data.pkl", "DATA.PKL"])
def test_the_build_of_a_pickle_is_checked_before_any_reader(tmp_path: Path, member: str) -> None:
    """These bytes end the process where `torch.load(weights_only=True)` is let at them."""
    deep = program(b"}" + b")" + b"\x85" * 300_000 + b"K\x01s")
    path = tmp_path / "net.pth"
    path.write_bytes(torch_files.zipped(deep, {}).replace(b"data.pkl", member.encode()))
    with pytest.raises(Refused, match="it nests tuples too deep"):
        restricted_reader.check(path)
    with pytest.raises(CheckpointError, match="it nests tuples too deep"):
        checkpoints.load(path)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "net.pth"


WHOLE = {
    "zip": torch_files.zipped(GOOD, NUMBERS),
    "legacy": torch_files.sequence(GOOD, NUMBERS),
}
changes = st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=8)


@given(st.sampled_from(FORMS), changes, st.integers(0, 1 << 16))
def test_changed_bytes_never_escape(
    scratch: Path, form: str, changed: list[tuple[int, int]], kept: int
) -> None:
    data = bytearray(WHOLE[form])
    for position, value in changed:
        data[position % len(data)] = value
    scratch.write_bytes(data if kept % 3 else data[: kept % len(data)])
    try:
        content = read(scratch)
    except Refused as refusal:
        assert str(refusal).startswith(("it ", "its "))
    else:
        numbers = [t for t in [content] if isinstance(t, torch.Tensor)]
        numbers += list(content.values()) if isinstance(content, dict) else []
        assert all(t is None or t.numel() <= 6 for t in numbers if isinstance(t, torch.Tensor))


def test_a_configuration_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    """Files that the first reader takes as well, whose configuration is stored as JSON."""
    tree: list[Any] = []
    for _ in range(40):
        tree = [tree, tree]
    for params, match in (
        ({"a": tree}, "absurd size"),
        ({"a": ["b" * 99_999] * 99}, "texts are of absurd size"),
        ({(1, 2): 3}, "neither texts nor small integers"),
    ):
        path = tmp_path / "net.pth"
        config = {"class": "x.HRNetModel", "params": params}
        torch.save({"state_dict": {"a": torch.zeros(1)}, "config": config}, path)
        with pytest.raises(CheckpointError, match=match):
            checkpoints.load(path)


def test_the_file_of_simpleclick_is_read(shared: Path) -> None:
    """The authors' container with its pickled loss: four small tensors and the configuration."""
    folder = shared / "goldens/simpleclick_vit_b"
    path = folder / "config_only.pth"
    with pytest.raises(pickle.UnpicklingError, match="CrossEntropyLoss"):
        torch.load(path, weights_only=True)
    content = restricted_reader.read(path)
    assert [t.numel() for t in content["state_dict"].values()] == [768] * 4
    head = content["config"]["params"]["head_params"]["value"]
    assert (head["loss_decode"], head["channels"], head["upsample"]) == (None, 256, "x1")
    with pytest.raises(CheckpointError, match="looks like simpleclick-vit-b but does not fit it"):
        checkpoints.load(path)
