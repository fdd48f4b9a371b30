"""Composed scenes: boxes are what is there, nothing over another; the precision measure."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from shiftwork.model.zoo.detect import Detection, mean_average_precision
from shiftwork.model.zoo.nanodet import LABELS
from shiftwork.model.zoo.scenes import STEMS, compose, cutouts, scene

RED, BLUE = (255, 0, 0, 255), (0, 0, 255, 255)


def test_a_box_is_where_its_object_is() -> None:
    objects = [
        ("red", Image.new("RGBA", (40, 20), RED)),
        ("blue", Image.new("RGBA", (9, 30), BLUE)),
    ]
    ground = [Image.new("RGB", (100, 100), "gray")]
    counts = set()
    for seed in range(20):
        found = compose(seed, objects, ground)
        pixels = np.asarray(found.picture)
        counts.add(len(found.objects))
        for label, colour in (("red", RED[:3]), ("blue", BLUE[:3])):
            want = np.zeros((100, 100), bool)
            for name, box in found.objects:
                left, top, right, bottom = (round(100 * edge) for edge in box)
                want[top:bottom, left:right] |= name == label
            assert np.array_equal((pixels == colour).all(2), want)
        again = compose(seed, objects, ground)
        assert again.objects == found.objects and again.picture == found.picture
    assert counts == {1, 2, 3}


def test_cut_outs_are_of_classes_that_the_detector_knows() -> None:
    assert set(STEMS) <= set(LABELS)
    every = cutouts()
    assert len(every) == sum(len(stems.split()) for stems in STEMS.values())
    for _, image in every:
        alpha = np.asarray(image.getchannel("A"))
        assert all(edge.max() > 16 for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))
    laid = scene(0)
    assert laid.picture.size == (416, 416) and laid.picture.mode == "RGB" and laid.objects


def test_precision_of_worked_examples() -> None:
    box, near, far = (0.0, 0.0, 0.5, 0.5), (0.0, 0.0, 0.5, 0.45), (0.5, 0.5, 1.0, 1.0)
    wanted = [[("cat", box), ("dog", far)], [("cat", far)]]
    right = [Detection("cat", 0.9, near), Detection("dog", 0.2, far)], [Detection("cat", 0.5, far)]
    assert mean_average_precision(right, wanted) == 1.0
    assert mean_average_precision(right, wanted, overlap=0.95) == pytest.approx((1 + 51 / 202) / 2)
    # a second box on a found object is wrong: precision 1 up to recall 1/2, then 2/3
    twice = [[Detection("cat", 0.8, box), Detection("cat", 0.7, near)], [right[1][0]]]
    cat = (51 + 50 * 2 / 3) / 101
    assert mean_average_precision(twice, wanted) == pytest.approx(cat / 2)
    assert mean_average_precision([[], []], wanted) == 0.0
    with pytest.raises(ValueError, match="needs at least one object"):
        mean_average_precision([[]], [[]])
