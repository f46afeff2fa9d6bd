"""Published layouts, imported from the publisher's own names, compute what the publisher's own code computed."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from pspnet_core.models.checkpoint import Checkpoint
from pspnet_core.models.importers import import_weights, to_published
from tests.helpers import golden

ALIGN = {"mmseg_r18_512": False, "mmseg_r50_512": False, "mmseg_r50_769": True}


@dataclass
class Case:
    name: str
    tensors: dict[str, Tensor]
    checkpoint: Checkpoint


@pytest.fixture(scope="module", params=golden.NAMES)
def case(request) -> Case:
    tensors = golden.state_dict(request.param)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checkpoint = import_weights(tensors, align_corners=ALIGN.get(request.param))
    return Case(request.param, tensors, checkpoint)


def test_there_are_six() -> None:
    assert len(golden.NAMES) == 6


def test_the_output_is_the_publishers(case) -> None:
    with torch.inference_mode():
        out = case.checkpoint.model(golden.image())["out"]
    if golden.about(case.name)["output"].startswith("softmax"):
        out = out.softmax(dim=1)
    assert golden.difference(out, golden.output(case.name)) < 1e-5


def test_the_publisher_is_recognised_and_every_tensor_has_its_place(case) -> None:
    report = case.checkpoint.origin["import"]
    assert golden.about(case.name)["publisher"].split("/")[1].split(" ")[0].lower() in {
        "mmseg": "mmsegmentation",
        "csail": "semantic-segmentation-pytorch",
        "encoding": "pytorch-encoding",
    }.get(report["publisher"], report["publisher"])
    assert report["kept"] + len(report["ignored"]) == len(case.tensors)
    assert report["new"] == []
    assert report["kept"] == len(case.checkpoint.model.state_dict())
    assert all("_tmp_running" in key or "_running_iter" in key for key in report["ignored"])


def test_and_back_again_bit_for_bit(case) -> None:
    back = to_published(case.checkpoint, golden.about(case.name)["publisher"])
    running = ("_tmp_running_mean", "_tmp_running_var", "_running_iter")
    expected = {key: tensor for key, tensor in case.tensors.items() if not key.endswith(running)}
    assert back.keys() == expected.keys()
    assert all(torch.equal(back[key], tensor) for key, tensor in expected.items())


def test_the_network_is_ready_for_use(case) -> None:
    model = case.checkpoint.model
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert case.checkpoint.preprocessing.mean == (123.675, 116.28, 103.53)
    assert case.checkpoint.classes.names == tuple(f"class {number}" for number in range(1, 8))
    has_aux = any(key.startswith(("module.aux", "auxiliary", "decoder:cbr_deepsup")) for key in case.tensors)
    assert len(case.checkpoint.config.aux) == has_aux


def test_the_source_is_not_shared_with_the_network(case) -> None:
    theirs = {tensor.data_ptr() for tensor in case.tensors.values() if tensor.numel()}
    assert not theirs & {tensor.data_ptr() for tensor in case.checkpoint.model.state_dict().values()}
