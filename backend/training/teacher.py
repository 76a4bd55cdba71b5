"""Training objects from a teacher: MobileSAM's own masks where no person has drawn one.

The result are tar shards as `backend.training.data.shards` reads them. On them a teacher's mask is
an object, a person's is to be ignored: it is in the data that a person annotated already.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from backend.errors import InvalidRequest
from backend.settings import Settings
from backend.training.data.source import Annotated, Source
from backend.weights import installed
from models import checkpoints
from models.heads.sam_prompt import STRIDE
from models.mobilesam_network import MobileSam
from models.sam_everything import EverythingOptions, FoundMask, everything

IGNORE = 255
MOST = 254
"""Objects of one picture: what an index mask of bytes can hold."""

KIND = "regions"
SUFFIX = "-teacher"
"""After the name of the set that a picture came from."""

SHARD_PIXELS = 100_000_000
"""Of all pictures in a shard together: about twenty megabytes once compressed."""

QUALITY = 90
"""Of the pictures in the shards; they have been compressed before."""

Progress = Callable[[], None]


@dataclass(frozen=True)
class Labelled:
    """A picture, uint8 HxWx3 RGB, with an index mask uint8 HxW of `objects` objects."""

    key: str
    source: str
    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    objects: int


def labelled(
    picture: Annotated, network: MobileSam, options: EverythingOptions, overlap: float = 0.5
) -> Labelled | None:
    """The teacher's objects on a picture; None where it finds none.

    A mask that covers more than `overlap` of a person's object, or lies on it by that share, is
    that object again and is left out.
    """
    drawn = np.zeros(picture.size, np.bool_)
    for layer in picture.layers:
        drawn |= layer > 0
    found = [
        candidate
        for candidate in everything(network, picture.image, options)
        if not _known(candidate, picture, drawn, overlap)
    ]
    # Large ones first, so that a small object on a large one keeps its pixels.
    found = sorted(found[:MOST], key=lambda candidate: -int(candidate.mask.sum()))
    mask = np.zeros(picture.size, np.uint8)
    for index, candidate in enumerate(found, 1):
        mask[candidate.mask] = index
    mask[drawn | picture.ignored()] = IGNORE
    present = np.setdiff1d(mask, [0, IGNORE])
    if not len(present):
        return None
    source = f"{picture.source}{SUFFIX}"
    return Labelled(picture.key, source, picture.image, mask, len(present))


def _known(
    candidate: FoundMask, picture: Annotated, drawn: npt.NDArray[np.bool_], overlap: float
) -> bool:
    area = int(np.count_nonzero(candidate.mask))
    if np.count_nonzero(candidate.mask & drawn) > overlap * area:
        return True
    return any(
        np.count_nonzero(candidate.mask & own) > overlap * max(1, int(np.count_nonzero(own)))
        for own in map(picture.mask, range(len(picture.objects)))
    )


def write_shards(pictures: Iterable[Labelled], out: Path) -> tuple[int, int]:
    """Write tar shards into the folder `out`; how many pictures and objects they hold."""
    out.mkdir(parents=True, exist_ok=True)
    count = objects = 0
    for number, shard in enumerate(_shards(pictures)):
        with tarfile.open(out / f"teacher-{number:03d}.tar", "w") as archive:
            for picture in shard:
                for suffix, data in _members(picture):
                    info = tarfile.TarInfo(f"{count:06d}.{suffix}")
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
                count, objects = count + 1, objects + picture.objects
    return count, objects


def _shards(pictures: Iterable[Labelled]) -> Iterator[list[Labelled]]:
    """Pictures in lots of `SHARD_PIXELS`."""
    lot: list[Labelled] = []
    for picture in pictures:
        lot.append(picture)
        if sum(one.mask.size for one in lot) >= SHARD_PIXELS:
            yield lot
            lot = []
    if lot:
        yield lot


def _members(picture: Labelled) -> Iterator[tuple[str, bytes]]:
    image = cv2.cvtColor(picture.image, cv2.COLOR_RGB2BGR)
    yield "jpg", cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    yield "png", cv2.imencode(".png", picture.mask)[1].tobytes()
    said = {"source": picture.source, "kind": KIND, "objects": picture.objects, "key": picture.key}
    yield "json", json.dumps(said).encode()


def teacher(settings: Settings, side: int, device: str) -> MobileSam:
    """MobileSAM with its installed weights, for pictures of `side` pixels, ready to be asked.

    Raises WeightsMissing with what to type, and InvalidRequest for a side that it cannot see.
    """
    if side % STRIDE:
        raise InvalidRequest(f"side is {side}; it must be a multiple of {STRIDE}", field="side")
    network = MobileSam(side)
    file = installed(settings, "mobilesam").path
    network.load_state_dict(dict(checkpoints.load_for("mobilesam", file).tensors))
    return network.for_inference(device)


def label(
    source: Source,
    network: MobileSam,
    out: Path,
    options: EverythingOptions | None = None,
    progress: Progress = lambda: None,
) -> tuple[int, int]:
    """Let the teacher label every picture of a source; how many pictures and objects came out.

    Raises as `Source.load` and `models.sam_everything.everything` do.
    """
    chosen = options or EverythingOptions()

    def results() -> Iterator[Labelled]:
        for index in range(len(source)):
            result = labelled(source.load(index), network, chosen)
            progress()
            if result is not None:
                yield result

    return write_shards(results(), out)
