"""What the service leaves to the interaction log."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy

from backend.errors import (
    MaskloopError,
)
from backend.service import Origin
from backend.store import Database
from models.prompts import Click
from models.segmenter import picture_id
from tests.backend.conftest import Serve, Served, scene
from tests.backend.growing import Growing, GrowingSource
from tests.backend.service.scenario import CLICKS, apart, fail_at_13


def logged(served: Served) -> list[dict[str, Any]]:
    served.service.close()
    with Database(served.settings.database).begin() as connection:
        rows = connection.execute(sqlalchemy.text("SELECT * FROM interactions ORDER BY id"))
        return [dict(row) for row in rows.mappings()]


def test_every_answer_is_logged(serve: Serve, picture: bytes) -> None:
    served = serve(GrowingSource(Growing(before_pass=fail_at_13)))
    origin = Origin("test", "plums", "7", "ann")
    negative = served.segment(picture, CLICKS[2], origin=origin, ordered=False)
    both = served.segment(picture, *apart(CLICKS[:4]), origin=origin, ordered=False)
    with pytest.raises(MaskloopError):
        served.segment(picture, Click(13.0, 13.0), request_id="broken")
    first, second, third = logged(served)
    assert first["request_id"] == negative.request_id
    assert (first["tool"], first["project"], first["task"], first["user"]) == (
        "test", "plums", "7", "ann",
    )  # fmt: skip
    assert (first["width"], first["height"]) == (64, 48)
    assert first["mask_area"] == 0
    assert first["order_known"] == 1
    assert second["object_id"] == both.object_id == negative.object_id
    assert second["order_known"] == 1, "beyond the remembered click only positives are new"
    signs = [row[2] for row in json.loads(second["prompt"])["clicks"]]
    assert signs == [0, 1, 1, 1]
    assert second["version"] == served.segmenter.version
    assert second["picture_id"] == picture_id(scene())
    assert second["mask_area"] == both.mask.area > 0
    assert (third["request_id"], third["error"]) == ("broken", "internal")


def test_a_guessed_order_is_logged_as_one(serve: Serve, picture: bytes) -> None:
    served = serve()
    served.segment(picture, *apart(CLICKS[:3]), ordered=False)
    served.segment(picture, *apart(CLICKS[:4]), ordered=False)
    served.segment(picture, *CLICKS[:4])
    assert [row["order_known"] for row in logged(served)] == [0, 0, 1]
