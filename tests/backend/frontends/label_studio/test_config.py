from __future__ import annotations

import pytest

from backend.errors import InvalidRequest, UnknownLabel
from backend.frontends.label_studio.config import addresses, parse, problems

BRUSH = """<View>
  <Image name="image" value="$image" zoom="true"/>
  <BrushLabels name="tag" toName="image">
    <Label value="Cat" background="#FF0000"/><Label value="Dog"/>
  </BrushLabels>
  <KeyPointLabels name="kp" toName="image" smart="true"><Label value="Cat"/><Label value="Dog"/>
  </KeyPointLabels>
  <RectangleLabels name="rect" toName="image" smart="true">
    <View><Label value="Cat"/></View>
  </RectangleLabels>
</View>"""

SEPARATE = """<View>
  <Image name="img" value="$image"/>
  <Labels name="label" toName="img"><Label value="Cat"/></Labels>
  <KeyPoint name="point" toName="img"/><Rectangle name="box" toName="img"/>
  <Brush name="brush" toName="img"/>
</View>"""


def test_names_labels_and_targets_come_from_the_document() -> None:
    config = parse(BRUSH)
    assert [(tag.name, tag.value) for tag in config.images] == [("image", "$image")]
    assert [(tag.name, tag.type, tag.labels) for tag in config.controls] == [
        ("tag", "brushlabels", ("Cat", "Dog")),
        ("kp", "keypointlabels", ("Cat", "Dog")),
        ("rect", "rectanglelabels", ("Cat",)),
    ]


def test_tags_and_attributes_are_read_in_any_case() -> None:
    config = parse('<view><image NAME="i" value="$u"/><brushLabels name="b" toname="i"/></view>')
    assert config.images[0].name == "i"
    assert config.controls[0].objects == ("i",)


def test_an_alias_is_what_regions_carry() -> None:
    xml = (
        '<View><BrushLabels name="b" toName="i"><Label value="Cat" alias="c"/></BrushLabels></View>'
    )
    assert parse(xml).controls[0].labels == ("c",)


def test_the_output_of_a_label_is_the_control_that_has_it() -> None:
    xml = """<View><Image name="i" value="$u"/>
      <PolygonLabels name="poly" toName="i"><Label value="Car"/></PolygonLabels>
      <BitmaskLabels name="bits" toName="i"><Label value="Cat"/><Label value="Car"/></BitmaskLabels>
    </View>"""
    config = parse(xml)
    assert config.output("i", "Car").control.name == "poly"
    assert config.output("i", "Cat").control.name == "bits"


def test_a_plain_control_is_joined_with_separate_labels() -> None:
    output = parse(SEPARATE).output("img", "Cat")
    assert (output.control.type, output.control.name) == ("brush", "brush")
    assert output.classes is not None
    assert output.classes.name == "label"


def test_a_label_without_a_place_is_named_with_the_remedy() -> None:
    with pytest.raises(UnknownLabel, match=r"'Bird'.*\(tag\).*<Label value='Bird'/>"):
        parse(BRUSH).output("image", "Bird")
    with pytest.raises(UnknownLabel, match="'Bird'"):
        parse(SEPARATE).output("img", "Bird")


def test_labels_from_the_tasks_data_are_not_refused() -> None:
    xml = (
        '<View><Image name="i" value="$u"/><BrushLabels name="b" toName="i" value="$names"/></View>'
    )
    assert parse(xml).output("i", "anything").control.name == "b"


def test_an_output_of_another_picture_is_no_place() -> None:
    xml = """<View><Image name="left" value="$a"/><Image name="right" value="$b"/>
      <BrushLabels name="b" toName="left"><Label value="Cat"/></BrushLabels></View>"""
    with pytest.raises(InvalidRequest, match="no control that could show a mask of 'right'"):
        parse(xml).output("right", "Cat")


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "<View>",
        "not xml",
        "<View>" * 100_000,
        "<View>" * 65 + "</View>" * 65,
        "<Labels>" * 50_000 + "</Labels>" * 50_000,
        '<!DOCTYPE v [<!ENTITY a "b">]><View>&a;</View>',
        '<!DOCTYPE v [<!ENTITY a SYSTEM "file:///etc/passwd">]><View>&a;</View>',
        " " * (1 << 20) + "<View/>",
    ],
)
def test_what_is_no_harmless_xml_is_refused(xml: str) -> None:
    with pytest.raises(InvalidRequest, match="label_config"):
        parse(xml)


@pytest.mark.parametrize(
    ("value", "data", "expected"),
    [
        ("$image", {"image": "/data/upload/1/a.jpg"}, ["/data/upload/1/a.jpg"]),
        ("$images", {"images": ["a", "b"]}, ["a", "b"]),
        ("$doc.pages[1].url", {"doc": {"pages": [{"url": "a"}, {"url": "b"}]}}, ["b"]),
        ("$odd.name", {"odd.name": "a"}, ["a"]),
        ("https://host/$file?x=1", {"file": "a.jpg"}, ["https://host/a.jpg?x=1"]),
        ("https://host/fixed.jpg", {}, ["https://host/fixed.jpg"]),
    ],
)
def test_addresses_come_from_the_tasks_data(
    value: str, data: dict[str, object], expected: list[str]
) -> None:
    image = parse(f'<View><Image name="i" value="{value}"/></View>').images[0]
    assert addresses(image, data) == expected


@pytest.mark.parametrize(
    "data", [{}, {"image": 7}, {"image": ""}, {"image": []}, {"image": [None]}]
)
def test_data_without_an_address_is_refused(data: dict[str, object]) -> None:
    image = parse('<View><Image name="i" value="$image"/></View>').images[0]
    with pytest.raises(InvalidRequest, match=r"no picture address under '\$image'"):
        addresses(image, data)


def test_value_list_goes_before_value() -> None:
    image = parse('<View><Image name="i" value="$one" valueList="$many"/></View>').images[0]
    assert addresses(image, {"one": "a", "many": ["b", "c"]}) == ["b", "c"]


@pytest.mark.parametrize("xml", [BRUSH, SEPARATE])
def test_a_working_configuration_has_no_problems(xml: str) -> None:
    assert problems(xml) == []


NO_TOOL = BRUSH.replace("KeyPointLabels", "EllipseLabels").replace("Rectangle", "Ellipse")
NO_DOG = BRUSH.replace('<Label value="Dog"/>\n  </BrushLabels>', "</BrushLabels>")


@pytest.mark.parametrize(
    ("xml", "said"),
    [
        ("<View/>", "no <Image>"),
        ("<View", "not XML"),
        (NO_TOOL, "no annotator can prompt"),
        (SEPARATE.replace('toName="img"/>', 'toName="img" smart="false"/>'), 'smart="false"'),
        (BRUSH.replace("BrushLabels", "EllipseLabels"), "nothing can show a mask"),
        (NO_DOG, "kp: label 'Dog'"),
        (BRUSH.replace("<View>\n", '<View><Repeater on="$x"/>', 1), "<Repeater>"),
    ],
)
def test_problems_say_what_will_not_work(xml: str, said: str) -> None:
    found = problems(xml)
    assert len(found) == 1
    assert said in found[0]
