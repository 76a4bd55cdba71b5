"""How f-BRS is used click by click: what serving needs, and what the paper's code did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from models.brs_options import CLICKS_LIMIT, BrsMode
from models.ritm_options import RitmOptions


@dataclass(frozen=True)
class FbrsOptions(RitmOptions):
    """RITM's options with defaults of their own: its predictor descends from this one.

    f-BRS-B corrects the answer from the second click on. The network is shown the first 8 clicks;
    later ones act through the correction alone.
    """

    system: ClassVar[str] = "f-BRS"
    zooms_in_blindly: ClassVar[bool] = False

    brs_mode: BrsMode = "f-BRS-B"
    net_clicks_limit: int | None = CLICKS_LIMIT["f-BRS-B"]


FAITHFUL = FbrsOptions(
    first_click_side=None,
    threshold=0.49,
    fast_arithmetic=False,
    full_size_state=True,
    keep_stale_roi=True,
    brs_wrapping_squares=True,
    brs_keep_features=True,
)
"""The settings of the published evaluation of f-BRS-B; for other modes see `CLICKS_LIMIT`."""
