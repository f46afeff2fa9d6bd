"""Our network against mmsegmentation's: weights and statistics made there, read through ``import_weights`` here.

make parity
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import nn

from pspnet_core.models import PSPNet, make_model
from pspnet_core.models.importers import import_weights
from tests.parity import oracle
from tests.parity.oracle import Variant

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # mmsegmentation has many

SIZES = ((512, 512), (97, 121), (473, 473))
NUM_CLASSES = 7
LIMIT = 1e-5

MATRIX = [
    Variant(depth, contract, align) for depth in (18, 50, 101) for contract in (True, False) for align in (True, False)
]
# What other publishers' networks are, as mmsegmentation builds them.
OTHERS = {
    "semseg": Variant(50, contract=False, align_corners=True, stem_channels=128),
    "csail": Variant(50, stem_channels=128, aux_channels=512),
    "encoding": Variant(50, align_corners=True, stem_channels=128),
    "R-50b (7x7)": Variant(50, backbone="ResNet"),
    "R-18b (7x7)": Variant(18, backbone="ResNet"),
    "V1d (vd shortcut)": Variant(50, backbone="ResNetV1d"),
    "V1d all": Variant(50, contract=False, backbone="ResNetV1d"),
    "stride on 1x1": Variant(50, contract=False, align_corners=True, stem_channels=128, style="caffe"),
}


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """Rows that are printed when all is done."""
    rows: list[str] = []
    yield rows
    print("\n\n| network | dilation | align_corners | size | scale of logits | max difference | auxiliary head |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(rows))


def _ours(variant: Variant, theirs: nn.Module) -> PSPNet:
    """Our network with the oracle's weights; flags that no tensor tells are set as the variant was built."""
    state = theirs.state_dict()
    if variant.backbone == "ResNetV1d":  # of which mmsegmentation has no PSPNet: its pool is number 0 of the shortcut
        state = {re.sub(r"(?<=downsample\.)\d", lambda m: str(int(m[0]) - 1), key): v for key, v in state.items()}
    checkpoint = import_weights(state, publisher="mmseg", align_corners=variant.align_corners)
    config = replace(
        checkpoint.config,
        dilation="contract" if variant.contract else "all",
        shortcut="avg" if variant.backbone == "ResNetV1d" else "conv",
        stride_at="1x1" if variant.style == "caffe" else "3x3",
    )
    if config == checkpoint.config:
        return checkpoint.model
    model = make_model(config)
    model.load_state_dict(checkpoint.model.state_dict())
    return model.eval()


def _compare(name: str, variant: Variant, sizes: tuple[tuple[int, int], ...], table: list[str]) -> None:
    theirs = oracle.build(variant, NUM_CLASSES)
    ours = _ours(variant, theirs)
    differences = []
    for height, width in sizes:
        image = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(height))
        expected, expected_aux = oracle.outputs(theirs, image)
        with torch.inference_mode():
            main, aux = ours.logits_and_aux(image)
            found = ours.upsample(main, (height, width))
            found_aux = ours.upsample(aux[0], (height, width))
        assert found.shape == expected.shape
        main_difference = float((found - expected).abs().max())
        aux_difference = float((found_aux - expected_aux).abs().max())
        differences += [main_difference, aux_difference]
        table.append(
            f"| {name} | {'contract' if variant.contract else 'all'} | {variant.align_corners} | {height}x{width} "
            f"| {float(expected.abs().max()):.2f} | {main_difference:.1e} | {aux_difference:.1e} |"
        )
    assert max(differences) < LIMIT, differences


@pytest.mark.timeout(900)
@pytest.mark.parametrize("variant", MATRIX, ids=lambda v: f"r{v.depth}-{v.contract}-{v.align_corners}")
def test_mmsegmentation_matrix(variant: Variant, table: list[str]) -> None:
    _compare(f"R-{variant.depth}", variant, SIZES, table)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", OTHERS)
def test_other_publishers_as_mmsegmentation_builds_them(name: str, table: list[str]) -> None:
    _compare(name, OTHERS[name], SIZES[1:], table)


def test_wrong_flags_are_seen(table: list[str]) -> None:
    """The comparison can fail: the same weights with another dilation or another alignment differ by far more."""
    variant = Variant(18)
    theirs = oracle.build(variant, NUM_CLASSES)
    right = _ours(variant, theirs)
    image = torch.randn(1, 3, 97, 121, generator=torch.Generator().manual_seed(97))
    expected, _ = oracle.outputs(theirs, image)
    for wrong in ({"dilation": "all"}, {"align_corners": True}):
        model = make_model(replace(right.config, **wrong)).eval()
        model.load_state_dict(right.state_dict())
        with torch.inference_mode():
            difference = float((model(image)["out"] - expected).abs().max())
        table.append(f"| R-18 with {wrong} | | | 97x121 | | {difference:.1e} | |")
        assert difference > 100 * LIMIT
