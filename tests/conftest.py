"""What every test may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Here and not beside the golden tests: pytest reads options from the outermost folder."""
    parser.addoption(
        "--goldens",
        metavar="DIR",
        help="folder of golden cases, one folder a network "
        "(default: shared/goldens beside the checkout)",
    )


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference outputs and evaluation pictures that lies beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("needs the reference folder `shared` beside the checkout, which is absent")
    return SHARED
