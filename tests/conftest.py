"""What every test may ask for."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

from backend import weights
from backend.errors import WeightsMissing
from backend.settings import Settings, load

# The same examples in every run, on machines of any speed.
hypothesis.settings.register_profile("maskloop", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("maskloop")

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


@pytest.fixture(scope="session")
def installed_weights() -> Path:
    """The folder with the default model's weights, which `make test` fetches."""
    try:
        return weights.installed(load(), Settings.model_fields["model"].default).path.parent
    except WeightsMissing as error:
        pytest.skip(error.message)


@pytest.fixture
def data_dir(tmp_path: Path, installed_weights: Path) -> Path:
    """A fresh data directory with the default model's weights in it, and nothing else."""
    (tmp_path / "weights").symlink_to(installed_weights)
    return tmp_path
