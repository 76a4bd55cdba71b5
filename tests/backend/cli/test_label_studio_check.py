"""What `doctor` says of Label Studio: its version, its token, its projects."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from backend.cli.label_studio_check import projects, reachable
from backend.errors import ImageUnreachable
from backend.settings import Settings
from tests.backend.cli.label_studio_stand_in import TOKEN, label_studio

GOOD = """<View><Image name="image" value="$image"/>
  <BrushLabels name="brush" toName="image"><Label value="Cat"/></BrushLabels>
  <KeyPointLabels name="point" toName="image" smart="true"><Label value="Cat"/></KeyPointLabels>
</View>"""
MUTE = '<View><Image name="image" value="$image"/></View>'


def test_projects_are_judged_by_their_configuration(
    make_settings: Callable[..., Settings],
) -> None:
    given = [{"title": "Cats", "label_config": GOOD}, {"title": "None", "label_config": MUTE}]
    with label_studio(given) as url:
        settings = make_settings(label_studio_url=url, label_studio_api_key=TOKEN)
        assert "1.23.2" in reachable(settings)
        found = dict(projects(settings))
    assert found["Cats"] == []
    assert any("KeyPointLabels" in problem for problem in found["None"])
    assert any("BrushLabels" in problem for problem in found["None"])


def test_a_token_that_is_refused(make_settings: Callable[..., Settings]) -> None:
    with label_studio([]) as url:
        settings = make_settings(label_studio_url=url, label_studio_api_key="0" * 40)
        with pytest.raises(ImageUnreachable, match="personal access token"):
            projects(settings)


def test_another_server_than_label_studio(make_settings: Callable[..., Settings]) -> None:
    with label_studio([]) as url:
        settings = make_settings(label_studio_url=f"{url}/elsewhere", label_studio_api_key=TOKEN)
        with pytest.raises(ImageUnreachable, match="LABEL_STUDIO_URL"):
            reachable(settings)
