"""Aspect-ratio buckets. The expected sizes are those of kohya's sd-scripts (commit 48d368fa)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_toolkit.training.buckets import STEP, bucket_of, bucket_sizes, sort_into_buckets


@pytest.mark.parametrize(
    ("size", "resolution", "enlarging", "keeping"),
    [
        ((512, 512), 512, (512, 512), (512, 512)),
        ((600, 800), 512, (448, 576), (384, 512)),
        ((1920, 1080), 512, (640, 384), (640, 384)),
        ((1920, 1080), 1024, (1344, 768), (1344, 768)),
        ((300, 200), 512, (640, 384), (256, 192)),
        ((640, 360), 1024, (1344, 768), (640, 320)),
        ((4000, 500), 1024, (2048, 256), (2560, 320)),
        ((1000, 1500), 1024, (832, 1216), (832, 1216)),
        ((576, 448), 512, (576, 448), (576, 448)),
        ((20, 900), 512, (256, 1024), (0, 896)),
    ],
)
def test_an_image_goes_where_trainers_put_it(size, resolution, enlarging, keeping):
    """Large images go to the nearest aspect ratio; small ones as the trainer is set."""
    assert bucket_of(size, resolution) == enlarging
    assert bucket_of(size, resolution, enlarges=False) == keeping


@given(st.integers(64, 5000), st.integers(64, 5000), st.sampled_from([512, 768, 1024]))
def test_any_image_has_a_bucket(width, height, resolution):
    """Its sides are in steps; it has no more pixels than the square, nor more than the image."""
    for enlarges in (True, False):
        wide, high = bucket_of((width, height), resolution, enlarges=enlarges)
        assert wide % STEP == high % STEP == 0
        assert wide * high <= resolution**2 or not enlarges
        assert enlarges or width * height > resolution**2 or (wide <= width and high <= height)


def test_buckets_are_counted():
    """By images; those that would be enlarged, and those that no bucket takes, are told."""
    sizes = {(512, 512): 5, (1024, 1024): 2, (300, 300): 3, (1024, 400): 1, (30, 900): 4}
    buckets = sort_into_buckets(sizes, 512)
    assert buckets.images == {(256, 1024): 4, (512, 512): 10, (768, 320): 1}
    assert (buckets.enlarged, buckets.unusable) == (3 + 4, 0)
    assert buckets.short(4) == {(768, 320): 1}
    kept = sort_into_buckets(sizes, 512, enlarges=False)
    assert kept.images == {(512, 512): 7, (256, 256): 3, (768, 320): 1}
    assert (kept.enlarged, kept.unusable) == (0, 4)


def test_buckets_of_sd15():
    """From 1:4 to 4:1, and each way round."""
    sizes = bucket_sizes(512)
    assert (256, 1024) in sizes
    assert (1024, 256) in sizes
    assert {(high, wide) for wide, high in sizes} == set(sizes)
