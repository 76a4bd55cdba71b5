"""What every golden test may ask for; the cases themselves are read by `tests.goldens.cases`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.goldens.cases import golden_folder


@pytest.fixture(scope="session")
def goldens(request: pytest.FixtureRequest) -> Path:
    """The folder of golden cases; skips where there is none."""
    folder = golden_folder(request.config)
    if not folder.is_dir():
        pytest.skip(f"no golden cases in {folder}; name a folder with --goldens DIR")
    return folder
