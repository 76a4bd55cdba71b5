"""SBD's training pictures (Hariharan et al., ICCV 2011): `img/`, `inst/` and `train.txt`."""

from __future__ import annotations

from pathlib import Path

from backend.errors import InvalidRequest
from backend.evaluation.picture_files import read_lines, read_sbd_instances
from backend.training.data.decoding import decode_rgb, read_bytes, same_size
from backend.training.data.shards import fingerprint, objects_of
from backend.training.data.source import Annotated, Kind, Record, Source


class Sbd(Source):
    """The pictures that `list_name` names, each instance an object.

    Raises `InvalidRequest` for a folder without the list or with files missing.
    """

    def __init__(
        self, root: Path, *, list_name: str = "train.txt", longest: int | None = None
    ) -> None:
        self.root, self.longest = root, longest
        self.names = tuple(read_lines(root / list_name))
        missing = [name for name in self.names if not self._has(name)]
        if missing or not self.names:
            raise InvalidRequest(
                f"{root}: {list_name} names {len(self.names)} pictures, of which {len(missing)} "
                f"lack img/NAME.jpg or inst/NAME.mat ({', '.join(missing[:3])}); complete the set"
            )

    def __len__(self) -> int:
        return len(self.names)

    def record(self, index: int) -> Record:
        """See `Source.record`. How many objects there are is only in the mask."""
        return Record(self.names[index], "sbd", Kind.INSTANCES, 1)

    def load(self, index: int) -> Annotated:
        """See `Source.load`."""
        name = self.names[index]
        path, instances = self._paths(name)
        image = decode_rgb(read_bytes(path), str(path), self.longest)
        layer = same_size(read_sbd_instances(instances), image, str(instances))
        return Annotated(image, (layer,), objects_of(layer), Kind.INSTANCES, "sbd", name)

    def fingerprint(self) -> str:
        """See `Source.fingerprint`."""
        return fingerprint([path for name in self.names for path in self._paths(name)])

    def _paths(self, name: str) -> tuple[Path, Path]:
        return self.root / "img" / f"{name}.jpg", self.root / "inst" / f"{name}.mat"

    def _has(self, name: str) -> bool:
        return all(path.is_file() for path in self._paths(name))
