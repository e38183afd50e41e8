import lightning as L
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score
from torch.nn import functional
from torch.utils.data import DataLoader

from pleura.data.dataset import Examples, RadiographDataset
from pleura.inference.manifest import Preprocessing
from pleura.models import Network, NetworkOutput, create_network
from pleura.training.config import LossConfig, OptimiserConfig
from pleura.training.loaders import share_of
from pleura.training.module import LitNetwork, cosine_factor

COUNT, SIDE = 10, 32


class MeanGrey(Network):
    """Judges by the mean grey value; calls a pixel positive when it is brighter than 0.5."""

    def __init__(self, logit=True, mask=True):
        super().__init__()
        self.parts = logit, mask
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, image):
        logit, mask = self.parts
        return NetworkOutput(
            self.scale * image.mean((2, 3)) if logit else None,
            20 * self.scale * (image - 0.5) if mask else None,
        )


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (COUNT, SIDE, SIDE), dtype=np.uint8)
    images[:5] += (images[:5] < 100).astype(np.uint8) * 20  # a hint of a difference, with overlap
    masks = np.zeros((COUNT, SIDE, SIDE), np.uint8)
    masks[:5, 4:20, 8:24] = 255
    labels = np.array([1] * 5 + [0] * 5, np.float32)
    weights = np.array([1, 1, 0.9, 0, 1] + [1] * 5, np.float32)  # the fourth mask is unknown
    nowhere = np.zeros(COUNT, bool)
    return Examples(images, masks, labels, weights, nowhere, nowhere, nowhere)


def _validate(network, examples, positions):
    dataset = RadiographDataset(
        examples, Preprocessing(size=SIDE, mean=0, std=1), 1, positions=np.array(positions)
    )
    trainer = L.Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    module = LitNetwork(network, LossConfig(), OptimiserConfig())
    (figures,) = trainer.validate(module, DataLoader(dataset, batch_size=4), verbose=False)
    return figures


def _dice(examples, position):
    predicted, true = examples.images[position] / 255 >= 0.5, examples.masks[position] > 0
    return 2 * (predicted & true).sum() / (predicted.sum() + true.sum())


def test_the_figures_are_those_of_other_libraries(examples):
    figures = _validate(MeanGrey(), examples, range(COUNT))
    scores = examples.images.mean((1, 2))
    assert figures["val/auc"] == pytest.approx(roc_auc_score(examples.labels, scores))
    assert figures["val/average_precision"] == pytest.approx(
        average_precision_score(examples.labels, scores)
    )
    dice = np.mean([_dice(examples, position) for position in (0, 1, 2, 4)])
    assert figures["val/dice_positives"] == pytest.approx(dice, abs=1e-5)
    assert figures["val/score"] == pytest.approx((figures["val/auc"] + dice) / 2, abs=1e-5)


def test_an_image_that_fills_up_a_round_counts_once(examples):
    positions = [0, 2, 5, 7, 8]
    once = _validate(MeanGrey(), examples, positions)
    again = _validate(MeanGrey(), examples, [*positions, 0, 5])
    for name in ("val/auc", "val/average_precision", "val/dice_positives", "val/score"):
        assert once[name] == pytest.approx(again[name]), name


def test_a_network_is_scored_by_what_it_has(examples):
    labels_only = _validate(MeanGrey(mask=False), examples, range(COUNT))
    assert "val/dice_positives" not in labels_only
    assert labels_only["val/score"] == labels_only["val/auc"]
    masks_only = _validate(MeanGrey(logit=False), examples, range(COUNT))
    assert "val/auc" not in masks_only
    assert masks_only["val/score"] == masks_only["val/dice_positives"]
    one_class = _validate(MeanGrey(), examples, range(5, COUNT))
    assert not {"val/auc", "val/dice_positives"} & set(one_class)
    assert one_class["val/score"] == 0


def test_the_loss_is_the_weighted_sum_of_its_terms(examples):
    loss = LossConfig(image=0.5, bce=2, dice=3, smooth=2)
    module = LitNetwork(MeanGrey(), loss, OptimiserConfig())
    dataset = RadiographDataset(examples, Preprocessing(size=SIDE, mean=0, std=1), 1)
    batch = next(iter(DataLoader(dataset, batch_size=3)))
    with pytest.warns(UserWarning, match="self.trainer"):
        given_loss = module.training_step(batch, 0)
    output = module(batch["image"])
    image = functional.binary_cross_entropy_with_logits(output.logit[:, 0], batch["label"])
    bce = functional.binary_cross_entropy_with_logits(
        output.mask_logits, batch["mask"], reduction="none"
    ).mean((1, 2, 3))
    probabilities = torch.sigmoid(output.mask_logits)
    overlap = 2 * (probabilities * batch["mask"]).sum((1, 2, 3)) + 2
    dice = 1 - overlap / (probabilities.sum((1, 2, 3)) + batch["mask"].sum((1, 2, 3)) + 2)
    weights = torch.tensor([1, 1, 0.9])
    mask = ((2 * bce + 3 * dice) * weights).sum() / weights.sum()
    torch.testing.assert_close(given_loss, 0.5 * image + mask)


def test_biases_and_normalisation_are_not_decayed():
    network = create_network("chexnet", block_config=(1, 1), init_features=8, growth_rate=4)
    module = LitNetwork(network, LossConfig(), OptimiserConfig(weight_decay=0.3))
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, max_steps=5)
    module.trainer = trainer
    decayed, plain = module.configure_optimizers()["optimizer"].param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.3, 0)
    assert {parameter.ndim for parameter in plain["params"]} == {1}
    assert min(parameter.ndim for parameter in decayed["params"]) == 2
    count = len(decayed["params"]) + len(plain["params"])
    assert count == len(list(network.parameters()))


@given(
    total=st.integers(2, 500),
    warmup=st.floats(0, 0.9),
    final=st.floats(0, 1),
)
@settings(max_examples=50, deadline=None)
def test_the_learning_rate_rises_to_its_peak_and_falls_to_its_end(total, warmup, final):
    config = OptimiserConfig(warmup_fraction=warmup, final_fraction=final)
    factors = np.array([cosine_factor(step, total, config) for step in range(total + 1)])
    steps = max(1, round(warmup * total))
    np.testing.assert_allclose(factors[:steps], np.arange(1, steps + 1) / steps)
    assert factors.max() == 1
    assert (np.diff(factors[steps:]) <= 1e-12).all()
    if steps < total:
        assert factors[-1] == pytest.approx(final)


@given(count=st.integers(1, 30), world_size=st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_held_out_images_are_shared_evenly_and_none_is_left_out(count, world_size):
    positions = np.arange(100, 100 + count)
    shares = [share_of(positions, rank, world_size) for rank in range(world_size)]
    assert len({len(share) for share in shares}) == 1
    assert set(np.concatenate(shares)) == set(positions)
    assert sum(map(len, shares)) - count < world_size


def test_earlier_masks_are_supervised_as_the_last_one_is():
    class Deep(MeanGrey):
        def forward(self, image):
            output = super().forward(image)
            return output._replace(auxiliary_mask_logits=(0.5 * output.mask_logits,))

    generator = torch.Generator().manual_seed(2)
    image = torch.rand((4, 1, 8, 8), generator=generator)
    batch = {
        "image": image,
        "mask": (image > 0.7).float(),
        "label": torch.tensor([1.0, 1.0, 0.0, 0.0]),
        "mask_weight": torch.tensor([1.0, 0.5, 1.0, 1.0]),
        "position": torch.arange(4),
    }
    module = LitNetwork(Deep(), LossConfig(), OptimiserConfig())
    _, terms = module._losses(module(image), batch)
    each = [
        module.combo(mask, batch["mask"], batch["mask_weight"])
        for mask in (10 * (image - 0.5), 20 * (image - 0.5))
    ]
    torch.testing.assert_close(terms["mask"], (each[0] + each[1]) / 2)
