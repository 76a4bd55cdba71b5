"""The list of settings is made of the settings."""

from __future__ import annotations

from typer.testing import CliRunner

from backend.cli import app
from backend.cli.settings import as_markdown, rows
from backend.settings import Settings


def test_every_setting_has_a_row_with_a_meaning() -> None:
    assert len(rows()) == len(Settings.model_fields)
    names = [name for name, _, _ in rows()]
    assert len(set(names)) == len(names)
    assert all(meaning.endswith(".") for _, _, meaning in rows())


def test_rows_show_what_one_would_write() -> None:
    table = {name: default for name, default, _ in rows()}
    assert table["MASKLOOP_MODEL"] == "mobilesam"
    assert table["MASKLOOP_NO_AUTH"] == "no"
    assert table["MASKLOOP_MODELS"] == "none"
    assert table["MASKLOOP_MAX_BODY_BYTES"] == "100663296 (96 MiB)"
    assert table["REDIS_URL"] == "none"
    assert "LABEL_STUDIO_URL" in table


def test_the_command_prints_them() -> None:
    shown = CliRunner().invoke(app, ["settings"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert "MASKLOOP_DEADLINE_SECONDS" in shown.stdout
    shown = CliRunner().invoke(app, ["settings", "--markdown"])
    assert shown.stdout.strip() == as_markdown()
