"""Synthetic frontal chest radiographs: normal, or with pneumonia or tuberculosis drawn into the lungs.

Nothing here comes from a patient, and nothing here is evidence about one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medplug.demo.anatomy import LEFT, RIGHT, Anatomy, Chest, chest
from medplug.demo.canvas import Frame, Map, blur, noise, slow, soft_step

__all__ = ["FINDINGS", "Anatomy", "Radiograph", "Technique", "render"]

FINDINGS = ("normal", "pneumonia", "tuberculosis")

AERATED = 0.8  # the share of a lung's depth that stops nothing


@dataclass(frozen=True)
class Technique:
    """How a scanner exposes and finishes: matrix (rows, columns); field and shutters in cm."""

    matrix: tuple[int, int] = (384, 336)
    field: float = 35.0
    noise: float = 0.009
    sharpness: float = 0.7
    contrast: float = 1.6
    border: float = 0.3


@dataclass(frozen=True)
class Radiograph:
    """An image 0 (black) to 1 (white), where its lesions are, and where its lungs are."""

    image: Map
    lesion: NDArray[np.bool_]
    lungs: NDArray[np.bool_]


@dataclass
class _Lesions:
    """What disease does: the share of the air that is lost, cm of tissue added, cm of air gained."""

    filled: Map
    added: Map
    hollow: Map

    @classmethod
    def none(cls, shape: tuple[int, int]) -> _Lesions:
        """A healthy chest."""
        return cls(*(np.zeros(shape, np.float32) for _ in range(3)))


def render(rng: np.random.Generator, finding: str, anatomy: Anatomy, technique: Technique | None = None) -> Radiograph:
    """Take one radiograph of a synthetic patient; the same generator state gives the same pixels.

    The mean grey value is drawn independently of the finding, so that brightness alone tells nothing.
    """
    if finding not in FINDINGS:
        raise ValueError(f"no finding named {finding!r}; known: {', '.join(FINDINGS)}")
    technique = technique or Technique()
    pixel = technique.field / technique.matrix[1]
    frame = Frame(
        shape=technique.matrix,
        pixel=pixel,
        top=technique.matrix[0] * pixel * 0.15 + rng.normal(0, 0.5),
        shift=rng.normal(0, 0.5),
        tilt=rng.normal(0, 0.018),
    )
    side = RIGHT if rng.random() < 0.5 else LEFT
    scarred = finding == "tuberculosis" and rng.random() < 0.4
    pull = side * rng.uniform(0.5, 1.0) if scarred else rng.normal(0, 0.12)
    torso = chest(anatomy, frame, inspiration=rng.uniform(0.88, 1.03), pull=pull)

    disease, chance = _Lesions.none(frame.shape), _Lesions.none(frame.shape)
    if finding == "pneumonia":
        _pneumonia(rng, torso, side, disease)
    elif finding == "tuberculosis":
        _tuberculosis(rng, torso, side, disease, scarred)
    _incidental(rng, torso, chance)

    open_lung = torso.lung > 1.0
    lesion = open_lung & _visible(torso, disease)
    image = _expose(rng, _path(rng, torso, disease, chance), torso, technique)
    return Radiograph(image, lesion, open_lung)


def _visible(torso: Chest, disease: _Lesions) -> NDArray[np.bool_]:
    """Where disease shows once blurred: 8 mm of tissue for air, or two fifths of the most there is."""
    gained = AERATED * np.minimum(torso.lung, 12) * disease.filled + np.clip(torso.lung / 5, 0, 1) * disease.added
    if not gained.any():
        return np.zeros(torso.frame.shape, np.bool_)
    seen = slow(gained.astype(np.float32), 0.3 / torso.frame.pixel)
    return np.asarray((seen > min(0.8, 0.4 * float(seen.max()))) | (disease.hollow > 0.5))


def _path(rng: np.random.Generator, torso: Chest, disease: _Lesions, chance: _Lesions) -> Map:
    """Centimetres of water that each ray crosses; bone counts for more, a filled lung hides its vessels."""
    presence = np.clip(torso.lung / 5, 0, 1)
    filled = np.clip(disease.filled + chance.filled, 0, 1)
    texture = 0.16 * noise(rng, torso.frame.shape, 75) + 0.22 * noise(rng, torso.frame.shape, 32)
    air = AERATED * torso.lung * (1 - filled) + np.minimum(disease.hollow, AERATED * torso.lung)
    inside = (1 - filled) * (1.5 * torso.vessels + texture)
    inside += disease.added + chance.added
    if disease.filled.any():
        inside -= 1.6 * filled * torso.bronchi  # the air bronchogram
    soft = torso.body + 0.25 * noise(rng, torso.frame.shape, 9) * np.clip(torso.body / 8, 0, 1)
    path = soft - air + presence * inside + 1.9 * torso.bone - 1.5 * np.minimum(torso.airway, torso.body)
    return np.asarray(np.maximum(path, 0), np.float32)


def _expose(rng: np.random.Generator, path: Map, torso: Chest, technique: Technique) -> Map:
    """Turn tissue into grey: scatter, quantum noise, edge enhancement, brightness, collimator, marker."""
    grey: Map = 1 - np.exp(-((path / 15.5) ** np.float32(technique.contrast)))
    grey = 0.95 * grey + 0.05 * slow(grey, 3.0 / torso.frame.pixel)
    grain = rng.standard_normal(grey.shape, dtype=np.float32) * technique.noise
    grey += blur(grain * (0.5 + grey), 0.55) * 1.5
    grey += technique.sharpness * (grey - slow(grey, 0.35 / torso.frame.pixel))
    grey = np.clip(grey, 0, 1, dtype=np.float32)
    grey **= np.float32(_exponent(grey[::8, ::8], rng.normal(0.53, 0.035)))
    grey *= _collimator(rng, torso, technique.border)
    _mark(rng, torso, grey)
    return grey


def _exponent(grey: Map, mean: float) -> float:
    """The power that brings the mean of a picture to a wanted value."""
    low, high, middle = 0.3, 3.0, 1.0
    for _ in range(14):
        middle = math.sqrt(low * high)
        brighter = float((grey**middle).mean()) > mean
        low, high = (middle, high) if brighter else (low, middle)
    return middle


def _collimator(rng: np.random.Generator, torso: Chest, border: float) -> Map:
    """1 within the shutters, 0 outside; each stands up to `border` cm inside the field."""
    rows, columns = torso.frame.shape
    edges = rng.uniform(0, 1, 4) * border / torso.frame.pixel
    down, across = np.arange(rows, dtype=np.float32), np.arange(columns, dtype=np.float32)
    vertical = np.clip(np.minimum(down - edges[0], rows - 1 - edges[1] - down) + 1, 0, 1)
    horizontal = np.clip(np.minimum(across - edges[2], columns - 1 - edges[3] - across) + 1, 0, 1)
    return np.asarray(vertical[:, None] * horizontal[None], np.float32)


def _mark(rng: np.random.Generator, torso: Chest, grey: Map) -> None:
    """Lay the lead letter that names the patient's left side, above the shoulder, into the picture."""
    unit = max(2, round(0.26 / torso.frame.pixel))
    letter = np.zeros((7, 5), np.float32)
    letter[:, 0] = letter[6, :] = 1
    letter = np.pad(np.kron(letter, np.ones((unit, unit), np.float32)), 2)
    row = int(torso.frame.shape[0] * rng.uniform(0.03, 0.07))
    column = int(torso.frame.shape[1] * rng.uniform(0.84, 0.9))
    spot = grey[row : row + letter.shape[0], column : column + letter.shape[1]]
    spot[...] = np.maximum(spot, 0.97 * blur(letter, 0.6)[: spot.shape[0], : spot.shape[1]])


def _blob(torso: Chest, at: tuple[float, float], wide: float, tall: float, turn: float = 0.0) -> Map:
    """A round cloud: 1 at its centre, about one third at its radii (cm)."""
    cloud = np.zeros(torso.frame.shape, np.float32)
    reach = 2.3 * max(wide, tall)
    box = torso.frame.box(at[0] - reach, at[0] + reach, at[1] - reach, at[1] + reach)
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    x, y = torso.x[box] - np.float32(at[0]), torso.y[box] - np.float32(at[1])
    u, v = (x * c + y * s) / np.float32(wide), (y * c - x * s) / np.float32(tall)
    cloud[box] = np.exp(-u * u - v * v)
    return cloud


def _ragged(rng: np.random.Generator, torso: Chest, cloud: Map, uneven: float, edge: float) -> Map:
    """Break a cloud up: noise decides where its edge runs, and how even it is; `edge` is its softness."""
    shape = torso.frame.shape
    rough = noise(rng, shape, 14) + 0.7 * noise(rng, shape, 34)
    return soft_step(cloud + np.float32(uneven) * rough * np.sqrt(cloud) - 0.45, edge)


def _pneumonia(rng: np.random.Generator, torso: Chest, side: int, lesions: _Lesions) -> None:
    """Fill air spaces of the lower and middle zones, up to a fissure or with fluid in the angle at times."""
    severity = rng.uniform(0.28, 0.9)
    cloud = np.zeros(torso.frame.shape, np.float32)
    if rng.random() < 0.6:  # lobar
        at = torso.place(side, rng.uniform(0.35, 0.75), rng.uniform(0.55, 0.9))
        cloud = 1.1 * _blob(torso, at, rng.uniform(2.8, 4.8), rng.uniform(2.6, 4.8), rng.uniform(-0.6, 0.6))
        if side == RIGHT and rng.random() < 0.5:  # the horizontal fissure holds it back
            cloud *= soft_step(torso.y - (at[1] - 1.2) - 0.08 * torso.x, 0.25)
    else:  # bronchopneumonia
        both = rng.random() < 0.6
        for _ in range(int(rng.integers(3, 7))):
            here = side if not both or rng.random() < 0.6 else -side
            at = torso.place(here, rng.uniform(0.1, 0.75), rng.uniform(0.45, 0.98))
            cloud = np.maximum(cloud, _blob(torso, at, rng.uniform(1.3, 2.6), rng.uniform(1.3, 2.6)))
    lesions.filled += severity * _ragged(rng, torso, cloud, 0.11, 0.55)
    if rng.random() < 0.3:
        level = torso.anatomy.lung_height + rng.uniform(0.8, 2.0)
        rise = 3.2 * np.clip(side * torso.x / torso.outer, 0, 1) ** 5
        fluid = soft_step(torso.y - level + rise, 0.35) * (side * torso.x > 0)
        lesions.filled = np.maximum(lesions.filled, 0.85 * fluid)


def _tuberculosis(rng: np.random.Generator, torso: Chest, side: int, lesions: _Lesions, scarred: bool) -> None:
    """Patchy shadows, cavities, nodules and strands of the upper zones; rarely miliary seeds everywhere."""
    if not scarred and rng.random() < 0.14:
        _miliary(rng, torso, lesions)
        return
    severity = rng.uniform(0.25, 0.62)
    both = rng.random() < 0.35
    cloud = np.zeros(torso.frame.shape, np.float32)
    centres = []
    for _ in range(int(rng.integers(3, 7))):
        here = side if not both or rng.random() < 0.65 else -side
        at = torso.place(here, rng.uniform(0.1, 0.8), rng.uniform(0.07, 0.4))
        centres.append(at)
        cloud = np.maximum(cloud, _blob(torso, at, rng.uniform(0.8, 1.9), rng.uniform(0.7, 1.6), rng.uniform(-1, 1)))
    lesions.filled += severity * _ragged(rng, torso, cloud, 0.24, 0.45)
    if rng.random() < 0.6:
        at = torso.place(side, rng.uniform(0.2, 0.7), rng.uniform(0.14, 0.36))
        _cavity(rng, torso, at, severity, lesions)
    _nodules(rng, torso, centres, lesions)
    if scarred or rng.random() < 0.3:
        _strands(rng, torso, side, lesions)


def _cavity(
    rng: np.random.Generator, torso: Chest, at: tuple[float, float], severity: float, lesions: _Lesions
) -> None:
    """A thick, uneven wall around air."""
    radius, wall = rng.uniform(0.9, 1.8), rng.uniform(0.25, 0.5)
    x, y = torso.x - np.float32(at[0]), (torso.y - np.float32(at[1])) * np.float32(rng.uniform(0.9, 1.2))
    distance = np.sqrt(x * x + y * y) + 0.2 * noise(rng, torso.frame.shape, 14)
    inside = soft_step(radius - distance, 0.18)
    uneven = 1 + 0.3 * noise(rng, torso.frame.shape, 20)
    ring = np.exp(-(((distance - radius - wall / 2) / wall) ** 2)) * uneven
    lesions.filled *= 1 - 0.9 * inside
    lesions.added += (1.8 + 2.6 * severity) * ring
    lesions.hollow += 0.8 * inside


def _nodules(rng: np.random.Generator, torso: Chest, centres: list[tuple[float, float]], lesions: _Lesions) -> None:
    """Satellites around the main shadows, a few of them calcified."""
    count = int(rng.integers(8, 26))
    around = np.array(centres)[rng.integers(0, len(centres), count)]
    points = around + rng.normal(0, 1.5, (count, 2))
    radius = rng.uniform(0.14, 0.34, count)
    weight = np.where(rng.random(count) < 0.15, 2.6, 1.1)
    lesions.added += blur(torso.frame.stamp(points, weight * 4.2 * radius**3), 0.16 / torso.frame.pixel)


def _strands(rng: np.random.Generator, torso: Chest, side: int, lesions: _Lesions) -> None:
    """Scar lines drawn from the hilum towards the apex."""
    points = []
    for _ in range(int(rng.integers(5, 10))):
        start = np.array(torso.place(side, rng.uniform(0.0, 0.2), rng.uniform(0.3, 0.42)))
        end = np.array(torso.place(side, rng.uniform(0.05, 0.85), rng.uniform(0.06, 0.28)))
        along = np.linspace(0, 1, 90)[:, None]
        bow = rng.normal(0, 0.3, 2) * np.sin(np.pi * along)
        points.append(start + (end - start) * along + bow)
    line = np.concatenate(points)
    lesions.added += torso.frame.tubes(line, rng.uniform(0.08, 0.17, len(points)).repeat(90), 0.09) * 1.7


def _miliary(rng: np.random.Generator, torso: Chest, lesions: _Lesions) -> None:
    """Seeds of 2 to 3 mm, evenly over both lungs."""
    count = int(rng.integers(900, 1800))
    wide, tall = torso.anatomy.lung_width, torso.anatomy.lung_height
    points = rng.uniform((-wide, 0.0), (wide, tall + 3), (count, 2))
    mass = rng.uniform(0.5, 1.5, count) * rng.uniform(0.035, 0.075)
    lesions.added += blur(torso.frame.stamp(points, mass), 0.085 / torso.frame.pixel)


def _incidental(rng: np.random.Generator, torso: Chest, lesions: _Lesions) -> None:
    """What any chest may show: an old granuloma, a plate of collapsed lung at the base."""
    side = RIGHT if rng.random() < 0.5 else LEFT
    if rng.random() < 0.25:
        spot = np.array([torso.place(side, rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9))])
        lesions.added += blur(torso.frame.stamp(spot, np.array([0.35])), 0.13 / torso.frame.pixel)
    if rng.random() < 0.2:
        at = torso.place(side, rng.uniform(0.3, 0.6), rng.uniform(0.8, 0.95))
        lesions.filled += 0.3 * _blob(torso, at, rng.uniform(1.5, 3.0), 0.22, rng.uniform(-0.35, 0.35))
