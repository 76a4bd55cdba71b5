"""CVAT: in the place of nuclio's dashboard (`dashboard`), and as a nuclio function (`nuclio`)."""

from __future__ import annotations

from backend.frontends.cvat.dashboard import blueprint

__all__ = ["blueprint"]
