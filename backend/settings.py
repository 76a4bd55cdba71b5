"""Every setting of the backend, read once from the environment and immutable afterwards.

Names are `MASKLOOP_` and the field's name in capitals; `REDIS_URL`, `LABEL_STUDIO_URL` and
`LABEL_STUDIO_API_KEY` keep the names that their own worlds use. An unknown `MASKLOOP_` name is an
error: a misspelt setting must not be silently without effect.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from platformdirs import user_data_path
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from backend.errors import InvalidSettings
from models.brs_options import BrsMode

PREFIX = "MASKLOOP_"
Names = Annotated[tuple[str, ...], NoDecode]
MEGABYTE = 1 << 20
MODEL_FIELDS = ("mobilesam_input", "first_click_side", "brs_mode", "brs_deadline_ms", "flip")
"""The settings that models are built with."""


class Settings(BaseSettings):
    """The backend's configuration. Fields are documented by their `description`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid", populate_by_name=True
    )

    data_dir: Path = Field(
        default_factory=lambda: user_data_path("maskloop"),
        description="Weights, database and events live here.",
    )
    database_url: str | None = Field(
        None, description="SQLAlchemy address; a SQLite file in the data directory by default."
    )
    keep_pictures: bool = Field(
        True, description="Keep each picture that is clicked on, so that clicks can train a model."
    )
    pictures_url: str | None = Field(
        None,
        description="Where they are kept, as fsspec writes addresses; `pictures` in the data "
        "directory by default.",
    )
    pictures_budget_bytes: int = Field(
        20 * 1024 * MEGABYTE,
        ge=0,
        description="Bytes of kept pictures in all; beyond them new ones are not kept.",
    )
    redis_url: str | None = Field(
        None,
        validation_alias=AliasChoices("redis_url", "REDIS_URL"),
        description="Set it to queue through RQ; without it everything runs in one process.",
    )
    queue_name: str = Field("maskloop", description="The RQ queue of this installation.")

    model: str = Field("mobilesam", description="The model that answers when none is named.")
    models: Names = Field((), description="Further models offered to the tools, comma-separated.")
    device: str = Field("auto", description="cpu, cuda, cuda:N or mps; auto takes the best.")
    torch_threads: int | None = Field(
        None, ge=1, description="CPU threads of one network pass; PyTorch's choice by default."
    )
    mobilesam_input: int = Field(
        1024,
        ge=256,
        le=1024,
        multiple_of=16,
        description="MobileSAM's input side; 1024 is the authors', less is faster and worse.",
    )
    first_click_side: int = Field(
        800,
        ge=64,
        description="Longest side at which a click network sees the picture before it zooms in.",
    )
    brs_mode: BrsMode | None = Field(
        None,
        description="Refinement of f-BRS and RITM: NoBRS, RGB-BRS, DistMap-BRS, f-BRS-A, f-BRS-B "
        "or f-BRS-C; by default f-BRS-B for f-BRS and NoBRS for RITM.",
    )
    brs_deadline_ms: float | None = Field(
        None,
        gt=0,
        description="Ends a refinement after so long, with the best it has, and the answer says "
        "so; by default only a number of passes does, and answers never depend on the clock.",
    )
    flip: bool | None = Field(
        None,
        description="Average the answers of click networks with those for the mirrored picture, "
        "which is slower and a little better; by default as each system is best served.",
    )

    api_key: SecretStr | None = Field(
        None,
        min_length=1,
        description="Demanded from every caller but CVAT, webhooks and health checks.",
    )
    no_auth: bool = Field(
        False, description="Answer other machines than this one without an API key."
    )
    max_body_bytes: int = Field(96 * MEGABYTE, ge=1, description="Largest request body.")
    max_image_bytes: int = Field(64 * MEGABYTE, ge=1, description="Largest encoded picture.")
    max_pixels: int = Field(64_000_000, ge=1, description="Largest picture, width times height.")
    max_clicks: int = Field(200, ge=1, description="Most clicks and strokes of one object.")
    max_waiting: int = Field(64, ge=1, description="Requests in line before new ones are refused.")
    deadline_seconds: float = Field(
        25.0, gt=0, description="Longest time to an answer; below the tools' own time-outs."
    )
    allowed_hosts: Names = Field(
        (), description="Hosts pictures may be fetched from, comma-separated, with port if any."
    )

    label_studio_url: str | None = Field(
        None,
        validation_alias=AliasChoices("label_studio_url", "LABEL_STUDIO_URL", "LABEL_STUDIO_HOST"),
        description="Label Studio's address as seen from here.",
    )
    label_studio_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices(
            "label_studio_api_key", "LABEL_STUDIO_API_KEY", "LABEL_STUDIO_ACCESS_TOKEN"
        ),
        description="Label Studio's legacy token or personal access token.",
    )
    label_studio_files: Path | None = Field(
        None, description="Label Studio's media directory, where this machine can read it."
    )

    cvat_version: str | None = Field(
        None,
        pattern=r"^\d+\.\d+",
        description="CVAT's version where its calls do not tell it, as before 2.4: 2.2, say.",
    )

    prepared_cache_bytes: int = Field(
        512 * MEGABYTE, ge=0, description="Budget of prepared pictures kept by a worker."
    )
    picture_cache_bytes: int = Field(
        256 * MEGABYTE, ge=MEGABYTE, description="Budget of received pictures kept in memory."
    )
    session_cache_bytes: int = Field(
        256 * MEGABYTE, ge=MEGABYTE, description="Budget of remembered sessions kept in memory."
    )
    session_seconds: int = Field(
        8 * 3600,
        ge=1,
        description="How long a session or picture is remembered after its last use.",
    )
    worker_threads: int = Field(4, ge=1, description="Jobs that one worker process takes at once.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Verbosity."
    )

    @field_validator("models", "allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @property
    def offered_models(self) -> tuple[str, ...]:
        """The default model first, then the further ones, each once."""
        return tuple(dict.fromkeys((self.model, *self.models)))

    def of_models(self) -> tuple[tuple[str, str], ...]:
        """The variables that change how models answer, where they are not left to default."""
        return tuple(
            (variables(name)[0], str(value).lower() if isinstance(value, bool) else str(value))
            for name in MODEL_FIELDS
            if (value := getattr(self, name)) != Settings.model_fields[name].default
        )

    @property
    def database(self) -> str:
        """The database's SQLAlchemy address."""
        return self.database_url or f"sqlite:///{self.data_dir / 'maskloop.db'}"


def variables(field: str) -> tuple[str, ...]:
    """The environment variables that set a field, the usual one first."""
    alias = Settings.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(name) for name in alias.choices if str(name).isupper())
    return (PREFIX + field.upper(),)


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process. Raises InvalidSettings with every fault in one sentence."""
    environment = os.environ if environment is None else environment
    known = {name for field in Settings.model_fields for name in variables(field)}
    unknown = sorted(n for n in environment if n.startswith(PREFIX) and n not in known)
    if unknown:
        raise InvalidSettings(
            f"unknown setting {', '.join(unknown)}; `python -m backend settings` lists them all"
        )
    try:
        return Settings()
    except ValidationError as error:
        faults = (
            f"{variables(str(fault['loc'][0]).lower())[0]}: {fault['msg']}"
            for fault in error.errors()
        )
        raise InvalidSettings("; ".join(faults)) from None
