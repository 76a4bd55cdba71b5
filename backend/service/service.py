"""What a request means: picture, prompt, session, answer. Knows no tool and no queue technology."""

from __future__ import annotations

from backend.service.messages import Answer, ModelOffer, Readiness, SegmentRequest
from backend.settings import Settings


class Service:
    """Answers segmentation requests. Safe to use from many threads.

    Assembled by `backend.service.build`; frontends hold one and know nothing beneath it.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def start(self) -> None:
        """Begin loading the models in the background; returns at once."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop taking requests, finish those in work and write what is still to be logged."""
        raise NotImplementedError

    def segment(self, request: SegmentRequest) -> Answer:
        """The mask of one prompt, within the deadline.

        A prompt that does not say where the object is (nothing at all, only negative clicks, all
        of it outside the picture) gives an empty mask. Raises a `MaskloopError` otherwise:
        InvalidRequest, InvalidImage, ImageTooLarge, BodyTooLarge, UnknownModelName, Superseded,
        Busy, DeadlineExceeded, WeightsMissing, OutOfMemory, QueueUnavailable.
        """
        raise NotImplementedError

    def offered(self) -> list[ModelOffer]:
        """The models served here, the default one first. Never waits for a model to load."""
        raise NotImplementedError

    def ready(self) -> Readiness:
        """Whether a click would be answered now, and if not, what to type."""
        raise NotImplementedError
