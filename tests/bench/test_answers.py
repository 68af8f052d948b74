"""Every item's right answer, and what is not one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from medplug import CallError
from medplug.bench import ours
from medplug.bench.checking import Checker
from medplug.bench.items import ITEMS, build
from medplug.bench.peers import PEERS, choose
from medplug.bench.reference import expected, places


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ITEMS)
def test_medplugs_answer_to_every_item_is_exact(name: str, threads: int) -> None:
    work = build(name, 8)

    verdict = Checker(work, 4000).judge(ours.contestant(work, threads).run())

    assert (verdict.answer, verdict.problem) == ("exact", None)


@pytest.mark.filterwarnings("default")  # what other libraries warn of is theirs
@pytest.mark.parametrize("peer", [peer for peer in PEERS if peer.installed], ids=lambda peer: peer.name)
@pytest.mark.parametrize("name", ["ct", "ct-turned", "tiles", "mask"])
def test_a_peers_answer_is_right_where_all_mean_the_same_filter(name: str, peer) -> None:
    work = build(name, 8)
    checker = Checker(work, 4000)

    # Resizing to a number of voxels is no exact spacing, which shows in a volume as small as this; SimpleITK's edge
    # is the nearest pixel's.
    inexact = ("interpolate", "resize twice")
    answers = [
        checker.judge(np.asarray(one.run())).answer for one in peer.contestants(work, 1) if one.how not in inexact
    ]

    wanted = "close" if (name, peer.name) == ("tiles", "simpleitk") else "exact"
    assert all(answer == wanted for answer in answers), answers


def test_the_reference_is_pytorchs_antialiased_resize() -> None:
    work = build("radiograph-224", 8)
    shown = np.clip((work.stored[0] - 50.0 - 900) / 2000, 0, 1)
    other = F.interpolate(torch.from_numpy(1 - shown)[None, None], work.shape, mode="bilinear", antialias=True)

    chosen = places(work)

    wanted = (other[0, 0].numpy()[chosen[:, 1], chosen[:, 2]] - 0.5) / 0.25
    np.testing.assert_allclose(expected(work, chosen), wanted, atol=1e-9)


def test_places_hold_every_pixel_of_a_small_answer_and_all_corners_of_a_large_one() -> None:
    work = build("radiograph-512", 8)

    assert len(np.unique(places(work), axis=0)) == 64 * 64
    assert {tuple(place) for place in places(work, 10)} >= {(0, 0, 0), (0, 0, 63), (0, 63, 0), (0, 63, 63)}


WRONG = {
    "window after the resize": lambda work, right: _windowed_late(work),
    "no inversion": lambda work, right: -right,
    "half a pixel off": lambda work, right: np.roll(right, 1, axis=-1) / 2 + right / 2,
    "one row missing": lambda work, right: np.concatenate([right[:, :-1], right[:, -2:-1] * 0 + 9], axis=1),
    "not finite": lambda work, right: np.where(right == right.max(), np.nan, right),
    "another size": lambda work, right: right[:, 1:],
    "another type": lambda work, right: right.astype(np.float64),
}


def _windowed_late(work):
    tone = work.tone
    values = torch.from_numpy(work.stored[0].astype(np.float32))[None, None]
    late = F.interpolate(values, work.shape, mode="bilinear", antialias=True).clamp(*tone.limits)
    return (late * tone.line[0] + tone.line[1])[0].numpy()


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_answer_is_found(fault: str) -> None:
    work = build("radiograph-512", 8)
    right = ours.contestant(work, 1).run().copy()

    verdict = Checker(work).judge(WRONG[fault](work, right))

    assert verdict.answer == "wrong", verdict
    if fault in ("not finite", "another size", "another type"):
        assert verdict.problem is not None


def test_a_mask_with_a_few_other_pixels_is_close_and_with_many_is_wrong() -> None:
    work = build("mask", 8)
    checker = Checker(work)
    few, many = (ours.contestant(work, 1).run().copy() for _ in range(2))
    few.flat[:3] += 1
    many.flat[:300] += 1

    assert [checker.judge(few).answer, checker.judge(many).answer] == ["close", "wrong"]


def test_a_geometry_that_medplug_misread_would_be_found() -> None:
    work = build("radiograph-turned", 8)
    mirrored = replace(work, to_stored=work.to_stored * np.array([[1, -1, 1], [-1, 1, 1]]))

    assert Checker(mirrored).judge(ours.contestant(work, 1).run()).answer == "wrong"


def test_an_unknown_name_is_named() -> None:
    with pytest.raises(CallError, match=r"no work item named 'xray'; there are radiograph-512, "):
        build("xray")
    with pytest.raises(CallError, match=r"no peer named 'itk'; there are opencv, "):
        choose(["itk"])


def test_a_peer_that_is_not_installed_says_how_it_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medplug.bench.peers.find_spec", lambda name: None if name == "SimpleITK" else object())

    with pytest.raises(CallError, match="simpleitk is not installed: pip install SimpleITK"):
        choose(["torch", "simpleitk"])
    assert "simpleitk" not in [peer.name for peer in choose()]
