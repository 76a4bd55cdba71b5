"""Reading the pictures, masks and lists that evaluation sets are made of."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import scipy.io
import scipy.io.matlab

from backend.errors import InvalidImage, InvalidRequest

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"})


UNREADABLE_MATLAB = (
    scipy.io.matlab.MatReadError,
    NotImplementedError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    zlib.error,
)
"""What SciPy raises for a file that is damaged, of another kind, or without instances."""


def pictures_by_stem(folder: Path) -> dict[str, Path]:
    """The picture files of a folder by their name up to the first dot, sorted by it."""
    files = (path for path in folder.iterdir() if path.suffix.lower() in EXTENSIONS)
    return {stem(path): path for path in sorted(files)}


def stem(path: Path) -> str:
    """The file's name up to its first dot: what pairs a picture with its mask."""
    return path.name.split(".")[0]


def read_rgb(path: Path) -> npt.NDArray[np.uint8]:
    """uint8 HxWx3 RGB, turned upright as its EXIF entry says. Raises `InvalidImage`."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    return cast("npt.NDArray[np.uint8]", _existing(image, path))


def read_bgr(path: Path) -> npt.NDArray[np.uint8]:
    """uint8 HxWx3 BGR, palettes resolved to colours. Raises `InvalidImage`."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    return cast("npt.NDArray[np.uint8]", _existing(image, path))


def read_ids(path: Path) -> npt.NDArray[np.int32]:
    """int32 HxW: the stored values of a palette or grey picture, palettes not resolved.

    Raises `InvalidImage`, also for a picture in colour.
    """
    try:
        with PIL.Image.open(path) as file:
            values = np.array(file)
    except (OSError, SyntaxError, ValueError) as error:
        raise InvalidImage(f"{path}: not a readable mask ({error}); fetch it again") from error
    if values.ndim != 2:
        raise InvalidImage(f"{path}: object ids need a palette or grey picture, not one in colour")
    return values.astype(np.int32)


def read_sbd_instances(path: Path) -> npt.NDArray[np.int32]:
    """int32 HxW: the instances of an SBD file, 0 none of them. Raises `InvalidImage`."""
    try:
        truth = scipy.io.loadmat(str(path))["GTinst"][0][0]
        instances = truth["Segmentation" if truth.dtype.names else 0]
    except UNREADABLE_MATLAB as error:
        raise InvalidImage(f"{path}: not a readable SBD instance file ({error!r})") from error
    return np.asarray(instances, np.int32)


def read_lines(path: Path) -> list[str]:
    """The first word of every line that has one. Raises `InvalidRequest` without the file."""
    if not path.is_file():
        raise InvalidRequest(f"{path} is missing; it lists the pictures of the set")
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.split()[0] for line in lines if line.strip()]


def _existing(image: object, path: Path) -> object:
    if image is None:
        raise InvalidImage(f"{path}: not a readable picture; fetch it again")
    return image
