"""Prompts as maps of a crop's size: what our own network sees beside the picture."""

from __future__ import annotations

CLICK_RADIUS = 5.0
"""Pixels of the crop around a click, as in RITM (arXiv 2102.06583, section 3)."""

STROKE_RADIUS = 3.0
"""Half of the width of a stroke, in pixels of the crop."""
