"""The labeling configuration of a Label Studio project: what it can ask, and what it can show.

The editor tells nobody when a configuration cannot work with smart tools, so `problems` does. Tag
and attribute names are compared without regard to case, as Label Studio does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from backend.errors import InvalidRequest, UnknownLabel

Shape = Literal["keypoint", "rectangle", "ellipse", "polygon", "brush", "bitmask", "labels"]

SHAPES: tuple[Shape, ...] = ("keypoint", "rectangle", "ellipse", "polygon", "brush", "bitmask")
SENDING: tuple[Shape, ...] = ("keypoint", "rectangle")
"""Only these have smart tools that send anything while an annotator works."""
SHOWING: tuple[Shape, ...] = ("brush", "bitmask", "polygon")
"""Only these can hold a mask."""

MAX_CHARACTERS = 1 << 20
MAX_DEPTH = 64
"""Levels of tags; each control is read with all that is below it."""


@dataclass(frozen=True, slots=True)
class ImageTag:
    """An `<Image>`: `value` is its `value` or `valueList` attribute, `$field` of the task."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class ControlTag:
    """A control tag. `objects` are the names in its `toName`.

    `labelled` tells `<BrushLabels>` from `<Brush>`. `open` is True where further labels come from
    the task's data, so that `labels` is not the whole list.
    """

    name: str
    shape: Shape
    labelled: bool
    objects: tuple[str, ...]
    labels: tuple[str, ...]
    open: bool
    smart: bool

    @property
    def type(self) -> str:
        """The `type` of the regions that this control makes, and the key of their labels."""
        return f"{self.shape}labels" if self.labelled and self.shape != "labels" else self.shape

    def knows(self, label: str) -> bool:
        """Whether a region of this control may carry the label."""
        return self.open or label in self.labels


@dataclass(frozen=True, slots=True)
class Output:
    """Where a mask goes: a control that can hold it, and a separate `<Labels>` for its class."""

    control: ControlTag
    classes: ControlTag | None = None


@dataclass(frozen=True, slots=True)
class LabelConfig:
    """What matters here of a labeling configuration, in document order."""

    images: tuple[ImageTag, ...]
    controls: tuple[ControlTag, ...]
    repeats: bool = False

    def image(self, name: str) -> ImageTag:
        """The image tag of this name. Raises InvalidRequest where there is none."""
        for tag in self.images:
            if tag.name == name:
                return tag
        names = ", ".join(tag.name for tag in self.images) or "none at all"
        raise InvalidRequest(
            f"to_name {name!r:.80} is no <Image> of the labeling configuration, which has {names}",
            field="to_name",
        )

    def control(self, name: str) -> ControlTag | None:
        """The control tag of this name."""
        return next((tag for tag in self.controls if tag.name == name), None)

    def showing(self, image: str) -> list[ControlTag]:
        """The controls that can hold a mask of this image tag."""
        return [tag for tag in self.controls if tag.shape in SHOWING and image in tag.objects]

    def classes(self, image: str) -> list[ControlTag]:
        """The separate `<Labels>` controls of this image tag."""
        return [tag for tag in self.controls if tag.shape == "labels" and image in tag.objects]

    def output(self, image: str, label: str | None) -> Output:
        """Where the mask of a prompt with this label goes; the first in the document wins.

        A control that knows the label is taken before one without labels, and one of the latter
        is joined with the `<Labels>` that knows it. Raises UnknownLabel where the label has no
        place, InvalidRequest where no control can hold a mask.
        """
        showing = self.showing(image)
        if not showing:
            raise InvalidRequest(
                f"the labeling configuration has no control that could show a mask of {image!r}: "
                "add <BrushLabels>, <PolygonLabels> or <BitmaskLabels> with toName="
                f'"{image}"',
                field="label_config",
            )
        plain = [tag for tag in showing if not tag.labelled]
        if label is None:
            return Output((plain or showing)[0])
        for tag in showing:
            if tag.labelled and tag.knows(label):
                return Output(tag)
        classes = [tag for tag in self.classes(image) if tag.knows(label)]
        if plain and (classes or not self.classes(image)):
            return Output(plain[0], classes[0] if classes else None)
        raise UnknownLabel(
            f"label {label!r:.80} is in no control that could show its mask "
            f"({', '.join(tag.name for tag in showing)}): add <Label value={label!r:.80}/> there",
            field="label",
        )


def parse(xml: str) -> LabelConfig:
    """Read a labeling configuration, without entities, DTDs or anything from outside.

    Raises InvalidRequest for text that is not such XML.
    """
    if not isinstance(xml, str) or not xml.strip():
        raise InvalidRequest("label_config is empty: it must be the XML text", field="label_config")
    if len(xml) > MAX_CHARACTERS:
        raise InvalidRequest(
            f"label_config has {len(xml)} characters, more than {MAX_CHARACTERS}",
            field="label_config",
        )
    return _parse(xml)


@lru_cache(maxsize=64)
def _parse(xml: str) -> LabelConfig:
    try:
        root = ElementTree.fromstring(xml, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"label_config is not XML that can be read: {error}", field="label_config"
        ) from None
    images: list[ImageTag] = []
    controls: list[ControlTag] = []
    repeats = False
    for element in _in_order(root):
        tag, attributes = _tag(element), _attributes(element)
        if tag == "repeater":
            repeats = True
        if tag == "image":
            value = attributes.get("valuelist") or attributes.get("value", "")
            images.append(ImageTag(attributes.get("name", ""), value))
        elif (control := _control(tag, attributes, element)) is not None:
            controls.append(control)
    return LabelConfig(tuple(images), tuple(controls), repeats)


def _in_order(root: Element) -> Iterator[Element]:
    """All elements in document order. Raises InvalidRequest for too deep a document."""
    waiting = [(root, 1)]
    while waiting:
        element, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise InvalidRequest(
                f"label_config has more than {MAX_DEPTH} levels of tags", field="label_config"
            )
        yield element
        waiting.extend((child, depth + 1) for child in reversed(element))


def _tag(element: Element) -> str:
    return element.tag.lower() if isinstance(element.tag, str) else ""


def _attributes(element: Element) -> dict[str, str]:
    return {name.lower(): value for name, value in element.attrib.items()}


def _control(tag: str, attributes: dict[str, str], element: Element) -> ControlTag | None:
    if tag == "labels":
        shape: Shape = "labels"
    else:
        found = next((known for known in SHAPES if tag in {known, f"{known}labels"}), None)
        if found is None:
            return None
        shape = found
    objects = tuple(part.strip() for part in attributes.get("toname", "").split(",") if part)
    labels = tuple(dict.fromkeys(_labels(element)))
    return ControlTag(
        name=attributes.get("name", ""),
        shape=shape,
        labelled=tag.endswith("labels"),
        objects=objects,
        labels=labels,
        open="value" in attributes,
        smart=attributes.get("smart", "true").lower() != "false",
    )


def _labels(element: Element) -> Iterator[str]:
    """The labels as regions carry them: the alias where a label has one."""
    for child in element.iter():
        if _tag(child) == "label":
            attributes = _attributes(child)
            yield attributes.get("alias") or attributes.get("value", "")


_VARIABLE = re.compile(r"\$[\w\[\].]+")


def addresses(tag: ImageTag, data: dict[str, Any]) -> list[str]:
    """The addresses that an image tag shows of a task's data, one for each picture in it.

    Raises InvalidRequest where the data has no text there.
    """
    value = tag.value
    found: Any
    if _VARIABLE.fullmatch(value):
        found = _lookup(data, value[1:])
    else:
        found = _VARIABLE.sub(lambda match: str(_lookup(data, match[0][1:]) or ""), value)
    several = found if isinstance(found, list) else [found]
    if not several or not all(isinstance(item, str) and item for item in several):
        raise InvalidRequest(
            f"the task's data has no picture address under {value!r} of <Image name={tag.name!r}>",
            field="data",
        )
    return several


def _lookup(data: Any, path: str) -> Any:
    """What a variable such as `pages[0].url` means in a task's data; None if nothing."""
    if isinstance(data, dict) and path in data:
        return data[path]
    for part in re.findall(r"[^.\[\]]+", path):
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and part.isdecimal() and int(part) < len(data):
            data = data[int(part)]
        else:
            return None
    return data


def problems(xml: str) -> list[str]:
    """What keeps smart tools from working under this configuration, as sentences."""
    try:
        config = parse(xml)
    except InvalidRequest as error:
        return [error.message]
    if not config.images:
        return ["the labeling configuration has no <Image>, so there is nothing to segment"]
    found = list(_prompt_problems(config))
    for image in config.images:
        if config.showing(image.name):
            found.extend(_label_problems(config, image.name))
        else:
            found.append(
                f"nothing can show a mask of <Image name={image.name!r}>: add <BrushLabels>, "
                f'<PolygonLabels> or <BitmaskLabels> with toName="{image.name}"'
            )
    if config.repeats:
        found.append(
            "<Repeater> is not understood: several pictures of a task go into one <Image> with "
            "valueList"
        )
    return found


def _prompt_problems(config: LabelConfig) -> Iterator[str]:
    names = {image.name for image in config.images}
    sending = [tag for tag in config.controls if tag.shape in SENDING]
    attached = [tag for tag in sending if names.intersection(tag.objects)]
    if not attached:
        yield (
            "no annotator can prompt: add <KeyPointLabels> or <RectangleLabels> with "
            f'smart="true" and toName="{config.images[0].name}"; no other tool sends anything'
        )
    elif not any(tag.smart for tag in attached):
        yield (
            f'no annotator can prompt: {attached[0].name!r} has smart="false"; '
            "remove it or set it to true"
        )


def _label_problems(config: LabelConfig, image: str) -> Iterator[str]:
    """Labels an annotator can prompt with, but whose mask has no place."""
    classes = config.classes(image)
    for tag in config.controls:
        if tag.shape not in SENDING or image not in tag.objects:
            continue
        labels = tag.labels if tag.labelled else [name for each in classes for name in each.labels]
        for label in labels:
            try:
                config.output(image, label)
            except UnknownLabel as error:
                yield f"{tag.name}: {error.message}"
