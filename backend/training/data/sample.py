"""From a picture of a source to what a network for clicks is trained on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from backend.training.data.augmentation import Augmentation, augment
from backend.training.data.copy_paste import CopyPaste
from backend.training.data.objects import ObjectChoice, Target
from backend.training.data.points import Points, PointSampler
from backend.training.data.source import Annotated, Image, Source


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One training sample.

    `image` is uint8 HxWx3 RGB, `target` int8 HxW (1 object, 0 not, -1 to be ignored), `points`
    float32 [2P, 3] of (row, column, index), the positive clicks in the first P rows, -1 where
    there is none. `source` and `key` say which picture it was made of.
    """

    image: Image
    target: Target
    points: Points
    source: str = ""
    key: str = ""


@dataclass(frozen=True)
class SampleSettings:
    """How samples are made: pasting, augmentation, choice of the object, clicks.

    Augmentation is drawn anew, at most `tries` times, while no object is left on the picture and
    chance (`objects.empty`) does not keep it as background.
    """

    augmentations: tuple[Augmentation, ...]
    copy_paste: CopyPaste | None = None
    objects: ObjectChoice = field(default_factory=ObjectChoice)
    points: PointSampler = field(default_factory=PointSampler)
    tries: int = 32


def sample(
    source: Source, index: int, rng: np.random.Generator, settings: SampleSettings
) -> Sample:
    """A sample of picture `index`: a function of the source, the index and the generator's state.

    Raises `InvalidImage` for a picture that cannot be read.
    """
    picture = settings.objects.prepare(source.load(index), rng)
    paste = settings.copy_paste
    if paste is not None and rng.random() < paste.p:
        picture = paste.paste(picture, source.load(source.draw(rng)), rng)
    augmented = _augmented(picture, rng, settings)
    chosen = settings.objects.choose(augmented, rng)
    points = settings.points.sample(chosen, rng)
    return Sample(augmented.image, chosen.target, points, picture.source, picture.key)


def draw(source: Source, seed: int, number: int, settings: SampleSettings) -> Sample:
    """Sample `number` of the endless stream `seed`: always the same one."""
    rng = np.random.default_rng((seed, number))
    return sample(source, source.draw(rng), rng, settings)


def _augmented(picture: Annotated, rng: np.random.Generator, settings: SampleSettings) -> Annotated:
    for _ in range(settings.tries):
        image, layers = augment(settings.augmentations, picture.image, picture.layers, rng)
        augmented = replace(picture, image=image, layers=layers)
        if augmented.areas().any() or rng.random() < settings.objects.empty:
            break
    return augmented
