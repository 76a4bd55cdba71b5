"""Everything that can go wrong on purpose: one hierarchy, one table to HTTP.

A message is a sentence for the person at the other end: which field, which value, what to do.
"""

from __future__ import annotations


class MaskloopError(Exception):
    """Base of all errors that a caller may see. `code` is stable; the sentence may change."""

    code = "internal"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class InvalidRequest(MaskloopError):
    """A field is missing, mistyped, out of range or contradictory."""

    code = "invalid_request"


class UnknownLabel(InvalidRequest):
    """A label or control that the labeling configuration does not have."""

    code = "unknown_label"


class InvalidImage(MaskloopError):
    """The bytes are not a picture that can be read: another format, damaged, truncated."""

    code = "invalid_image"


class ImageTooLarge(MaskloopError):
    """More pixels than the limit; found in the header, before decoding."""

    code = "image_too_large"


class BodyTooLarge(MaskloopError):
    """More bytes than the limit."""

    code = "body_too_large"


class ImageUnreachable(MaskloopError):
    """The picture's address did not answer with a picture."""

    code = "image_unreachable"


class ImageForbidden(MaskloopError):
    """The network policy does not allow the picture's address."""

    code = "image_forbidden"


class Unauthorized(MaskloopError):
    """No key, or a wrong one."""

    code = "unauthorized"


class Forbidden(MaskloopError):
    """The caller may not do this, whatever key it has."""

    code = "forbidden"


class NotFound(MaskloopError):
    """No such address or thing."""

    code = "not_found"


class MethodNotAllowed(MaskloopError):
    """The address exists, but not for this method."""

    code = "method_not_allowed"


class UnknownModelName(NotFound):
    """A model that does not exist or is not served here."""

    code = "unknown_model"


class Superseded(MaskloopError):
    """A newer click of the same user on the same object has taken this request's place."""

    code = "superseded"


class Busy(MaskloopError):
    """Too much is waiting already; the request was not taken."""

    code = "busy"


class DeadlineExceeded(MaskloopError):
    """The answer was not ready in time."""

    code = "deadline_exceeded"


class WeightsMissing(MaskloopError):
    """The model's weights are not in the data directory."""

    code = "weights_missing"


class OutOfMemory(MaskloopError):
    """The device could not hold this request even alone."""

    code = "out_of_memory"


class QueueUnavailable(MaskloopError):
    """Redis does not answer, or no worker is alive."""

    code = "queue_unavailable"


class InvalidSettings(MaskloopError):
    """The configuration contradicts itself or names something unknown."""

    code = "invalid_settings"


class TrainingFailed(MaskloopError):
    """A training that cannot go on: its losses are no numbers, or its files cannot be written."""

    code = "training_failed"


HTTP_STATUS: dict[str, int] = {
    "internal": 500,
    "invalid_request": 400,
    "unknown_label": 400,
    "invalid_image": 400,
    "image_too_large": 413,
    "body_too_large": 413,
    "image_unreachable": 424,
    "image_forbidden": 403,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "unknown_model": 404,
    "method_not_allowed": 405,
    "superseded": 409,
    "busy": 503,
    "deadline_exceeded": 504,
    "weights_missing": 503,
    "out_of_memory": 503,
    "queue_unavailable": 503,
    "invalid_settings": 500,
    "training_failed": 500,
}


def from_code(code: str, message: str, field: str | None = None) -> MaskloopError:
    """The error with this code, as it crosses the queue; an unknown code is `internal`."""
    classes = [MaskloopError]
    for kind in classes:
        classes.extend(kind.__subclasses__())
        if kind.code == code:
            return kind(message, field=field)
    return MaskloopError(message, field=field)
