"""Where RITM looks next, without a network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.ritm_options import RitmOptions
from models.ritm_view import Memory, look, look_again
from models.scene import Scene
from models.state import State
from models.zoom import Roi, whole

OPTIONS = RitmOptions()
SIZE = (960, 1280)
FIRST = (100, 200, True)
SECOND = (120, 230, True)
OBJECT = Memory(bounds=Roi(90, 189, 180, 279))


def test_first_click_sees_the_whole_picture_at_a_limited_size() -> None:
    view = look(Memory(), Scene(SIZE, [FIRST]), OPTIONS)
    assert (view.source, view.size, view.roi) == (whole(SIZE), (600, 800), None)
    assert view.clicks == ((62.5, 125.0, True),)
    assert view.back == (SIZE,)


def test_small_picture_is_seen_as_it_is() -> None:
    view = look(Memory(), Scene((300, 400), [FIRST]), OPTIONS)
    assert (view.size, view.clicks) == ((300, 400), ((100.0, 200.0, True),))


def test_second_click_zooms_in_on_the_object() -> None:
    view = look(OBJECT, Scene(SIZE, [FIRST, SECOND]), OPTIONS)
    assert view.roi == view.source == view.region == Roi(40, 240, 130, 330)
    assert view.size == (400, 400)
    assert view.clicks[0] == pytest.approx((400 * 60 / 201, 400 * 70 / 201, True))


def test_region_reaches_to_positive_clicks_and_not_to_negative_ones() -> None:
    far = look(OBJECT, Scene(SIZE, [FIRST, (500, 600, True)]), OPTIONS)
    assert far.source.bottom > 500
    assert far.source.right > 600
    near = look(OBJECT, Scene(SIZE, [FIRST, (500, 600, False)]), OPTIONS)
    assert near.source == Roi(40, 240, 130, 330)


def test_region_stays_until_it_no_longer_serves() -> None:
    kept = replace(OBJECT, roi=Roi(30, 230, 120, 320))
    assert look(kept, Scene(SIZE, [FIRST, SECOND]), OPTIONS).roi == kept.roi
    outside = Scene(SIZE, [FIRST, (230, 200, True)])
    assert look(kept, outside, OPTIONS).roi != kept.roi
    elsewhere = replace(OBJECT, roi=Roi(0, 959, 0, 1279))
    assert look(elsewhere, Scene(SIZE, [FIRST, SECOND]), OPTIONS).roi == Roi(40, 240, 130, 330)


def test_outdated_region_is_left_for_the_whole_picture() -> None:
    stale = Memory(roi=Roi(30, 230, 120, 320))
    view = look(stale, Scene(SIZE, [FIRST, SECOND]), OPTIONS)
    assert (view.source, view.region, view.roi) == (whole(SIZE), whole(SIZE), None)


def test_outdated_region_takes_the_answer_in_the_original() -> None:
    stale = Memory(roi=Roi(30, 230, 120, 320))
    view = look(stale, Scene(SIZE, [FIRST, SECOND]), replace(OPTIONS, keep_stale_roi=True))
    assert (view.source, view.region, view.roi) == (whole(SIZE), stale.roi, stale.roi)
    assert view.back[-1] == (201, 201)


def test_without_zoom_or_memory_all_clicks_see_the_whole_picture() -> None:
    scene = Scene(SIZE, [FIRST, SECOND])
    assert look(OBJECT, scene, replace(OPTIONS, zoom_in=False)).source == whole(SIZE)
    assert look(OBJECT, scene, replace(OPTIONS, one_shot=True)).source == whole(SIZE)
    assert look(Memory(), scene, OPTIONS).source == whole(SIZE)


def test_negative_skip_zooms_in_on_the_whole_picture_at_once() -> None:
    options = replace(OPTIONS, skip_clicks=-1, zoom_target=(400, 400))
    view = look(Memory(), Scene(SIZE, [FIRST]), options)
    assert (view.roi, view.size) == (whole(SIZE), (400, 400))


def test_zero_skip_looks_again_at_a_small_object() -> None:
    options = replace(OPTIONS, skip_clicks=0)
    scene = Scene(SIZE, [FIRST])
    view = look(Memory(), scene, options)
    again = look_again(OBJECT, view, scene, options)
    assert view.roi is None
    assert again is not None
    assert again.roi == Roi(40, 240, 130, 330)
    assert look_again(OBJECT, again, scene, options) is None
    assert look_again(Memory(bounds=whole(SIZE)), view, scene, options) is None
    assert look_again(Memory(), view, scene, options) is None
    assert look_again(OBJECT, view, scene, OPTIONS) is None


def test_limited_picture_sends_later_answers_through_its_size() -> None:
    options = replace(OPTIONS, first_click_side=None, max_size=256, zoom_target=200)
    first = look(Memory(), Scene((240, 320), [FIRST]), options)
    assert (first.size, first.frame, first.back) == ((192, 256), (240, 320), ((240, 320),) * 2)
    later = look(replace(OBJECT, frame=first.frame), Scene((240, 320), [FIRST, SECOND]), options)
    assert later.back == ((240, 320), later.region.size)
    assert len(later.sizes) == 1


def test_limited_crop_is_shrunk_twice() -> None:
    options = replace(OPTIONS, max_size=256)
    view = look(OBJECT, Scene(SIZE, [FIRST, SECOND]), options)
    assert view.sizes == ((400, 400), (256, 256))
    assert view.clicks[0][0] == pytest.approx(256 * 60 / 201)
    assert view.back == ((400, 400), view.region.size)


def test_network_sees_only_the_first_clicks_where_they_are_limited() -> None:
    view = look(OBJECT, Scene(SIZE, [FIRST, SECOND]), replace(OPTIONS, net_clicks_limit=1))
    assert len(view.clicks) == 1


def test_box_is_looked_at_from_the_start() -> None:
    scene = Scene(SIZE, [(250, 350, True)], box=(300, 200, 400, 300), begun=True)
    assert look(Memory(), scene, OPTIONS).source == Roi(150, 350, 250, 450)


def test_memory_survives_as_bytes() -> None:
    memory = Memory(
        previous=torch.rand(30, 40).half(),
        region=Roi(1, 2, 3, 4),
        bounds=Roi(1, 1, 3, 3),
        roi=Roi(0, 9, 0, 9),
        frame=(7, 8),
    )
    data = memory.state("a@b:c", "picture").to_bytes()
    state = State.from_bytes(data)
    assert state is not None
    again = Memory.recalled(state)
    assert again.previous is not None
    assert memory.previous is not None
    assert torch.equal(again.previous, memory.previous)
    assert replace(again, previous=None) == replace(memory, previous=None)
    assert Memory.recalled(Memory().state("a@b:c", "picture")) == Memory()


def test_previous_map_is_taken_as_it_is_for_the_same_crop() -> None:
    memory = Memory(torch.rand(30, 40).half(), Roi(10, 39, 20, 59))
    seen = memory.seen(Roi(10, 39, 20, 59), (30, 40))
    assert seen is not None
    assert memory.previous is not None
    assert torch.equal(seen, memory.previous.float())


def test_previous_map_is_moved_into_another_crop() -> None:
    whole_map = torch.rand(60, 80)
    memory = Memory(whole_map, whole((60, 80)))
    seen = memory.seen(Roi(10, 39, 20, 59), (30, 40))
    assert seen is not None
    assert torch.equal(seen, whole_map[10:40, 20:60])
    part = Memory(whole_map[10:40, 20:60], Roi(10, 39, 20, 59)).seen(whole((60, 80)), (60, 80))
    assert part is not None
    assert torch.equal(part[10:40, 20:60], whole_map[10:40, 20:60])
    assert part.count_nonzero() <= 30 * 40


def test_initial_mask_is_remembered_as_if_it_had_been_answered() -> None:
    mask = np.zeros(SIZE, np.bool_)
    mask[90:190, 180:280] = True
    memory = Memory.of_mask(mask, OPTIONS)
    assert (memory.bounds, memory.region) == (Roi(90, 189, 180, 279), Roi(40, 240, 130, 330))
    assert memory.previous is not None
    assert memory.previous.shape == (400, 400)
    assert float(memory.previous.float().mean()) == pytest.approx(100 * 100 / 201**2, abs=0.01)
    assert Memory.of_mask(np.zeros(SIZE, np.bool_), OPTIONS) == Memory()
