"""A network cut in two computes what it computed in one piece."""

import pytest
import torch

from pleura.errors import ModelError
from pleura.export.stages import cut
from pleura.models import Network, create_network

WIDTHS = {4: [16, 12, 8], 2: [16, 12, 8, 8], 1: [16, 12, 8, 8, 8]}


def joint(output_stride=4, **options):
    torch.manual_seed(3)
    options = {"encoder": "mobilenet_v2", "output_stride": output_stride, **options}
    return create_network("unet", decoder_widths=WIDTHS[output_stride], **options).eval()


@pytest.mark.parametrize(("output_stride", "finest"), [(4, 4), (2, 2), (1, 2)])
def test_two_stages_are_the_network_and_pass_no_feature_that_nobody_needs(output_stride, finest):
    network = joint(output_stride)
    stages = cut(network)
    strides = [stride for stride in (2, 4, 8, 16, 32) if stride >= finest]
    assert stages.features == tuple(f"stride_{stride}" for stride in strides)
    image = torch.randn(2, 1, 96, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole = network(image)
        logit, embedding, *features = stages.classifier(image)
        mask_logits = stages.segmenter(*features)
    assert torch.equal(logit, whole.logit)
    assert torch.equal(mask_logits, whole.mask_logits)
    assert [96 // feature.shape[2] for feature in features] == strides
    torch.testing.assert_close(embedding, features[-1].mean((2, 3)))


def chexnet():
    torch.manual_seed(0)
    small = {"block_config": [1, 1], "init_features": 8, "growth_rate": 4}
    return create_network("chexnet", **small, class_activation_map=True).eval()


def test_where_the_mask_is_evidence_one_stage_gives_both():
    network = joint(2, mask_evidence=0.6)
    stages = cut(network)
    assert stages.segmenter is None
    assert stages.features == ("mask_logits",)
    image = torch.randn(2, 1, 96, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole = network(image)
        logit, embedding, mask_logits = stages.classifier(image)
    assert embedding.ndim == 2
    assert torch.equal(logit, whole.logit)
    assert torch.equal(mask_logits, whole.mask_logits)


def test_chexnet_passes_what_its_map_is_made_of():
    network = chexnet()
    stages = cut(network)
    assert stages.features == ("features",)
    image = torch.randn(2, 1, 96, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole = network(image)
        logit, embedding, passed = stages.classifier(image)
        mask_logits = stages.segmenter(passed)
    assert embedding.ndim == 2
    assert torch.equal(logit, whole.logit)
    assert torch.equal(mask_logits, whole.mask_logits)


@pytest.mark.parametrize("mask_evidence", [0.0, 0.6])
def test_a_network_without_a_logit_cannot_judge(mask_evidence):
    with pytest.raises(ModelError, match="no image-level head") as caught:
        cut(joint(image_head=False, mask_evidence=mask_evidence))
    assert "image_head: true" in caught.value.hint


def test_another_network_is_refused():
    with pytest.raises(ModelError, match="Network is not a joint network"):
        cut(Network())
