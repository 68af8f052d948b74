"""Trivial baselines, beside slow and obvious twins."""

import numpy as np
import pytest
from learners import pixels
from scipy.spatial.distance import mahalanobis

from medplug.bench.models import baselines
from medplug.evaluation.probes import PROBES, probe_scores


def test_the_distance_within_all_components_is_mahalanobis_own():
    generator = np.random.default_rng(0)
    learned = (generator.normal(size=(300, 5)) @ generator.normal(size=(5, 5))).reshape(300, 1, 1, 5)
    asked = generator.normal(size=(20, 1, 1, 5))

    found = baselines.mahalanobis(learned.astype(np.float32), asked.astype(np.float32))

    flat = learned.reshape(300, 5)
    inverse = np.linalg.inv(np.cov(flat.T))
    wanted = [mahalanobis(one, flat.mean(axis=0), inverse) for one in asked.reshape(20, 5)]
    assert found == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("kind", PROBES)
def test_a_probe_sees_what_it_is_named_for_and_nothing_else(kind):
    images, labels = pixels(200)
    images = images[:, None].astype(np.float32) / 255
    middle = images.copy()
    middle[:, :, :2], middle[:, :, -2:], middle[..., :2], middle[..., -2:] = 0, 0, 0, 0

    sides = probe_scores(kind, images[:100], labels[:100].astype(np.int64), images[100:])
    inner = probe_scores(kind, middle[:100], labels[:100].astype(np.int64), middle[100:])

    def right(told):
        return (told.argmax(axis=1) == labels[100:]).mean()

    assert sides.sum(axis=1) == pytest.approx(1)
    assert right(sides) == 1 if kind != "grey statistics" else right(sides) < 0.7
    assert right(inner) == 1 if kind == "pixels" else right(inner) < 0.7
