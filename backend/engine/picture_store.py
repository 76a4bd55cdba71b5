"""Pictures and the masks given with prompts, kept by their content until they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from backend import pictures
from backend.blobs import Blobs
from backend.masks import Mask


class PictureStore:
    """Encoded pictures by image id and prompt masks by mask id, for jobs to refer to."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def put(self, data: bytes) -> str:
        """Keep an encoded picture and return its image id."""
        image_id = pictures.image_id(data)
        self._blobs.keep(_picture_key(image_id), data)
        return image_id

    @contextmanager
    def held(self, image_id: str, data: bytes) -> Iterator[None]:
        """Keep a picture for at least as long as the block runs."""
        with self._blobs.held(_picture_key(image_id), data):
            yield

    def get(self, image_id: str) -> bytes | None:
        """The encoded picture, None where it is no longer kept."""
        return self._blobs.get(_picture_key(image_id))

    @contextmanager
    def mask_held(self, mask_id: str, mask: npt.NDArray[np.bool_]) -> Iterator[None]:
        """Keep a prompt's mask, bool HxW, for at least as long as the block runs."""
        with self._blobs.held(_mask_key(mask_id), Mask.of(mask).to_bytes()):
            yield

    def mask(self, mask_id: str) -> npt.NDArray[np.bool_] | None:
        """A prompt's mask, bool HxW, None where it is no longer kept."""
        data = self._blobs.get(_mask_key(mask_id))
        return None if data is None else Mask.from_bytes(data).full


def _picture_key(image_id: str) -> str:
    return "picture:" + image_id


def _mask_key(mask_id: str) -> str:
    return "prompt-mask:" + mask_id
