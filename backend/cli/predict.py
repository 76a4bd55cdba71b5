"""`predict`: one picture and one prompt from the command line, through the same service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.errors import InvalidRequest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from backend.service.messages import Answer, SegmentRequest
    from backend.settings import Settings
    from models.prompts import Box, Click, Prompt

PATIENCE_SECONDS = 600.0
"""Nobody's time-out is waiting here, and a slow disk may be loading the model."""

TINT = (32, 110, 255)
POSITIVE = (32, 200, 64)
NEGATIVE = (230, 32, 32)


def predict(  # noqa: PLR0917
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The picture file.")],
    click: Annotated[
        list[str] | None, typer.Option(metavar="X,Y", help="A click on the object; repeatable.")
    ] = None,
    negative: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y", help="A click beside it, after those on it; repeatable."),
    ] = None,
    box: Annotated[
        str | None, typer.Option(metavar="LEFT,TOP,RIGHT,BOTTOM", help="A box around it.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="A model's name; the default one.")] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The mask, as a PNG.")
    ] = Path("mask.png"),
) -> None:
    """Write the mask of one object, and the picture with the mask laid over it beside it."""
    from backend.codecs import png
    from backend.service.messages import Origin, SegmentRequest
    from backend.settings import load

    prompt = _prompt(click or [], negative or [], box)
    data = _read(image)
    request = SegmentRequest(data, prompt, Origin("cli"), model, deadline_seconds=PATIENCE_SECONDS)
    settings = load()
    answer = _segment(settings, request)
    overlay = out.with_name(f"{out.stem}-overlay.png")
    _write(out, png.encode(answer.mask))
    _write(overlay, _overlay(data, answer, prompt, settings))
    score = "" if answer.score is None else f", estimated IoU {answer.score:.2f}"
    typer.echo(
        f"{out} and {overlay}: {answer.mask.area} pixels{score}, "
        f"{answer.milliseconds:.0f} ms, {answer.version}"
    )


def _segment(settings: Settings, request: SegmentRequest) -> Answer:
    """Answer in this process, whatever queue the settings name."""
    from backend.service import build

    offered = settings.offered_models
    if request.model is not None and request.model not in offered:
        offered = (*offered, request.model)
    service = build(settings.model_copy(update={"redis_url": None, "models": offered[1:]}))
    try:
        return service.segment(request)
    finally:
        service.close()


def _prompt(positive: list[str], negative: list[str], box: str | None) -> Prompt:
    from models.prompts import Prompt

    clicks = [_click("--click", text, True) for text in positive]
    clicks += [_click("--negative", text, False) for text in negative]
    prompt = Prompt(tuple(clicks), None if box is None else _box(box))
    if not prompt.points_at_something:
        raise InvalidRequest("nothing says where the object is; give --click X,Y or --box")
    return prompt


def _click(option: str, text: str, positive: bool) -> Click:
    from models.prompts import Click

    x, y = _numbers(option, text, 2, "X,Y")
    return Click(x, y, positive)


def _box(text: str) -> Box:
    left, top, right, bottom = _numbers("--box", text, 4, "LEFT,TOP,RIGHT,BOTTOM")
    return left, top, right, bottom


def _numbers(option: str, text: str, count: int, form: str) -> list[float]:
    import math

    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count or not all(map(math.isfinite, values)):
        raise InvalidRequest(f"{option} {text}: give {form} in pixels, such as 320,240")
    return values


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}") from None


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise InvalidRequest(
            f"{path} cannot be written: {error.strerror}; name another file with -o"
        ) from None


def _overlay(data: bytes, answer: Answer, prompt: Prompt, settings: Settings) -> bytes:
    """The picture as a PNG, the mask tinted and outlined, the prompt drawn in."""
    import cv2
    import numpy as np

    from backend.pictures import PictureLimits, decode

    canvas = decode(data, PictureLimits.of(settings))
    mask = answer.mask.full
    canvas[mask] = (canvas[mask] * 0.5 + np.array(TINT) * 0.5).astype(np.uint8)
    size = max(2, round(max(mask.shape) / 200))
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, outlines, -1, TINT, max(1, size // 2))
    _draw_prompt(canvas, prompt, size)
    return bytes(cv2.imencode(".png", cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR))[1])


def _draw_prompt(canvas: npt.NDArray[np.uint8], prompt: Prompt, size: int) -> None:
    import cv2

    if prompt.box is not None:
        left, top, right, bottom = map(round, prompt.box)
        cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), POSITIVE, max(1, size // 2))
    for click in prompt.clicks:
        row, column = click.pixel
        cv2.circle(canvas, (column, row), size + 2, (255, 255, 255), -1)
        cv2.circle(canvas, (column, row), size, POSITIVE if click.positive else NEGATIVE, -1)
