"""Which object of a picture a sample is about.

The rules are those of RITM's training (Sofiiuk et al., 2021): one root object, or sometimes
several as one; objects that are too small are left out; now and then a sample of nothing but
background. To them come what the own network needs: unions of parts are objects too, and so are
pieces of the background between class regions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from backend.training.data.source import BACKGROUND, IGNORE, Annotated, Kind, Layer, Mask, ObjectRef

Target = npt.NDArray[np.int8]

NEIGHBOURHOOD = np.ones((7, 7), np.uint8)
"""Parts count as neighbours across a gap of this half width: void rims lie between them."""


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """What is to be segmented, and where clicks on it may lie.

    `target` is int8 HxW: 1 the object, 0 not, -1 to be ignored. `positives` are bool masks that
    deserve a positive click each, `negatives` such that deserve a negative one. `others` holds the
    pixels of the other objects, None where there are none.
    """

    target: Target
    positives: tuple[Mask, ...]
    negatives: tuple[Mask, ...]
    others: Mask | None


@dataclass(frozen=True)
class ObjectChoice:
    """How an object is chosen; all but the sizes are probabilities.

    `merge`: up to `merged` root objects become one. `smallest`: pixels of the smallest object,
    after augmentation. `empty`: a picture on which no object is left is kept as background.
    `stuff`: sky, road and the like are objects of this picture. `fill`: objects that fill less of
    their box are annotation errors and dropped (SBD: 0.08). `hierarchy`: parts of an object are
    chosen too, and some are cut out of it. `unions`: on a picture of parts the object is a group of
    neighbouring parts. `surroundings`: on a picture of regions it is a piece of background.
    """

    merge: float = 0.15
    merged: int = 2
    smallest: int = 1000
    empty: float = 0.05
    stuff: float = 0.30
    fill: float = 0.0
    hierarchy: bool = False
    unions: float = 0.0
    surroundings: float = 0.0

    def prepare(self, picture: Annotated, rng: np.random.Generator) -> Annotated:
        """The picture with the objects that come into question, before augmentation."""
        dropped: list[int] = []
        stuff = [index for index, object_ in enumerate(picture.objects) if object_.stuff]
        if stuff and rng.random() >= self.stuff:
            dropped += stuff
        if self.fill > 0:
            dropped += [
                index for index in range(len(picture.objects)) if _fill(picture, index) < self.fill
            ]
        return _erased(picture, dropped) if dropped else picture

    def choose(self, picture: Annotated, rng: np.random.Generator) -> Chosen:
        """The object of a sample on the augmented picture."""
        if picture.kind is Kind.REGIONS and rng.random() < self.surroundings:
            piece = _surroundings(picture, self.smallest, rng)
            if piece is not None:
                return _chosen(picture, (piece,), (), piece, anything_else=True)
        kept = np.flatnonzero(picture.areas() >= max(1, self.smallest)).tolist()
        if not kept:
            empty = np.zeros(picture.size, np.bool_)
            return _chosen(picture, (), (), empty, anything_else=False)
        if picture.kind is Kind.PARTS and len(kept) > 1 and rng.random() < self.unions:
            group = _neighbours(picture, kept, rng)
            union = picture.union(group)
            return _chosen(picture, (union,), (), union, len(kept) > len(group))
        return self._of_roots(picture, kept, rng)

    def _of_roots(
        self, picture: Annotated, kept: Sequence[int], rng: np.random.Generator
    ) -> Chosen:
        tree = _Tree(picture, kept)
        count = 1
        if len(tree.roots) > 1 and rng.random() < self.merge:
            count = int(rng.integers(2, min(len(tree.roots), self.merged) + 1))
        roots = rng.choice(len(tree.roots), count, replace=False)
        positives: list[Mask] = []
        negatives: list[Mask] = []
        for root in roots:
            node = tree.roots[int(root)]
            if not self.hierarchy:
                positives.append(picture.mask(node))
                continue
            positive, negative = tree.level(node, self.merged, rng)
            positives.append(positive)
            negatives += negative
        union = np.logical_or.reduce(positives)
        others = len(kept) > len(positives)
        return _chosen(picture, tuple(positives), tuple(negatives), union, others)


class _Tree:
    """The objects of a picture that were kept, by their place in the hierarchy."""

    def __init__(self, picture: Annotated, kept: Sequence[int]) -> None:
        self.picture = picture
        self.kept = frozenset(kept)
        self.roots = [index for index in kept if self._parent(index) is None]

    def level(
        self, root: int, most: int, rng: np.random.Generator
    ) -> tuple[Mask, tuple[Mask, ...]]:
        """A node below `root` or itself, without up to `most` of its children.

        Gives its mask, and what deserves negative clicks: the rest of its parent, and the children
        that were cut out. On every level the way ends with a probability of a half.
        """
        node = root
        while (children := self._children(node)) and rng.random() < 0.5:
            node = children[int(rng.integers(len(children)))]
        mask = self.picture.mask(node)
        negatives: list[Mask] = []
        parent = self._parent(node)
        if parent is not None:
            negatives.append(self.picture.mask(parent) & ~mask)
        if children:
            count = int(rng.integers(min(len(children), most) + 1))
            for child in rng.choice(len(children), count, replace=False):
                cut = self.picture.mask(children[int(child)]) & mask
                if np.count_nonzero(mask & ~cut):
                    mask = mask & ~cut
                    negatives.append(cut)
        return mask, tuple(negative for negative in negatives if negative.any())

    def _parent(self, index: int) -> int | None:
        parent = self.picture.objects[index].parent
        while parent is not None and parent not in self.kept:
            parent = self.picture.objects[parent].parent
        return parent

    def _children(self, index: int) -> list[int]:
        return [other for other in sorted(self.kept) if self._parent(other) == index]


def target_of(picture: Annotated, mask: Mask) -> Target:
    """int8 HxW: 1 on the mask, -1 on what is to be ignored, 0 elsewhere."""
    target = mask.astype(np.int8)
    target[picture.ignored() & ~mask] = IGNORE
    return target


def _chosen(
    picture: Annotated,
    positives: tuple[Mask, ...],
    negatives: tuple[Mask, ...],
    mask: Mask,
    anything_else: bool,
) -> Chosen:
    target = target_of(picture, mask)
    others: Mask | None = None
    if anything_else:
        others = np.zeros(picture.size, np.bool_)
        for layer in picture.layers:
            others |= layer > BACKGROUND
        others &= target == 0
        if not others.any():
            others = None
    return Chosen(target, positives, negatives, others)


def _fill(picture: Annotated, index: int) -> float:
    """The share of its bounding box that an object covers; 1 for one without a pixel."""
    mask = picture.mask(index).view(np.uint8)
    _, _, width, height = cv2.boundingRect(mask)
    return float(np.count_nonzero(mask)) / (width * height) if width and height else 1.0


def _erased(picture: Annotated, dropped: Sequence[int]) -> Annotated:
    """The picture without these objects: their pixels become background."""
    layers = list(picture.layers)
    for number, layer in enumerate(layers):
        ids = [picture.objects[i].id for i in dropped if picture.objects[i].layer == number]
        if ids:
            layers[number] = np.where(np.isin(layer, ids), np.int32(BACKGROUND), layer)
    return replace(picture, layers=tuple(layers), objects=without_objects(picture.objects, dropped))


def without_objects(
    objects: tuple[ObjectRef, ...], dropped: Sequence[int]
) -> tuple[ObjectRef, ...]:
    """The other objects, with their family ties renumbered; orphans go to their grandparent."""
    gone = frozenset(dropped)
    left = [index for index in range(len(objects)) if index not in gone]
    place = {index: number for number, index in enumerate(left)}

    def heir(index: int | None) -> int | None:
        while index is not None and index in gone:
            index = objects[index].parent
        return None if index is None else place[index]

    parents = [heir(objects[index].parent) for index in left]
    return tuple(
        replace(
            objects[index],
            parent=parents[number],
            children=tuple(child for child, parent in enumerate(parents) if parent == number),
        )
        for number, index in enumerate(left)
    )


def _surroundings(picture: Annotated, smallest: int, rng: np.random.Generator) -> Mask | None:
    """A connected piece of the background, the larger the likelier; None without one."""
    background = picture.background().view(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(background, connectivity=4)
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.float64)
    areas[0] = 0
    areas[areas < max(1, smallest)] = 0
    if not areas.any():
        return None
    piece = rng.choice(len(areas), p=areas / areas.sum())
    return np.asarray(labels == piece, np.bool_)


def _neighbours(picture: Annotated, kept: Sequence[int], rng: np.random.Generator) -> list[int]:
    """Two or more of the kept parts, each a neighbour of another; half of the time all of them."""
    if rng.random() < 0.5:
        return list(kept)
    group = [kept[int(rng.integers(len(kept)))]]
    wanted = int(rng.integers(2, len(kept) + 1))
    while len(group) < wanted:
        reach = cv2.dilate(picture.union(group).view(np.uint8), NEIGHBOURHOOD).view(np.bool_)
        touched = _touched(picture.layers, reach)
        near = [
            index
            for index in kept
            if index not in group
            and picture.objects[index].id in touched[picture.objects[index].layer]
        ]
        if not near:
            break
        group.append(near[int(rng.integers(len(near)))])
    return group


def _touched(layers: Sequence[Layer], reach: Mask) -> list[set[int]]:
    return [set(np.unique(layer[reach]).tolist()) for layer in layers]
