"""The shapes of what goes in and out under /api/v1, and what OpenAPI says about them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Tag,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from backend.codecs.polygons import TOLERANCE

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Point = Annotated[list[Number], Field(min_length=2, max_length=2)]
MaskFormat = Literal["rle", "png", "polygons"]


class Input(BaseModel):
    """What a client sends: nothing is converted, nothing unknown passes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Output(BaseModel):
    """What a client gets."""

    model_config = ConfigDict(frozen=True)


class ClickInput(Input):
    """A click: {"x", "y", "positive"}, or [x, y], or [x, y, positive]."""

    x: Number = Field(description="Pixels from the left edge of the upright picture.")
    y: Number = Field(description="Pixels from its top edge.")
    positive: bool = Field(True, description="On the object (true) or beside it (false).")

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        if isinstance(value, list) and len(value) in (2, 3):
            return dict(zip(("x", "y", "positive"), value, strict=False))
        return value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        short = {
            "type": "array",
            "prefixItems": [{"type": "number"}, {"type": "number"}, {"type": "boolean"}],
            "minItems": 2,
            "maxItems": 3,
        }
        return {"anyOf": [handler.resolve_ref_schema(handler(schema)), short]}


class ScribbleInput(Input):
    """A stroke of a round brush."""

    points: list[Point] = Field(min_length=1, max_length=10_000, description="The polyline.")
    positive: bool = Field(True, description="On the object (true) or beside it (false).")
    radius: float = Field(3.0, gt=0, le=1000, allow_inf_nan=False, description="Pixels.")


class RleInput(Input):
    """COCO's run-length encoding of a mask."""

    size: Annotated[list[int], Field(min_length=2, max_length=2)] = Field(
        description="[height, width]."
    )
    counts: str | list[int] = Field(description="The runs, compressed or as numbers.")


MASK_KINDS = ("PNG", "RLE")
MaskInput = Annotated[
    Annotated[str, Tag("PNG")] | Annotated[RleInput, Tag("RLE")],
    Discriminator(lambda value: "RLE" if isinstance(value, dict | RleInput) else "PNG"),
]


class SegmentInput(Input):
    """One prompt on one picture; exactly one of `image` and `image_id` is given."""

    image: str | None = Field(
        None,
        description="the picture file in base64",
        json_schema_extra={"contentEncoding": "base64"},
    )
    image_id: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="the `image_id` of an earlier answer, as long as the picture is remembered",
    )
    clicks: list[ClickInput] = Field(
        default_factory=list,
        description="the clicks in their order, positive unless said otherwise",
        examples=[[[320, 240], [40, 60, False]]],
    )
    box: Annotated[list[Number], Field(min_length=4, max_length=4)] | None = Field(
        None,
        description="left, top, right and bottom of a box around the object, in pixels",
        examples=[[100, 80, 400, 300]],
    )
    scribbles: list[ScribbleInput] = Field(
        default_factory=list,
        description="strokes on the object or beside it",
        examples=[[{"points": [[100, 80], [140, 90]], "positive": True, "radius": 3}]],
    )
    mask: MaskInput | None = Field(
        None,
        description="a mask to start from, of the picture's size: a PNG in base64, or RLE",
        examples=[{"size": [480, 640], "counts": "..."}],
    )
    model: str | None = Field(
        None,
        max_length=200,
        description="one of the names under /api/v1/models; the first one by default",
        examples=["mobilesam"],
    )
    format: MaskFormat = Field(
        "rle", description="the answer's mask: rle, png or polygons", examples=["png"]
    )
    tolerance: float = Field(
        TOLERANCE,
        ge=0,
        le=100,
        allow_inf_nan=False,
        description="how far polygons may stray from the mask, in pixels",
        examples=[1.0],
    )
    user: str | None = Field(
        None,
        max_length=200,
        description="who clicks; with `task`, a newer prompt replaces a waiting one",
    )
    task: str | None = Field(None, max_length=200, description="what the picture belongs to")
    object_id: str | None = Field(
        None,
        max_length=200,
        description="the `object_id` of an earlier answer, or one of your own",
    )
    deadline_seconds: float | None = Field(
        None,
        gt=0,
        le=600,
        allow_inf_nan=False,
        description="give up after so many seconds",
        examples=[10],
    )


class RleOutput(Output):
    """COCO's run-length encoding of a mask, as pycocotools reads it."""

    size: list[int] = Field(min_length=2, max_length=2, description="[height, width].")
    counts: str


class SegmentOutput(Output):
    """The mask of one prompt."""

    request_id: str
    object_id: str
    image_id: str = Field(description="Send it instead of the picture with the next click.")
    picture_id: str = Field(description="sha256 of the upright pixels.")
    version: str = Field(description="The model version that answered.")
    width: int
    height: int
    format: MaskFormat
    mask: RleOutput | str | list[list[list[float]]] = Field(
        description="By `format`: RLE; a PNG in base64 (255 on the object); or rings of [x, y], "
        "outer rings and holes, to be filled by the even-odd rule."
    )
    box: list[int] | None = Field(
        description="[left, top, right, bottom] of the mask, right and bottom exclusive; null if "
        "the mask is empty."
    )
    area: int = Field(description="Pixels of the mask.")
    score: float | None = Field(description="The network's own estimate of the IoU.")
    remembered: int = Field(description="Steps of the prompt that had been answered before.")
    milliseconds: float
    aborted: bool = Field(description="A refinement ran out of time; this is the best it had.")


class ModelOutput(Output):
    """One model served here."""

    name: str
    version: str | None = Field(description="Null until the weights have been read.")
    loaded: bool
    prompts: list[str] = Field(description="Of clicks, box, scribbles, mask.")
    problem: str | None = Field(description="Why it cannot answer, and what to type.")


class ModelsOutput(Output):
    """What is served here; the first is the default."""

    models: list[ModelOutput]


class ErrorDetail(Output):
    """What was wrong with which field, and what to do."""

    code: str
    message: str
    field: str | None
    request_id: str


class ErrorOutput(Output):
    """The one form of every error."""

    error: ErrorDetail


class ReadyOutput(Output):
    """Whether a click would be answered now."""

    ready: bool
    problems: list[str]


class HealthOutput(Output):
    """The process lives."""

    status: Literal["UP"]
