"""The normal chest of a synthetic patient: centimetres of tissue along each ray of a frontal radiograph."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from medplug.demo.canvas import Frame, Map, chord, noise, shell, soft_step

RIGHT, LEFT = -1, 1  # the patient's right lies on the image's left
APEX = 4.6  # cm from the midline to the top of either lung


@dataclass(frozen=True)
class Anatomy:
    """What two radiographs of one synthetic patient share; lengths in cm, downwards from the lung apices."""

    seed: int
    sex: str
    age: int
    lung_width: float
    lung_height: float
    dome_difference: float
    heart: float
    knob: float
    rib_spacing: float
    rib_phase: float
    rib_drop: float
    clavicle: float
    depth: float
    breast: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Anatomy:
        """Draw a plausible adult."""
        sex = "F" if rng.random() < 0.5 else "M"
        small = 0.94 if sex == "F" else 1.0
        return cls(
            seed=int(rng.integers(2**31)),
            sex=sex,
            age=int(rng.integers(19, 86)),
            lung_width=small * rng.uniform(12.6, 14.3),
            lung_height=small * rng.uniform(20.0, 23.5),
            dome_difference=rng.uniform(0.7, 1.9),
            heart=rng.uniform(0.9, 1.12),
            knob=rng.uniform(0.75, 1.25),
            rib_spacing=small * rng.uniform(2.3, 2.65),
            rib_phase=rng.uniform(-0.7, 0.7),
            rib_drop=rng.uniform(0.88, 1.2),
            clavicle=rng.uniform(-0.8, 1.0),
            depth=rng.uniform(0.88, 1.15),
            breast=rng.uniform(0.5, 1.3) if sex == "F" else 0.0,
        )


@dataclass(frozen=True)
class Chest:
    """The normal chest before a detector: each map is centimetres along the ray, on the frame's grid."""

    frame: Frame
    anatomy: Anatomy
    x: Map
    y: Map
    outer: Map  # cm from the midline to the lateral wall of the lung, for each pixel's height
    lung: Map
    body: Map
    bone: Map
    airway: Map
    height: float
    pull: float

    @cached_property
    def vessels(self) -> Map:
        """Arteries and veins of the lungs."""
        return _tree(self, np.random.default_rng([self.anatomy.seed, 1]), thickness=0.42, generations=5)

    @cached_property
    def bronchi(self) -> Map:
        """Air in the branching airways beyond the hila."""
        return _tree(self, np.random.default_rng([self.anatomy.seed, 2]), thickness=0.26, generations=3)

    def place(self, side: int, across: float, down: float) -> tuple[float, float]:
        """The point (x, y in cm) of one lung: fractions from mediastinum to wall and from apex to dome."""
        y = down * self.anatomy.lung_height
        wall = float(lateral_wall(self.anatomy, np.float32(y)))
        return side * (3.2 + across * (wall - 3.6)), y


def lateral_wall(anatomy: Anatomy, y: Map | np.float32) -> Map:
    """Distance of the lung's lateral edge from the midline, in cm, at heights in cm."""
    t = np.clip(y / (anatomy.lung_height + 3.5), 0, 1)
    rest = 1 - t
    flare = 1 - rest * rest * rest
    return np.asarray(APEX + (anatomy.lung_width - APEX) * flare ** np.float32(0.6), np.float32)


def chest(anatomy: Anatomy, frame: Frame, inspiration: float = 1.0, pull: float = 0.0) -> Chest:
    """Stand the patient before the detector.

    `inspiration` scales the depth of the breath; `pull` (cm, towards the patient's left if positive) drags
    the trachea sideways and lifts the hilum of that side, as scarring of an upper lobe does.
    """
    x, y = frame.grid
    rng = np.random.default_rng(anatomy.seed)
    x = x + np.float32(0.22) * noise(rng, frame.shape, 4)
    y = y + np.float32(0.22) * noise(rng, frame.shape, 4)
    away, left = np.abs(x), x > 0
    height = np.float32(anatomy.lung_height * inspiration)
    outer = lateral_wall(anatomy, y)

    lung = _lungs(anatomy, y, away, left, outer, height)
    middle = frame.box(-9, 11, -5, anatomy.lung_height + 8)
    lung[middle] -= np.minimum(lung[middle], _mediastinum(anatomy, x[middle], y[middle], left[middle], pull))
    airway = _airway(frame, x, y, pull)
    body = _body(anatomy, frame, x, y, away, float(height))
    bone = _ribs(anatomy, frame, x, y, away) + _shoulders(anatomy, frame, x, y, away)
    middle = frame.box(-3.5, 3.5, -20, 60)
    bone[middle] += _spine(x[middle], y[middle], away[middle], rng)
    bone *= np.clip(body / 3, 0, 1)
    return Chest(frame, anatomy, x, y, outer, lung, body, bone, airway, float(height), pull)


def _lungs(anatomy: Anatomy, y: Map, away: Map, left: NDArray[np.bool_], outer: Map, height: np.float32) -> Map:
    """Air-bearing depth of the rib cage: a cage that narrows towards the apex, over two domes."""
    inner = APEX - 2.4 * np.sqrt(np.clip(y / 3.2, 0, 1))
    across = np.clip(away / outer, 0, 1)
    across *= across
    depth = 17.5 * anatomy.depth * (0.42 + 0.58 * np.sqrt(np.clip(y / 8, 0, 1))) * np.sqrt(1 - across * across)
    depth = depth * soft_step(away - inner, 0.25) * soft_step(y, 0.2) * soft_step(outer - away, 0.12)
    beside = away - 5.8
    dome = height + np.where(left, np.float32(anatomy.dome_difference), np.float32(0))
    wall = anatomy.lung_width - 5.8
    rise = np.clip(beside / wall, 0, None)
    dome += 3.4 * rise * rise * rise + 1.6 * np.clip(-beside / 5.8, 0, 1) ** 2
    below = y - dome
    recess = 0.2 * np.exp(-np.clip(below, 0, None) / 1.6)  # the sulcus behind the dome still holds a little lung
    above = soft_step(-below, 0.16)
    return np.asarray(depth * (above + (1 - above) * recess), np.float32)


def _ball(x: Map, y: Map, cx: float, cy: float, rx: float, ry: float, turn: float, depth: float) -> Map:
    """The path through an ellipsoid whose outline is turned by an angle in radians."""
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    u, v = ((x - cx) * c + (y - cy) * s) / np.float32(rx), ((y - cy) * c - (x - cx) * s) / np.float32(ry)
    return np.float32(depth) * np.sqrt(np.maximum(1 - u * u - v * v, 0))


def _mediastinum(anatomy: Anatomy, x: Map, y: Map, left: NDArray[np.bool_], pull: float) -> Map:
    """Soft tissue between the lungs: great vessels, aortic knob, pulmonary trunk, atria, left ventricle."""
    h, base = anatomy.heart, anatomy.lung_height
    lean = np.float32(pull) * np.exp(-(((y - 4) / 6) ** 2))
    width = np.where(left, np.float32(2.7), np.float32(3.1)) + 0.5 * np.clip((3 - y) / 4, 0, 1)
    width = width - np.float32(0.6) * np.exp(-(((y - 13) / 4) ** 2))
    parts = [
        np.float32(15.5) * np.sqrt(np.maximum(1 - ((x - lean) / width) ** 2, 0)),
        _ball(x, y, 0.9, 6.2, 2.5 * anatomy.knob, 2.3 * anatomy.knob, 0.4, 11),
        _ball(x, y, 1.2, 10.4, 2.5, 3.4, -0.2, 11),
        _ball(x, y, 1.9 * h, base - 6.0, 4.2 * h, 5.6, -0.25, 9),
        _ball(x, y, 2.0 * h, base - 2.3, 7.7 * h, 5.0 * h, 0.5, 12.0),
        _ball(x, y, -0.9, base - 3.4, 3.9 * h, 5.6 * h, 0.05, 11.5),
        _ball(x, y, 1.2, base * 0.75, 1.6, base * 0.6, 0.02, 8),
    ]
    total = np.zeros_like(x)
    for part in parts:  # a smooth maximum: the contours run into one another
        square = part * part
        total += square * square
    return np.asarray(np.sqrt(np.sqrt(total)), np.float32)


def _tube(x: Map, y: Map, start: tuple[float, float], end: tuple[float, float]) -> Map:
    """Distance in cm of each pixel from a line segment."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = np.clip(((x - start[0]) * dx + (y - start[1]) * dy) / np.float32(dx * dx + dy * dy), 0, 1)
    return np.hypot(x - (start[0] + along * np.float32(dx)), y - (start[1] + along * np.float32(dy)))


def _airway(frame: Frame, x: Map, y: Map, pull: float) -> Map:
    """Air in the trachea, down to the carina, and in both main bronchi."""
    total = np.zeros(frame.shape, np.float32)
    rows, columns = frame.box(-5, 6, -9, 11)
    x, y = x[rows, columns], y[rows, columns]
    carina = (0.1 + 0.35 * pull, 7.4)
    pieces = [
        ((0.0, -9.0), (-0.15 + 0.8 * pull, 2.0), 0.85),
        ((-0.15 + 0.8 * pull, 2.0), carina, 0.85),
        (carina, (-2.9, 10.0), 0.68),
        (carina, (3.5, 10.1), 0.6),
    ]
    total[rows, columns] = np.maximum.reduce([chord(_tube(x, y, a, b), r) for a, b, r in pieces])
    return total


def _body(anatomy: Anatomy, frame: Frame, x: Map, y: Map, away: Map, height: float) -> Map:
    """Skin to skin: neck, shoulders, torso, arms and breasts, less the gas in the stomach."""
    heights = [-12, -5.0, -3.4, -2.2, -1.0, 0.6, 2.5, 5, 9, 13, 18, 24, 40]
    widths = [5.6, 5.4, 6.0, 8.0, 11.5, 15.0, 18.0, 19.5, 19.6, 18.0, 17.2, 16.9, 17.4]
    depths = [11, 11, 11, 12, 12.5, 13, 14.5, 18, 21, 22, 22.5, 23, 24]
    fine = np.linspace(-12, 40, 521)
    at = np.clip((y + 12) * 10, 0, 520).astype(np.intp)
    scale = anatomy.lung_width / 13.4
    width = _smooth(np.interp(fine, heights, widths) * scale)[at]
    depth = _smooth(np.interp(fine, heights, depths) * anatomy.depth)[at]
    across = np.clip(away / width, 0, 1)
    total = depth * np.sqrt(1 - across * across * across)
    arm = frame.box(-30, -13.5, -1, 27), frame.box(13.5, 30, -1, 27)
    for box in arm:
        total[box] = np.maximum(total[box], 0.8 * chord(_tube(away[box], y[box], (17.6, 4.0), (21.5, 22.0)), 3.4))
    if anatomy.breast:
        lobe = _ball(away, y, 8.0, 15.6, 6.2, 6.0, 0.0, 1.0)
        total += np.float32(3.0 * anatomy.breast) * lobe
    rng = np.random.default_rng([anatomy.seed, 4])
    under = height + anatomy.dome_difference
    belly = frame.box(0, 12, under, under + 8)
    gas = np.zeros_like(x[belly])
    for _ in range(int(rng.integers(1, 4))):
        wide, tall = rng.uniform(0.8, 2.8), rng.uniform(0.6, 1.5)
        cx, cy = rng.uniform(4.5, 7.5), under + tall + rng.uniform(0.7, 1.8)
        bubble = _ball(x[belly], y[belly], cx, cy, wide, tall, rng.uniform(-0.5, 0.3), 5.5)
        gas = np.maximum(gas, bubble)
    total[belly] -= gas
    return np.asarray(np.maximum(total, 0), np.float32)


def _smooth(line: NDArray[np.float64]) -> Map:
    """A table sampled every millimetre, rounded over about 2 cm."""
    kernel = np.hanning(23)
    padded = np.pad(line, 11, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid").astype(np.float32)


def _spine(x: Map, y: Map, away: Map, rng: np.random.Generator) -> Map:
    """Vertebral bodies with discs between them, pedicles and spinous processes."""
    pitch = 2.25
    phase = (y / pitch + rng.random()) % 1
    body = soft_step(np.abs(phase - 0.5) * -pitch + 0.95, 0.18)
    column = soft_step(1.75 - away, 0.25) * (0.3 + 0.6 * body)
    rim = np.exp(-(((np.abs(phase - 0.5) - 0.4) / 0.045) ** 2)) * soft_step(1.7 - away, 0.15) * 0.35
    pedicle = chord(np.hypot(away - 1.15, (phase - 0.35) * pitch), 0.36)
    process = chord(np.hypot(x * 1.5, (phase - 0.75) * pitch * 0.8), 0.34)
    transverse = soft_step(2.9 - away, 0.3) * soft_step(0.32 - np.abs(phase - 0.3) * pitch, 0.2) * 0.7
    return np.asarray(column + rim + 0.8 * pedicle + 1.1 * process + transverse, np.float32)


def _ribs(anatomy: Anatomy, frame: Frame, x: Map, y: Map, away: Map) -> Map:
    """Eleven pairs of hoops that hang forward, seen as ellipses; cartilage does not show."""
    rng = np.random.default_rng([anatomy.seed, 3])
    total = np.zeros(frame.shape, np.float32)
    for number in range(11):
        drop = anatomy.rib_drop * min(4.9, 1.7 + 0.66 * number) + rng.normal(0, 0.1)
        top = -1.5 + 0.6 * anatomy.rib_phase + anatomy.rib_spacing * number + rng.normal(0, 0.1)
        middle = top + drop
        reach = float(lateral_wall(anatomy, np.float32(max(middle, 0.6)))) + 0.25
        rows, columns = frame.box(-reach - 1, reach + 1, top - 1, middle + drop + 1)
        u, v = x[rows, columns] / np.float32(reach), (y[rows, columns] - middle) / np.float32(drop)
        square = u * u + v * v
        near = 0.85 / drop  # only a band along the ellipse is worth the arithmetic
        at = np.flatnonzero(np.abs(square - (1 + near * near)) < 2 * near)
        u, v, radius = u.ravel()[at], v.ravel()[at], np.sqrt(square.ravel()[at])
        u, steep = u / np.float32(reach), v / np.float32(drop)
        distance = np.abs(radius - 1) * radius / np.sqrt(u * u + steep * steep + np.float32(1e-6))
        front = soft_step(v - 0.05, 0.25)
        beside = away[rows, columns].ravel()[at]
        half = np.float32(0.5 + 0.02 * min(number, 6)) + 0.12 * front
        cartilage = soft_step(beside - np.float32(3.6 + 0.55 * number), 1.6)
        strength = (1 - front) * soft_step(beside - 1.2, 0.8) + front * 0.8 * cartilage
        hoop = np.zeros(square.shape, np.float32)
        hoop.ravel()[at] = shell(distance, half, 0.8) * strength
        total[rows, columns] += hoop
    return total


def _shoulders(anatomy: Anatomy, frame: Frame, x: Map, y: Map, away: Map) -> Map:
    """Clavicles, shoulder blades turned out of the lungs, heads and shafts of the humeri."""
    total = np.zeros(frame.shape, np.float32)
    rows, columns = frame.box(-30, 30, -5, 9)
    a, v, side = away[rows, columns], y[rows, columns], np.sign(x[rows, columns])
    s = np.clip((a - 1.6) / 14.0, 0, 1)
    line = 2.3 + anatomy.clavicle - 3.4 * s + 0.55 * np.sin(2 * np.pi * s) + 0.25 * side
    half = 0.62 + 0.3 * np.exp(-(((a - 1.6) / 1.5) ** 2))
    ends = soft_step(a - 1.5, 0.3) * soft_step(15.4 - a, 0.4)
    total[rows, columns] += 1.15 * shell(np.abs(v - line) * 0.95, half, 0.78) * ends
    head = np.hypot(a - 17.6, v - 3.2)
    total[rows, columns] += 0.55 * shell(head, 2.4, 0.93)
    for box in (frame.box(-30, -10, -2, 18), frame.box(10, 30, -2, 18)):
        a, v = away[box], y[box]
        medial = 11.9 + 0.11 * (v - 3) + 0.5 * np.sin((v - 2) * 0.35)
        lateral = 16.4 - 0.33 * (v - 4)
        plate = soft_step(a - medial, 0.25) * soft_step(lateral - a, 0.3) * soft_step(v - 1.2, 0.8)
        rim = np.exp(-(((a - medial) / 0.2) ** 2)) + 1.4 * np.exp(-(((a - lateral) / 0.28) ** 2))
        rim *= soft_step(lateral - medial + 0.3, 0.4) * soft_step(v - 1.4, 0.6)
        ridge = shell(_tube(a, v, (12.0, 4.2), (16.4, 0.8)), 0.55, 0.75)
        shaft = shell(_tube(a, v, (18.0, 5.0), (20.6, 18.0)), 1.2, 0.7)
        total[box] += 0.45 * plate + 0.5 * rim + 0.5 * ridge + shaft
    return total


def _tree(torso: Chest, rng: np.random.Generator, thickness: float, generations: int) -> Map:
    """Branching tubes that leave both hila, part at each step, thin out and stop near the pleura."""
    paths, radii, gaps = [], [], []
    steps = 13
    along = np.arange(steps)[:, None]
    for side, count in ((RIGHT, 11), (LEFT, 10)):
        lift = 2.0 * max(0.0, side * torso.pull)
        root = np.array([side * (2.9 if side == RIGHT else 3.2), (9.6 if side == RIGHT else 8.9) - lift])
        angle = np.linspace(-1.25, 1.5, count) + rng.normal(0, 0.12, count)
        at = root + rng.normal(0, 1, (count, 2)) * (0.15, 0.55)
        radius = thickness * rng.uniform(0.65, 1.15, count)
        radius[angle > 0.9] *= 1.35  # the arteries of the lower lobes are the largest
        for generation in range(generations):
            gap = rng.uniform(0.75, 1.25, len(at)) * (0.246 - 0.018 * generation) * torso.height / 21
            heading = angle + np.cumsum(rng.normal(0, 0.055, (steps, len(at))), 0)
            heading += rng.normal(0, 0.012, len(at)) * along
            stride = np.stack([side * np.cos(heading), np.sin(heading)], -1) * gap[:, None]
            path = at + np.cumsum(stride, 0)
            thin = radius * np.linspace(1, 0.82, steps)[:, None]
            paths.append(path.reshape(-1, 2))
            radii.append(thin.ravel())
            gaps.append(np.broadcast_to(gap, thin.shape).ravel())
            fork = rng.uniform(0.2, 0.5, len(at))
            at = np.concatenate([path[-1], path[-1]])
            angle = np.concatenate([heading[-1] + fork, heading[-1] - fork * 0.8])
            radius = np.concatenate([thin[-1] * 0.8, thin[-1] * 0.7])
    return torso.frame.tubes(np.concatenate(paths), np.concatenate(radii), np.concatenate(gaps))
