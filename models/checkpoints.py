"""The safe loader: weights from an author's file or from one of ours, recognised by content.

An author's file is read with `torch.load(weights_only=True)` or, where it holds objects of its
authors' code beside the weights, by `models.restricted_reader`, which leaves those out; neither
runs anything that a file asks for, and what would need more is refused. Files of ours are
safetensors, whose header carries what the tensors do not say. File names and suffixes mean nothing
here.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from models import restricted_reader, zoo
from models.recognition import CheckpointError, recognised

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "load",
    "load_for",
    "name_from",
    "save",
    "sha256",
    "version_id",
    "version_of",
]

HEADER = "maskloop"
"""The one key of our safetensors' metadata. The library keeps several keys in no fixed order,
and equal weights shall give equal files."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights of one architecture.

    `tensors` have the authors' names and fit the architecture's network exactly. `config` is the
    serialised configuration of systems that keep one beside the tensors, else empty. `weights`
    is the name after the `@` and `source` the hex sha256 of the author's file, where known.
    """

    architecture: str
    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None
    source: str | None = None


def load(path: str | Path) -> Checkpoint:
    """Read a weights file. Raises CheckpointError with a sentence; OSError if it cannot be opened.

    Tensors are on the CPU.
    """
    path = Path(path)
    with path.open("rb") as file:
        start = file.read(16)
    if start[8:9] == b"{":
        return _checked(_from_safetensors(path), path)
    found = recognised(_from_torch(path), path.name)
    digest = sha256(path)
    published = _published(found.architecture, path)
    # A published file without a published digest can only be told by its name.
    names = {file.sha256 or file.file_name: file.name for file in published}
    name = names.get(digest) or names.get(path.name)
    return _checked(Checkpoint(found.architecture, found.tensors, found.config, name, digest), path)


def load_for(architecture: str, path: str | Path) -> Checkpoint:
    """Read a weights file that must be of `architecture`. Raises as `load` does."""
    checkpoint = load(path)
    if checkpoint.architecture != architecture:
        raise CheckpointError(
            f"{Path(path).name} holds weights of {checkpoint.architecture}, not of {architecture}"
        )
    return checkpoint


def save(checkpoint: Checkpoint, path: str | Path) -> None:
    """Write a checkpoint as safetensors. Equal checkpoints give equal bytes.

    The header of published weights also says where they come from and on what terms.
    """
    header = {
        "architecture": checkpoint.architecture,
        "config": checkpoint.config,
        "source": checkpoint.source,
        "weights": checkpoint.weights,
        **_terms(checkpoint),
    }
    tensors = _apart(checkpoint.tensors)
    save_file(tensors, path, metadata={HEADER: json.dumps(header, sort_keys=True)})


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same, each with memory of its own as the library wants it: no part of another's."""
    apart: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        whole = tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.nbytes
        own = whole and tensor.data_ptr() not in taken
        apart[name] = tensor if own else tensor.clone(memory_format=torch.contiguous_format)
        taken.add(apart[name].data_ptr())
    return apart


def sha256(path: str | Path) -> str:
    """Hex digest of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def version_id(architecture: str, weights: str, path: str | Path) -> str:
    """The version id of the weights file at `path`, whose bytes are its identity."""
    return zoo.version_text(architecture, weights, sha256(path))


def name_from(path: str | Path) -> str:
    """A name for weights that have none, made of the name of their file."""
    slug = re.sub(r"[^a-z0-9._-]+", "-", Path(path).stem.lower()).strip("-._")
    return slug or "file"


def version_of(checkpoint: Checkpoint, path: str | Path) -> str:
    """The version id of weights loaded from `path`; unnamed ones are called after the file."""
    return version_id(checkpoint.architecture, checkpoint.weights or name_from(path), path)


def _published(architecture: str, path: Path) -> tuple[zoo.WeightsFile, ...]:
    try:
        return zoo.architecture(architecture).weights
    except zoo.UnknownModel as error:
        raise CheckpointError(f"{path.name}: {error}") from None


def _terms(checkpoint: Checkpoint) -> dict[str, str]:
    """Address and licences of an author's file under its published name; nothing for others."""
    entry = zoo.ARCHITECTURES.get(checkpoint.architecture)
    if entry is None or checkpoint.source is None:
        return {}
    for file in entry.weights:
        if file.name == checkpoint.weights:
            return {
                "address": file.address,
                "licence_code": file.licence_code,
                "licence_weights": file.licence_weights,
            }
    return {}


def _in_full(tensor: Tensor) -> Tensor:
    """Numbers kept in half precision, to save space, as the networks have them."""
    return tensor.float() if tensor.dtype == torch.float16 else tensor


def _from_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = json.loads((file.metadata() or {})[HEADER])
            names = file.keys()
            tensors = {name: _in_full(file.get_tensor(name)) for name in names}
        if header["weights"] is not None and not zoo.WEIGHTS_NAME.fullmatch(header["weights"]):
            raise CheckpointError(f"{path.name} gives its weights no valid name in its header")
        if not isinstance(header["config"], dict):
            raise CheckpointError(f"{path.name} has no table for a configuration in its header")
        return Checkpoint(
            header["architecture"], tensors, header["config"], header["weights"], header["source"]
        )
    except SafetensorError as error:
        raise CheckpointError(
            f"{path.name} is a damaged safetensors file ({error}); fetch it again"
        ) from None
    except (KeyError, TypeError, RecursionError, json.JSONDecodeError):
        raise CheckpointError(
            f"{path.name} is a safetensors file without this program's header, so nothing says"
            " which network it belongs to; add the author's original file instead"
        ) from None


def _from_torch(path: Path) -> object:
    """What an author's file holds: tensors, plain values, and None for objects of their code."""
    try:
        if _is_compressed(path):
            raise CheckpointError(
                f"{path.name} is a compressed archive and no PyTorch checkpoint; unpack it and"
                " give the weights file itself"
            )
        restricted_reader.check(path)
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:
            return restricted_reader.read(path)
    except (OSError, CheckpointError):
        raise
    except Exception as error:
        # Damaged and hostile files fail in the readers in more ways than can be listed.
        reason = str(error).strip().split("\n", 1)[0][:200] or type(error).__name__
        raise CheckpointError(
            f"{path.name} cannot be read safely: it is no PyTorch checkpoint, is damaged, or"
            f" holds more than tensors and plain values ({reason})"
        ) from None


def _is_compressed(path: Path) -> bool:
    """Whether unpacking could fill the memory: PyTorch stores its tensors as they are."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist())


def _network(checkpoint: Checkpoint) -> nn.Module:
    """The network that the tensors should fit, built from their configuration where they have one.

    A system whose networks differ by more than their name has `network_of(name, config)`.
    """
    entry = zoo.architecture(checkpoint.architecture)
    network_of = getattr(importlib.import_module(entry.module), "network_of", None)
    if not checkpoint.config or network_of is None:
        return entry.network()
    network: nn.Module = network_of(checkpoint.architecture, checkpoint.config)
    return network


def _checked(checkpoint: Checkpoint, path: Path) -> Checkpoint:
    """The checkpoint, if every tensor of its network is there, of its shape, and finite."""
    try:
        with torch.device("meta"):
            expected = _network(checkpoint).state_dict()
    except ValueError as error:
        raise CheckpointError(f"{path.name}: {error}") from None
    tensors = checkpoint.tensors
    common = expected.keys() & tensors.keys()
    wrong = {name for name in common if _kind(tensors[name]) != _kind(expected[name])}
    missing, surplus = expected.keys() - common, tensors.keys() - common
    if missing or surplus or wrong:
        raise CheckpointError(
            f"{path.name} looks like {checkpoint.architecture} but does not fit it:"
            f" {len(missing)} tensors missing, {len(surplus)} unknown, {len(wrong)} of another"
            f" shape or type (the first: {min(missing | surplus | wrong)})"
        )
    for name, tensor in tensors.items():
        if not _is_plain(tensor):
            raise CheckpointError(f"{path.name}: {name} is a tensor without numbers of its own")
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{path.name} is damaged: {name} holds infinities or NaN")
    return checkpoint


def _is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is an array in memory: files can describe sparse and imagined ones."""
    usual = type(tensor) in (Tensor, nn.Parameter) and tensor.layout is torch.strided
    return usual and tensor.device.type == "cpu"


def _kind(tensor: Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype
