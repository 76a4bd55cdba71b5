"""From an `Answer` to JSON, or to a PNG alone."""

from __future__ import annotations

import base64

import flask

from backend.codecs import coco, png, polygons
from backend.frontends.rest.schema import MaskFormat, RleOutput, SegmentOutput
from backend.masks import Mask
from backend.service.messages import Answer

Encoded = RleOutput | str | list[list[list[float]]]


def write(answer: Answer, form: MaskFormat, tolerance: float) -> flask.Response:
    """The answer as JSON, its mask in the form asked for."""
    height, width = answer.mask.size
    body = SegmentOutput(
        request_id=answer.request_id,
        object_id=answer.object_id,
        image_id=answer.image_id,
        picture_id=answer.picture_id,
        version=answer.version,
        width=width,
        height=height,
        format=form,
        mask=_encoded(answer.mask, form, tolerance),
        box=list(answer.mask.box) if answer.mask else None,
        area=answer.mask.area,
        score=answer.score,
        remembered=answer.remembered,
        milliseconds=round(answer.milliseconds, 1),
        aborted=answer.aborted,
    )
    return flask.Response(body.model_dump_json(), mimetype="application/json")


def write_png(answer: Answer) -> flask.Response:
    """The mask as a PNG, 255 on the object, and the rest of the answer in headers."""
    response = flask.Response(png.encode(answer.mask), mimetype="image/png")
    response.headers["X-Object-Id"] = answer.object_id
    response.headers["X-Image-Id"] = answer.image_id
    response.headers["X-Model-Version"] = answer.version
    if answer.aborted:
        response.headers["X-Aborted"] = "true"
    return response


def _encoded(mask: Mask, form: MaskFormat, tolerance: float) -> Encoded:
    if form == "png":
        return base64.b64encode(png.encode(mask)).decode()
    if form == "polygons":
        return [ring.tolist() for ring in polygons.rings(mask, tolerance=tolerance)]
    return RleOutput(**coco.encode(mask))
