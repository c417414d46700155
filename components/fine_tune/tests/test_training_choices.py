"""What is seen of which image when: orders, shapes, captions, noise, and what the curves say."""

from collections import Counter

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from PIL import Image
from torch.nn.functional import mse_loss

from fondant_spec.worker.component_code import load_module
from image_toolkit.training import buckets
from tests.made_trainings import FINE_TUNE, picture, told_of, training_rows, tuned
from tests.tiny_diffusion import make_stable_diffusion


def part(name):
    """Return a module of the component."""
    return load_module(FINE_TUNE, name)


def framing_of(resolution, **settings):
    """Return what images become."""
    return part("framing").Framing(resolution, part("tuning_settings").ImageSettings(**settings))


def samples(windows, **options):
    """Return a sample for each size of window."""
    framing, sets = part("framing"), part("training_set")
    frames = [framing.Frame(size, size, size) for size in windows]
    views = (framing.View(0, 0),)
    return [
        sets.Sample(str(n), frame, views, (f"caption {n}",), **options)
        for n, frame in enumerate(frames)
    ]


@pytest.mark.parametrize("size", [(100, 60), (60, 100), (41, 77), (32, 32), (20, 30)])
def test_squares_are_those_of_diffusers_script(size):
    """The shorter side is scaled as torchvision does, and the square is cut from the middle."""
    framing = framing_of(32, center_crop=True)
    frame = framing.frame(size)
    width, height = size
    long = int(32 * max(size) / min(size))
    assert frame.scaled == ((32, long) if width <= height else (long, 32))
    assert frame.enlarged == (min(size) < 32)
    (view,) = framing.kept_views(frame, np.random.default_rng(0))
    assert (view.left, view.top) == tuple(round((side - 32) / 2) for side in frame.scaled)
    image = Image.fromarray(np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8))
    wanted = image.resize(frame.scaled, Image.Resampling.LANCZOS)
    box = (view.left, view.top, view.left + 32, view.top + 32)
    pixels = part("framing").scaled(image, frame)
    assert np.array_equal(view.of(pixels, frame.window), np.asarray(wanted.crop(box)))
    mirrored = view._replace(mirrored=True).of(pixels[:, ::-1], frame.window)
    assert np.array_equal(mirrored, np.asarray(wanted.crop(box)))


def test_random_crops_are_anywhere():
    """Each time anew; or a few that are drawn once and kept, and their mirror images."""
    frame = part("framing").Frame((60, 32), (60, 32), (32, 32))
    draw = np.random.default_rng(0)
    anew = framing_of(32, random_flip=True)
    seen = Counter(anew.drawn_view(frame, draw) for _ in range(2000))
    assert anew.crops_anew
    assert {view.left for view in seen} == {*range(29)}
    assert sum(count for view, count in seen.items() if view.mirrored) == pytest.approx(
        1000, abs=99
    )
    kept = framing_of(32, random_flip=True, cached_crops=3)
    views = kept.kept_views(frame, draw)
    assert not kept.crops_anew
    assert [view.mirrored for view in views] == [False] * 3 + [True] * 3
    assert len({view.left for view in views}) == 3


def test_buckets_keep_shapes():
    """An image fills its bucket, and as little as can be is cut off it."""
    framing = framing_of(512, buckets=True)
    frame = framing.frame((1600, 900))
    assert frame.window == (640, 384)
    assert frame.scaled == (683, 384)
    (view,) = framing.kept_views(frame, np.random.default_rng(0))
    assert (view.left, view.top) == (22, 0)


def test_an_epoch_has_each_image_as_often_as_it_should():
    """In batches of one size, in another order each time, the same for the same seed."""
    sizes = [(64, 64)] * 5 + [(32, 96)] * 4
    given = samples(sizes, repeats=2)
    plan = part("epoch_plan").EpochPlan(given, batch_size=4, accumulated=2, seed=3)
    assert plan.steps_per_epoch == 3  # 10 and 8 looks are 3 and 2 batches
    epochs = []
    for epoch in range(2):
        steps = range(3 * epoch, 3 * epoch + 3)
        batches = [batch for step in steps for batch in plan.batches(step)]
        assert Counter(p.sample for batch in batches for p in batch) == dict.fromkeys(range(9), 2)
        assert all(len({sizes[place.sample] for place in batch}) == 1 for batch in batches)
        assert all(plan.epoch_of(step) == epoch for step in steps)
        epochs.append(batches)
    assert epochs[0] != epochs[1]
    again = part("epoch_plan").EpochPlan(given, batch_size=4, accumulated=2, seed=3)
    assert again.batches(4) == plan.batches(4)
    positions = [place.position for batch in plan.batches(1) for place in batch]
    assert positions == [*range(len(positions))]


@pytest.fixture
def maker(tmp_path):
    """Make examples of a square image with three captions and two views."""
    store, sets, framing = part("tensor_store"), part("training_set"), part("framing")
    images = store.TensorStore(tmp_path / "images")
    images.put("square", {sets.MOMENTS: torch.stack([torch.zeros(8, 4, 4), torch.ones(8, 4, 4)])})
    texts = store.TensorStore(tmp_path / "texts")
    captions = ("one", "two", "three")
    for number, caption in enumerate(("", *captions)):
        texts.put(caption, {"text": torch.full((1, 1), float(number))})
    frame = framing.Frame((90, 80), (36, 32), (32, 32))
    views = (framing.View(2, 0), framing.View(2, 0, mirrored=True))
    sample = sets.Sample("square", frame, views, captions)

    def made(**settings):
        return sample, part("seen_examples").ExampleMaker(
            settings=part("tuning_settings").ExampleSettings(**settings),
            seed=5,
            timesteps=1000,
            latent_shape=(4, 8),
            images=images,
            texts=part("text_vectors").TextVectors(texts, None, None, None),
            drawn_view=None,
        )

    return made


def test_what_is_seen_is_drawn_by_seed_and_step(maker):
    """Captions, views and timesteps evenly; an empty caption as often as asked; noise is normal."""
    sample, examples = maker(caption_dropout=0.25)
    place = part("epoch_plan").Place
    seen = [examples.seen(step, place(0, step % 4), sample) for step in range(1200)]
    captions = Counter(float(one.conditions["text"]) for one in seen)
    for caption in (0.0, 1.0, 2.0, 3.0):
        assert captions[caption] == pytest.approx(300, abs=60)
    assert sum(float(one.moments.mean()) for one in seen) == pytest.approx(600, abs=70)
    steps = np.array([one.timestep for one in seen])
    assert np.histogram(steps, 4, (0, 1000))[0].tolist() == [pytest.approx(300, abs=60)] * 4
    noise = torch.stack([one.noise for one in seen])
    assert float(noise.mean()) == pytest.approx(0, abs=0.02)
    assert float(noise.std()) == pytest.approx(1, abs=0.02)
    assert len({float(one.noise[0, 0, 0]) for one in seen}) == 1200
    again = examples.seen(7, place(0, 3), sample)
    assert torch.equal(again.noise, seen[7].noise)
    assert (again.timestep, seen[0].place) == (seen[7].timestep, (80, 90, 0, 2, 32, 32))


def test_a_noise_offset_shifts_channels(maker):
    """By as much as asked, and all latents of a channel alike."""
    sample, plain = maker()
    _, shifted = maker(noise_offset=0.5)
    place = part("epoch_plan").Place(0, 0)
    shifts = torch.stack(
        [
            shifted.seen(n, place, sample).noise - plain.seen(n, place, sample).noise
            for n in range(400)
        ]
    )
    assert float((shifts - shifts[:, :, :1, :1]).abs().max()) < 1e-6
    assert float(shifts[:, :, 0, 0].std()) == pytest.approx(0.5, abs=0.05)


def test_held_out_images_are_always_seen_alike(maker):
    """With their main caption, the likeliest latents, and a few timesteps that cover all."""
    sample, examples = maker(caption_dropout=1.0)
    looks = [examples.held_out(0, sample, [125, 375]) for _ in range(2)]
    for one, other in zip(*looks, strict=True):
        assert torch.equal(one.noise, other.noise)
        assert float(one.conditions["text"]) == 1.0
        assert not one.spread.any()
    assert not torch.equal(looks[0][0].noise, looks[0][1].noise)


class Half(torch.nn.Module):
    """Predicts half of what it is given."""

    device = torch.device("cpu")

    def forward(self, noisy, timesteps, text, added_cond_kwargs):
        """Return as a UNet does."""
        return type("Output", (), {"sample": noisy / 2})


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("gamma", [None, 5.0])
def test_the_loss_is_that_of_the_paper(maker, prediction_type, gamma):
    """Against the formulas, written down once more."""
    schedule = DDPMScheduler(beta_schedule="scaled_linear", prediction_type=prediction_type)
    vae = type("Vae", (), {"config": type("Config", (), {"scaling_factor": 0.5})})
    encoder = part("latent_encoder").LatentEncoder(vae, torch.device("cpu"))
    sample, examples = maker()
    place = part("epoch_plan").Place
    seen = [examples.seen(step, place(0, 0), sample) for step in range(6)]
    loss = part("diffusion_loss").DiffusionLoss(
        Half(), schedule, encoder, torch.float32, torch.no_grad, gamma
    )
    for one, found in zip(seen, loss(seen), strict=True):
        mean, spread = one.moments.chunk(2)
        latents = 0.5 * (mean + torch.exp(0.5 * spread) * one.spread)
        kept = schedule.alphas_cumprod[one.timestep]
        noisy = kept.sqrt() * latents + (1 - kept).sqrt() * one.noise
        epsilon = prediction_type == "epsilon"
        target = one.noise if epsilon else kept.sqrt() * one.noise - (1 - kept).sqrt() * latents
        ratio = kept / (1 - kept)
        weight = min(ratio, gamma) / (ratio if epsilon else ratio + 1) if gamma else 1.0
        assert float(found) == pytest.approx(float(weight * mse_loss(noisy / 2, target)), rel=1e-4)


@pytest.mark.parametrize(
    ("losses", "best", "overfit"),
    [
        ([], None, None),
        ([1.0, 0.9, 0.8], 20, None),
        ([1.0, 0.8, 0.81, 0.9], 10, 2),
        ([1.0, 0.8, 0.9], 10, None),  # one look is no course
        ([1.0, 0.8, 0.9, 0.801], 10, None),
        ([1.0, 1.1, 1.2], 0, 1),
    ],
)
def test_the_epoch_from_which_the_loss_rose(losses, best, overfit):
    """From the first look after the least, if the last two are above it, and the end clearly."""
    curves = part("loss_curve")
    looks = [curves.HeldOut(10 * n, n, loss) for n, loss in enumerate(losses)]
    curve = curves.LossCurve(held_out=looks)
    assert (curve.best.step if curve.best else None, curve.overfit_epoch) == (best, overfit)
    assert curves.LossCurve.from_json(curve.to_json()) == curve


def test_batches_of_several_shapes_are_trained_on(tmp_path, monkeypatch):
    """With small buckets, for a small model."""
    monkeypatch.setattr(buckets, "STEP", 32)
    monkeypatch.setattr(buckets, "SHORTEST", 32)
    buckets.bucket_sizes.cache_clear()
    sizes = [(64, 64), (130, 40), (40, 130), (64, 60), (40, 120)]
    rows = training_rows(5, 1, image=[picture(n, size) for n, size in enumerate(sizes)])
    model = make_stable_diffusion(tmp_path / "sd")
    asked = {"resolution": 64, "buckets": True, "center_crop": False, "train_batch_size": 2}
    told = told_of(tuned(model, rows, tmp_path, **asked, max_train_steps=None, num_train_epochs=2))
    assert told["steps"] == 2 * 3  # of three shapes there are two, one and one image
    assert all(one["loss"] < 2 for one in told["train_loss"])
    buckets.bucket_sizes.cache_clear()
