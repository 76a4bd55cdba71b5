"""How many training samples one core makes a second, by recipe.

    python -m benchmarks.training_data PATH...

The paths are what `train --data` takes. Everything counts: reading, decoding, augmentation, the
choice of the object, clicks.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2

from backend.training.data import published
from backend.training.data.copy_paste import CopyPaste
from backend.training.data.mixture import Mixture
from backend.training.data.opening import open_sources
from backend.training.data.sample import SampleSettings, draw

SETTINGS: dict[str, SampleSettings] = {
    "RITM, COCO and LVIS, 320 x 480": published.ritm_coco_lvis(),
    "the same with pasted objects": replace(
        published.ritm_coco_lvis(), copy_paste=CopyPaste(p=0.3)
    ),
    "RITM, SBD, 320 x 480": published.ritm_sbd(),
    "FocalClick, 256 x 256": published.focalclick(),
    "SimpleClick, 448 x 448": published.ritm_coco_lvis(448, 448),
    "ClickAttention, 512 x 512": published.focalclick(512, colours=True),
}

ROUNDS = 5
SAMPLES = 100


def main() -> None:
    """Print milliseconds a sample and samples a second, the median of ROUNDS."""
    cv2.setNumThreads(1)
    source = Mixture.of(open_sources([Path(argument) for argument in sys.argv[1:]]))
    print(f"{len(source)} pictures")
    for name, settings in SETTINGS.items():
        seconds = []
        for turn in range(ROUNDS):
            start = time.process_time()
            for number in range(SAMPLES):
                draw(source, 0, turn * SAMPLES + number, settings)
            seconds.append((time.process_time() - start) / SAMPLES)
        median = sorted(seconds)[ROUNDS // 2]
        print(f"{name:35} {1000 * median:6.2f} ms {1 / median:6.0f} a second")


if __name__ == "__main__":
    main()
