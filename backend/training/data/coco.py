"""COCO, LVIS and both together as sources.

The union is the one on which RITM and the systems after it are trained: LVIS's masks, and those
of COCO for things that LVIS leaves out. The authors hand theirs round as pickled files, which run
code when they are read; it is made here from the two annotation files instead.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from backend.errors import InvalidImage, InvalidRequest
from backend.training.data.annotation_files import (
    AnnotationFile,
    Flavour,
    find_pictures,
    read_annotations,
)
from backend.training.data.decoding import decode_rgb, read_bytes, same_size
from backend.training.data.instances import Instance, drawn, layered, overlaps
from backend.training.data.shards import fingerprint
from backend.training.data.source import (
    BACKGROUND,
    IGNORE,
    Annotated,
    Kind,
    Layer,
    ObjectRef,
    Record,
    Source,
)

log = logging.getLogger(__name__)

SAME = 0.8
"""The IoU above which masks of COCO and LVIS are outlines of one thing. Not any overlap: LVIS
annotates the shirt, COCO the person in it, and both are wanted."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of an annotation file that is there."""

    path: Path
    key: str
    size: tuple[int, int]


class Packed:
    """A list of JSON values in one file, which all processes map into their memory.

    The file is a temporary one of the process that made the list, and goes with it; copies in
    worker processes open it again. So a million outlines are in memory once, not once a worker.
    """

    def __init__(self, values: Iterable[Any]) -> None:
        self._file = tempfile.NamedTemporaryFile(prefix="maskloop-annotations-")  # noqa: SIM115
        lengths = [
            self._file.write(json.dumps(value, separators=(",", ":")).encode()) for value in values
        ]
        self._file.flush()
        self._ends = np.cumsum(lengths, dtype=np.int64)
        self._name = self._file.name
        self._bytes = np.memmap(self._name, np.uint8, "r")

    def __getstate__(self) -> tuple[str, npt.NDArray[np.int64]]:
        return self._name, self._ends

    def __setstate__(self, state: tuple[str, npt.NDArray[np.int64]]) -> None:
        self._name, self._ends = state
        self._bytes = np.memmap(self._name, np.uint8, "r")

    def __getitem__(self, index: int) -> Any:
        start = self._ends[index - 1] if index else 0
        return json.loads(self._bytes[start : self._ends[index]].tobytes())


class AnnotatedFiles(Source):
    """Pictures with instances of one or several annotation files.

    The instances of the first file that has the picture stand; those of the others are added where
    they are not the same thing (IoU above `same`). Pictures are those of the first file. With
    `hierarchy` things within things are their children.
    """

    def __init__(
        self,
        files: Sequence[AnnotationFile],
        name: str,
        *,
        hierarchy: bool = False,
        same: float = SAME,
        longest: int | None = None,
    ) -> None:
        found = find_pictures(files[0], [file.path for file in files[1:]])
        self.files = tuple(file.path for file in files)
        self.name, self.hierarchy, self.same, self.longest = name, hierarchy, same, longest
        annotated = [id_ for id_ in found if any(file.annotations.get(id_) for file in files)]
        if not annotated:
            raise InvalidRequest(f"{files[0].path} annotates none of the pictures that are there")
        missing = len(files[0].pictures) - len(found)
        if missing:
            log.warning("%s lists %d pictures that are not there", files[0].path, missing)
        self._pictures = [
            Picture(
                found[id_],
                str(id_),
                (files[0].pictures[id_].height, files[0].pictures[id_].width),
            )
            for id_ in annotated
        ]
        outlines = [_outlines(files, id_) for id_ in annotated]
        self._objects = [max(1, sum(not one["crowd"] for one in each)) for each in outlines]
        self._outlines = Packed(outlines)

    def __len__(self) -> int:
        return len(self._pictures)

    def record(self, index: int) -> Record:
        """See `Source.record`."""
        return Record(self._pictures[index].key, self.name, Kind.INSTANCES, self._objects[index])

    def load(self, index: int) -> Annotated:
        """See `Source.load`. Raises `InvalidImage` for an outline that cannot be drawn, too."""
        picture = self._pictures[index]
        image = decode_rgb(read_bytes(picture.path), str(picture.path), self.longest)
        instances = self._instances(picture, self._outlines[index])
        layers, objects = layered(instances, picture.size, hierarchy=self.hierarchy)
        layers = tuple(same_size(layer, image, str(picture.path)) for layer in layers)
        return Annotated(image, layers, objects, Kind.INSTANCES, self.name, picture.key)

    def fingerprint(self) -> str:
        """See `Source.fingerprint`."""
        return fingerprint([*self.files, *(picture.path for picture in self._pictures)])

    def _instances(self, picture: Picture, outlines: list[dict[str, Any]]) -> list[Instance]:
        found: list[Instance] = []
        for rank in range(len(self.files)):
            own = [one for one in outlines if one["file"] == rank]
            name = f"{self.files[rank].name}, picture {picture.key}"
            masks = [drawn(one["outline"], picture.size, name) for one in own]
            new = [
                Instance(rle, one["crowd"], one["stuff"])
                for one, rle in zip(own, masks, strict=True)
                if rle is not None
            ]
            iou = overlaps([one.rle for one in new], [one.rle for one in found])
            same = np.atleast_1d((iou > self.same).any(axis=1))
            found += [one for one, known in zip(new, same, strict=True) if not known]
        return found


class Panoptic(Source):
    """COCO's panoptic segments: things and stuff, crowds to be ignored.

    The masks are PNG files in a folder named like the annotation file.
    """

    def __init__(self, file: AnnotationFile, name: str, longest: int | None = None) -> None:
        found = find_pictures(file)
        self.file, self.name, self.longest = file.path, name, longest
        self.masks = file.path.with_suffix("")
        self._pictures = [
            Picture(path, str(id_), (file.pictures[id_].height, file.pictures[id_].width))
            for id_, path in found.items()
            if file.annotations.get(id_)
        ]
        if not self._pictures:
            raise InvalidRequest(f"{file.path} annotates none of the pictures that are there")
        entries = [file.annotations[int(picture.key)][0] for picture in self._pictures]
        self._segments = Packed([_segments(entry, file) for entry in entries])
        self._objects = [max(1, len(entry["segments_info"])) for entry in entries]

    def __len__(self) -> int:
        return len(self._pictures)

    def record(self, index: int) -> Record:
        """See `Source.record`."""
        return Record(self._pictures[index].key, self.name, Kind.INSTANCES, self._objects[index])

    def load(self, index: int) -> Annotated:
        """See `Source.load`."""
        picture = self._pictures[index]
        image = decode_rgb(read_bytes(picture.path), str(picture.path), self.longest)
        segments = self._segments[index]
        path = self.masks / segments["file"]
        layer, objects = _panoptic_layer(path, segments["segments"])
        layer = same_size(layer, image, str(path))
        return Annotated(image, (layer,), objects, Kind.INSTANCES, self.name, picture.key)

    def fingerprint(self) -> str:
        """See `Source.fingerprint`."""
        return fingerprint([self.file, *(picture.path for picture in self._pictures)])


def open_annotations(paths: Sequence[Path], *, longest: int | None = None) -> list[Source]:
    """The sources of annotation files.

    An LVIS file and COCO files with pictures of it are one source, their union; COCO's stuff joins
    what there is. Others stand for themselves. Raises `InvalidRequest`.
    """
    files = [read_annotations(path) for path in paths]
    sources: list[Source] = [
        Panoptic(file, _name(file), longest) for file in files if file.flavour is Flavour.PANOPTIC
    ]
    ranks = {Flavour.LVIS: 0, Flavour.COCO: 1, Flavour.STUFF: 2}
    left = sorted(
        (file for file in files if file.flavour in ranks), key=lambda file: ranks[file.flavour]
    )
    while left:
        first = left.pop(0)
        joined = [file for file in left if _completes(file, first)]
        left = [file for file in left if file not in joined]
        union = first.flavour is Flavour.LVIS and any(
            file.flavour is Flavour.COCO for file in joined
        )
        sources.append(
            AnnotatedFiles(
                [first, *joined],
                "coco_lvis" if union else _name(first),
                hierarchy=first.flavour is Flavour.LVIS,
                longest=longest,
            )
        )
    return sources


def _completes(file: AnnotationFile, first: AnnotationFile) -> bool:
    """Whether `file` annotates pictures of `first` further."""
    further = {Flavour.LVIS: (Flavour.COCO, Flavour.STUFF), Flavour.COCO: (Flavour.STUFF,)}
    return file.flavour in further.get(first.flavour, ()) and bool(
        file.pictures.keys() & first.pictures.keys()
    )


def _name(file: AnnotationFile) -> str:
    return file.flavour.value.lower().replace(" ", "_")


def _outlines(files: Sequence[AnnotationFile], picture: int) -> list[dict[str, Any]]:
    return [
        {
            "file": rank,
            "outline": annotation.get("segmentation", []),
            "crowd": bool(annotation.get("iscrowd", 0)),
            "stuff": annotation.get("category_id") in file.stuff,
        }
        for rank, file in enumerate(files)
        for annotation in file.annotations.get(picture, ())
    ]


def _segments(entry: Mapping[str, Any], file: AnnotationFile) -> dict[str, Any]:
    name = Path(str(entry["file_name"])).name
    return {
        "file": name,
        "segments": [
            [int(one["id"]), one["category_id"] in file.stuff, bool(one.get("iscrowd", 0))]
            for one in entry["segments_info"]
        ],
    }


def _panoptic_layer(
    path: Path, segments: Sequence[tuple[int, bool, bool]]
) -> tuple[Layer, tuple[ObjectRef, ...]]:
    """A segment's id is written in the colour: red + 256 green + 65536 blue."""
    colours = cv2.imdecode(np.frombuffer(read_bytes(path), np.uint8), cv2.IMREAD_COLOR)
    if colours is None:
        raise InvalidImage(f"{path}: not a readable mask; fetch it again")
    parts = colours.astype(np.int32)
    stored = parts[..., 2] + 256 * parts[..., 1] + 65536 * parts[..., 0]
    present, inverse = np.unique(stored, return_inverse=True)
    ids = np.full(len(present), BACKGROUND, np.int32)
    objects = []
    for number, (segment, stuff, crowd) in enumerate(segments):
        ids[present == segment] = IGNORE if crowd else number + 1
        if not crowd and segment in present:
            objects.append(ObjectRef(0, number + 1, bool(stuff)))
    return ids[inverse].reshape(stored.shape), tuple(objects)
