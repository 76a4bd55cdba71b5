"""A prompt as clicks alone: which of them count, and where a box lets the mask be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.prompts import Click, Prompt, Scribble
from models.scene import Scene, confinement, scene_of
from models.zoom import Roi

SIZE = (480, 640)
BOX = Scene(SIZE, [(250, 350, True)], box=(300, 200, 400, 300), begun=True)


def test_clicks_are_pixels_and_those_outside_do_not_count() -> None:
    clicks = (Click(10.9, 20.2), Click(640, 20), Click(-0.5, 3), Click(0, 479.9, positive=False))
    scene = scene_of(Prompt(clicks), SIZE)
    assert list(scene.clicks) == [(20, 10, True), (479, 0, False)]
    assert list(scene.own) == list(scene.clicks)
    assert scene.positive == [(20, 10)]
    assert not scene.begun


def test_box_and_scribble_come_before_the_clicks() -> None:
    stroke = Scribble(((100.0, 50.0),), positive=False)
    scene = scene_of(Prompt((Click(5, 6),), (-100, 100, 200, 300), (stroke,)), SIZE)
    assert scene.box == (0, 100, 200, 300)
    assert list(scene.clicks) == [(200, 100, True), (50, 100, False), (6, 5, True)]
    assert list(scene.own) == [(6, 5, True)]
    assert scene.begun


def test_box_beyond_the_picture_is_none() -> None:
    scene = scene_of(Prompt((Click(5, 6),), (700, 100, 800, 300)), SIZE)
    assert scene.box is None
    assert not scene.begun


def test_mask_begins_an_object_where_that_is_wanted() -> None:
    prompt = Prompt((Click(5, 6),), mask=np.ones(SIZE, np.bool_))
    assert scene_of(prompt, SIZE).begun
    assert not scene_of(prompt, SIZE, mask_begins=False).begun


def test_box_confines_the_mask_but_for_clicks_beyond_it() -> None:
    assert confinement(BOX, 0.1) == Roi(190, 310, 290, 410)
    assert confinement(replace(BOX, own=[(400, 350, False)]), 0.1) == Roi(190, 310, 290, 410)
    assert confinement(replace(BOX, own=[(400, 350, True)]), 0.1) == Roi(190, 410, 290, 410)
    assert confinement(Scene(SIZE, [(1, 1, True)]), 0.1) is None
