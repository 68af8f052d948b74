"""Make a small labelled data set: grey noise, with a soft bright spot or without."""

from pathlib import Path

import numpy as np
from PIL import Image

random = np.random.default_rng(0)
rows, columns = np.mgrid[:64, :64]

for label in ("plain", "spot"):
    folder = Path("data") / label
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(80):
        image = random.normal(90, 20, (64, 64))
        if label == "spot":
            row, column = random.integers(12, 52, 2)
            distance = (rows - row) ** 2 + (columns - column) ** 2
            image += random.uniform(40, 120) * np.exp(-distance / 18)
        picture = Image.fromarray(image.clip(0, 255).astype(np.uint8))
        picture.save(folder / f"{number:03}.png")
