"""A picture with a known object: a still life drawn by arithmetic, so that nobody owns it.

python -m tests.scene docs/example.jpg
"""

from __future__ import annotations

import sys

import cv2
import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 640, 480
HORIZON = 250
LIGHT = np.array([-0.45, -0.75, -0.5])
ORANGE = (255, 285, 92)
"""Centre and radius in pixels: x, y, r."""
BALL = (470, 310, 62)

Floats = npt.NDArray[np.float64]
Masks = npt.NDArray[np.bool_]


def draw() -> tuple[npt.NDArray[np.uint8], Masks]:
    """The picture, uint8 480x640x3 RGB, and the mask of the orange in it, bool 480x640."""
    chance = np.random.default_rng(7)
    canvas = _room(chance)
    for x, y, radius in (ORANGE, BALL):
        _shadow(canvas, x, y, radius)
    _sphere(canvas, ORANGE, np.array([236, 128, 32]), _grain(chance, 1.2, 0.05))
    _sphere(canvas, BALL, np.array([40, 84, 168]), _grain(chance, 30, 0.10))
    canvas = cv2.GaussianBlur(canvas, (0, 0), 0.7) + chance.normal(0, 2.5, canvas.shape)
    return np.clip(canvas, 0, 255).astype(np.uint8), _disc(*ORANGE)


def _grain(chance: np.random.Generator, size: float, strength: float) -> Floats:
    """Smooth noise about 1, HxW, with features of `size` pixels."""
    noise = cv2.GaussianBlur(chance.normal(size=(HEIGHT, WIDTH)), (0, 0), size)
    return 1 + strength * noise / noise.std()


def _room(chance: np.random.Generator) -> Floats:
    """A wall that darkens to one side, and a wooden table, float HxWx3."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    wall = np.array([196, 192, 178]) * (1.05 - 0.4 * columns / WIDTH)[..., None]
    wall *= _grain(chance, 25, 0.015)[..., None]
    depth = 60.0 / np.maximum(rows - HORIZON + 20, 1)
    across = (columns - WIDTH / 2) * depth * 0.1
    rings = np.sin(across * 9 + 3 * np.sin(depth * 2.5) + _grain(chance, 8, 1.0))
    table = np.array([140, 96, 58]) * (1 + 0.10 * rings)[..., None]
    table *= (0.75 + 0.35 * (rows - HORIZON) / (HEIGHT - HORIZON))[..., None]
    return np.where((rows > HORIZON)[..., None], table, wall)


def _disc(x: int, y: int, radius: int) -> Masks:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def _shadow(canvas: Floats, x: int, y: int, radius: int) -> None:
    """A soft shadow on the table, away from the light."""
    shade = np.zeros((HEIGHT, WIDTH))
    centre = (x + radius // 2, y + round(radius * 0.92))
    cv2.ellipse(shade, centre, (round(radius * 1.2), radius // 4), 0, 0, 360, 1.0, -1)
    canvas *= 1 - 0.55 * cv2.GaussianBlur(shade, (0, 0), radius / 8)[..., None]


def _sphere(canvas: Floats, place: tuple[int, int, int], colour: Floats, grain: Floats) -> None:
    """A lit sphere (Lambert's law and a highlight) painted over `canvas`."""
    x, y, radius = place
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    across, down = (columns - x) / radius, (rows - y) / radius
    inside = _disc(*place)
    towards = -np.sqrt(np.maximum(1 - across**2 - down**2, 0))
    normal = np.stack([across, down, towards], axis=-1)
    light = LIGHT / np.linalg.norm(LIGHT)
    facing = np.clip(normal @ light, 0, 1)
    lit = colour * (0.28 + 0.85 * facing * grain)[..., None]
    half = light + np.array([0, 0, -1])
    shine = np.clip(normal @ (half / np.linalg.norm(half)), 0, 1) ** 40
    canvas[inside] = (lit + 150 * shine[..., None])[inside]


if __name__ == "__main__":
    picture, _ = draw()
    cv2.imwrite(
        sys.argv[1], cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88]
    )
