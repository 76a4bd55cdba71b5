"""An answer that leaves an annotator's mask alone wherever the click was not about it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from models.segmenter import Result


def following(result: Result, mask: npt.NDArray[np.bool_]) -> Result:
    """The answer whose mask is bool HxW `mask`.

    What the network said stays where it agrees with that mask; elsewhere the mask is certain.
    The region becomes the smallest that holds the result's own and the mask.
    """
    left, top, right, bottom = result.region
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size and not result.values.size:
        left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    elif rows.size:
        left, right = min(left, columns[0]), max(right, columns[-1] + 1)
        top, bottom = min(top, rows[0]), max(bottom, rows[-1] + 1)
    values = result.probability[top:bottom, left:right]
    wanted = mask[top:bottom, left:right]
    agreed = (values > result.threshold) == wanted
    values = np.where(agreed, values, wanted.astype(np.float32))
    return replace(result, region=(int(left), int(top), int(right), int(bottom)), values=values)
