"""Where FocalClick looks: the target crop, and positions in the networks' input."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.focalclick_memory import Memory
from models.focalclick_options import FAITHFUL, FocalClickOptions
from models.focalclick_view import look, placed, within_input
from models.scene import Scene
from models.zoom import Roi

SIZE = (480, 640)
ALL = Roi(0, 479, 0, 639)
OPTIONS = FocalClickOptions()
FIRST, SECOND = (200, 300, True), (260, 280, False)
OBJECT = Memory(bounds=Roi(190, 289, 250, 349), roi=Roi(0, 99, 0, 99))
CROP = Roi(170, 310, 230, 370)


def test_first_click_sees_the_whole_picture() -> None:
    view = look(Memory(), Scene(SIZE, [FIRST]), OPTIONS)
    assert (view.source, view.region, view.roi) == (ALL, ALL, None)
    assert view.clicks == ((256 * 200 / 480, 256 * 300 / 640, True),)


def test_later_clicks_see_the_object_anew_every_time() -> None:
    view = look(OBJECT, Scene(SIZE, [FIRST, SECOND]), OPTIONS)
    assert view.source == view.region == view.roi == CROP
    assert view.clicks[0] == (256 * 30 / 141, 256 * 70 / 141, True)


def test_positive_click_widens_the_crop_and_a_negative_does_not() -> None:
    far = look(OBJECT, Scene(SIZE, [FIRST, (400, 300, True)]), OPTIONS)
    assert far.source.bottom > 400
    beside = look(OBJECT, Scene(SIZE, [FIRST, (400, 300, False)]), OPTIONS)
    assert beside.source == CROP
    assert beside.clicks[1][0] > 256


def test_lost_object_brings_the_whole_picture_back() -> None:
    lost = replace(OBJECT, bounds=None)
    view = look(lost, Scene(SIZE, [FIRST, SECOND]), OPTIONS)
    assert (view.source, view.region, view.roi) == (ALL, ALL, None)


def test_original_answers_into_the_outdated_crop() -> None:
    lost = replace(OBJECT, bounds=None)
    view = look(lost, Scene(SIZE, [FIRST, SECOND]), FAITHFUL)
    assert (view.source, view.region, view.roi) == (ALL, OBJECT.roi, OBJECT.roi)


def test_box_or_mask_is_looked_at_from_the_start() -> None:
    scene = Scene(SIZE, [(250, 350, True)], box=(300, 200, 400, 300), begun=True)
    assert look(Memory(), scene, OPTIONS).source == Roi(180, 320, 280, 420)
    begun = Scene(SIZE, [FIRST], begun=True)
    assert look(OBJECT, begun, OPTIONS).source == CROP
    assert look(OBJECT, replace(begun, begun=False), OPTIONS).source == ALL


def test_zooming_in_can_be_left_out() -> None:
    options = FocalClickOptions(zoom_in=False)
    assert look(OBJECT, Scene(SIZE, [FIRST, SECOND]), options).source == ALL


def test_focus_in_the_input_of_its_crop() -> None:
    region = Roi(100, 199, 200, 399)
    assert within_input(region, region, OPTIONS) == (0, 0, 256, 256)
    focus = Roi(110, 149, 250, 299)
    assert within_input(focus, region, OPTIONS) == (64.0, 25.6, 128.0, 128.0)
    assert within_input(Roi(0, 300, 0, 600), region, OPTIONS) == (0, 0, 256, 256)


def test_clicks_beside_a_crop_stay_where_they_are() -> None:
    (found,) = placed([(90, 450, False)], Roi(100, 199, 200, 399), OPTIONS)
    assert found == pytest.approx((-25.6, 320.0, False))
