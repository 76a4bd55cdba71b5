"""Settings come from the environment: known names, values that make sense."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from backend.errors import InvalidSettings
from backend.settings import Settings, load, variables


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the tester's own settings."""
    for field in Settings.model_fields:
        for name in variables(field):
            monkeypatch.delenv(name, raising=False)


def test_values_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKLOOP_MODELS", "ritm-hrnet18, mobilesam,")
    monkeypatch.setenv("REDIS_URL", "redis://example")
    monkeypatch.setenv("LABEL_STUDIO_ACCESS_TOKEN", "secret")
    settings = load()
    assert settings.offered_models == ("mobilesam", "ritm-hrnet18")
    assert settings.redis_url == "redis://example"
    assert settings.label_studio_api_key is not None
    assert settings.label_studio_api_key.get_secret_value() == "secret"
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("name", ["MASKLOOP_PORT", "MASKLOOP_REDIS_URL", "MASKLOOP_Model"])
def test_a_name_that_nothing_reads_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(InvalidSettings, match=name):
        load()


def test_every_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKLOOP_MAX_CLICKS", "many")
    monkeypatch.setenv("MASKLOOP_LOG_LEVEL", "loud")
    with pytest.raises(InvalidSettings, match=r"MASKLOOP_MAX_CLICKS.*; MASKLOOP_LOG_LEVEL"):
        load()


@pytest.mark.parametrize("name", ["MASKLOOP_API_KEY", "REDIS_URL", "MASKLOOP_MAX_CLICKS"])
def test_an_empty_value_is_none(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "")
    assert load() == Settings()


def test_an_empty_key_is_no_key() -> None:
    with pytest.raises(ValidationError):
        Settings(api_key="")  # type: ignore[arg-type]


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().model = "other"  # type: ignore[misc]


def test_a_changed_copy_offers_its_own_models() -> None:
    settings = Settings(model="mobilesam")
    assert settings.offered_models == ("mobilesam",)
    changed = settings.model_copy(update={"models": ("ritm-hrnet18s",)})
    assert changed.offered_models == ("mobilesam", "ritm-hrnet18s")


def test_what_models_are_built_with_is_told_where_it_is_not_the_default() -> None:
    assert Settings().of_models() == ()
    changed = Settings(mobilesam_input=512, flip=False, brs_mode="NoBRS", torch_threads=2)
    assert changed.of_models() == (
        ("MASKLOOP_MOBILESAM_INPUT", "512"),
        ("MASKLOOP_BRS_MODE", "NoBRS"),
        ("MASKLOOP_FLIP", "false"),
    )
