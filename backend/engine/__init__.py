"""Networks on a device: loading, caches, batches. Importing it does not import torch."""

from __future__ import annotations

from backend.engine.engine import Engine, ModelStatus, Question, Segmented
from backend.engine.picture_store import PictureStore
from backend.engine.segmenters import SegmenterSource, ZooSegmenters

__all__ = [
    "Engine",
    "ModelStatus",
    "PictureStore",
    "Question",
    "Segmented",
    "SegmenterSource",
    "ZooSegmenters",
]
