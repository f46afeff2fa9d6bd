"""Layouts without a golden output: meetps, PaddleSeg, torchvision, timm, and files of each publisher's kind."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
import torchvision

from pspnet_core.classes import ClassSet
from pspnet_core.errors import CheckpointError
from pspnet_core.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pspnet_core.models.config import PSPNetConfig
from pspnet_core.models.importers import WeightsImportWarning, import_weights, importing, to_published
from pspnet_core.models.importers.channels import choose_classes
from pspnet_core.models.importers.reading import finish
from pspnet_core.models.importers.recognise import PUBLISHERS
from pspnet_core.models.pspnet import make_model
from tests.helpers import golden, publishers


def quietly(*arguments, **options) -> Checkpoint:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_weights(*arguments, **options)


@pytest.fixture(scope="module")
def mmseg() -> dict[str, torch.Tensor]:
    return golden.state_dict("mmseg_r18_512")


def test_caffe_weights_of_meetps() -> None:
    """Blue first, grids from fine to coarse, and for 150 classes the stride on the 1x1 convolution."""
    net = publishers.Meetps(150, at="1x1")
    tensors = golden.randomise(net)
    with pytest.warns(WeightsImportWarning, match="stride_at=1x1 was guessed"):
        checkpoint = import_weights({"model_state": {f"module.{k}": v for k, v in tensors.items()}})
    image = golden.image(89, 89)  # 12 x 12 features: its fixed kernels are then adaptive pooling
    with torch.inference_mode():
        assert golden.difference(checkpoint.model(image.flip(1))["out"], net(image)) < 1e-5
    assert checkpoint.config.bins == (6, 3, 2, 1)
    assert checkpoint.preprocessing.to_json()["mean"] == [123.68, 116.779, 103.939]
    assert checkpoint.preprocessing.std == (1.0, 1.0, 1.0)
    assert checkpoint.classes.names[0] == "wall"
    back = to_published(checkpoint, "caffe")
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[key], tensor) for key, tensor in tensors.items())


def test_weights_of_paddle(tmp_path) -> None:
    net = publishers.Paddle(7)
    theirs = publishers.paddle_names(golden.randomise(net))
    saved = {key: tensor.numpy() for key, tensor in theirs.items()}
    path = tmp_path / "model.pdparams"
    path.write_bytes(pickle.dumps({**saved, "StructuredToParameterName@@": {"head.conv.weight": "conv_1"}}, protocol=4))
    checkpoint = quietly(path)
    image = golden.image()
    with torch.inference_mode():
        assert golden.difference(checkpoint.model(image)["out"], net(image)) < 1e-5
    config, report = checkpoint.config, checkpoint.origin["import"]
    assert (config.shortcut, config.dilation, config.align_corners, config.bins) == ("avg", "all", False, (6, 3, 2, 1))
    assert (config.bin_channels, config.head_channels, config.aux[0].channels) == (16, 24, 16)
    assert checkpoint.preprocessing.mean == (127.5, 127.5, 127.5)
    assert len(report["folded"]) == 6  # four branches, the fusion, the auxiliary head
    assert report["kept"] == len(theirs)
    back = to_published(checkpoint, "PaddlePaddle/PaddleSeg")
    assert set(theirs) - set(back) == set(report["folded"])
    shifted = {key.replace("._conv.bias", "._batch_norm._mean") for key in report["folded"]}
    assert all(torch.equal(back[key], theirs[key]) for key in back if key not in shifted)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_paddle_pickles_of_every_protocol_and_kind(tmp_path, protocol) -> None:
    from pspnet_core.models.importers.reading import read_weights

    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    path = tmp_path / "m.pdparams"
    path.write_bytes(pickle.dumps({"a": values, "b": np.asfortranarray(values), "c": values.astype(">f4")}, protocol))
    tensors = read_weights(path).tensors
    assert all(torch.equal(tensors[name].float(), torch.from_numpy(values)) for name in "abc")


def test_torchvision_fcn() -> None:
    net = torchvision.models.segmentation.fcn_resnet50(
        weights=None, weights_backbone=None, num_classes=21, aux_loss=True
    )
    tensors = golden.randomise(net)
    checkpoint = quietly(tensors)
    image = golden.image()
    with torch.inference_mode():
        assert torch.equal(checkpoint.model(image)["out"], net(image)["out"])
    assert checkpoint.config.context == "none"
    assert checkpoint.config.aux[0].weight == 0.5
    assert checkpoint.classes.names[0] == "background"  # Pascal VOC
    back = to_published(checkpoint, "torchvision")
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[key], tensor) for key, tensor in tensors.items())


def features_of(checkpoint: Checkpoint, image: torch.Tensor, **settings) -> torch.Tensor:
    """The last features, with other settings of the network that need no other weights."""
    model = make_model(replace(checkpoint.config, **settings))
    model.load_state_dict(checkpoint.model.state_dict())
    with torch.inference_mode():
        return model.eval().backbone(image).stage4


BACKBONES = [
    ("torchvision", lambda: torchvision.models.resnet18(weights=None), {"stem": "conv7"}),
    ("timm", lambda: timm.create_model("resnet18d"), {"stem": "deep32", "shortcut": "avg"}),
    ("timm", lambda: timm.create_model("resnet50s"), {"stem": "deep64", "backbone": "resnet50"}),
    ("torchvision", lambda: torchvision.models.mobilenet_v2(weights=None), {"backbone": "mobilenet_v2"}),
    ("torchvision", lambda: torchvision.models.mobilenet_v3_large(weights=None), {"backbone": "mobilenet_v3_large"}),
]


@pytest.mark.parametrize(("publisher", "make", "settings"), BACKBONES, ids=["tv18", "timm18d", "timm50s", "v2", "v3"])
def test_backbones(publisher, make, settings) -> None:
    net = make()
    tensors = golden.randomise(net)
    with pytest.warns(WeightsImportWarning, match="all heads are new"):
        checkpoint = import_weights(tensors)
    config, report = checkpoint.config, checkpoint.origin["import"]
    assert report["publisher"] == publisher
    assert {name: getattr(config, name) for name in settings} == settings
    assert checkpoint.classes.names == ("background", "foreground")
    assert all(not name.startswith("backbone.") for name in report["new"])
    assert "classifier.1.weight" in report["new"]
    assert all(key.startswith(("fc.", "classifier.", "features.18.")) for key in report["ignored"])
    image = golden.image()
    with torch.inference_mode():
        theirs = net.forward_features(image) if publisher == "timm" else trunk(net, image)
    ours = features_of(checkpoint, image, output_stride=32)
    assert torch.equal(ours, theirs)
    back = to_published(checkpoint, publisher)
    assert back.keys() == tensors.keys() - set(report["ignored"])
    assert all(torch.equal(back[key], tensors[key]) for key in back)


def trunk(net: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
    if isinstance(net, torchvision.models.MobileNetV2):
        return net.features[:18](image)
    if isinstance(net, torchvision.models.MobileNetV3):
        return net.features(image)
    return torch.nn.Sequential(*list(net.children())[:-2])(image)


def test_new_heads_are_the_same_each_time() -> None:
    tensors = golden.randomise(torchvision.models.mobilenet_v2(weights=None))
    torch.manual_seed(1)
    first = quietly(tensors)
    assert first.id == quietly(tensors).id
    assert torch.initial_seed() == 1


def test_encoder_of_csail_and_initial_weights_of_semseg_have_the_same_names() -> None:
    keys = {key.removeprefix("encoder:"): v for key, v in golden.state_dict("csail_r50").items() if "encoder:" in key}
    plain = {key: v for key, v in keys.items() if "_running_iter" not in key and "_tmp" not in key}
    csail = quietly(keys)
    assert (csail.origin["import"]["publisher"], csail.config.dilation) == ("csail", "contract")
    semseg = quietly({**plain, "fc.weight": torch.zeros(10, 2048), "fc.bias": torch.zeros(10)})
    assert (semseg.origin["import"]["publisher"], semseg.config.dilation) == ("semseg", "all")
    assert semseg.origin["import"]["ignored"] == ["fc.weight", "fc.bias"]


def narrow(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """CSAIL's with 16 channels in the heads: less to write."""
    keys = {key: list(tensor.shape) for key, tensor in tensors.items()}
    sizes = {512: 16, 4096: 2048 + 4 * 16}
    return {
        key: golden.tensor_for(key, [sizes.get(n, n) for n in shape]) if key.startswith("decoder:") else tensors[key]
        for key, shape in keys.items()
    }


def test_resnet18_of_csail_dilates_both_convolutions_of_a_block() -> None:
    """Its features are those of timm, which was dilated in the same way; names and stem are CSAIL's."""
    theirs = timm.create_model(
        "resnet18", features_only=True, out_indices=(1, 2, 3, 4), output_stride=8, stem_type="deep", stem_width=64
    )
    tensors = golden.randomise(theirs)
    renamed = {"conv1.0": "conv1", "conv1.1": "bn1", "conv1.3": "conv2", "conv1.4": "bn2", "conv1.6": "conv3"}
    renamed |= {"bn1": "bn3"}
    encoder = {}
    for key, tensor in tensors.items():
        start, _, part = key.rpartition(".")
        encoder[f"{renamed.get(start, start)}.{part}"] = tensor
    iterations = {"bn1._running_iter": torch.ones(1)}
    checkpoint = quietly(encoder | iterations)
    assert (checkpoint.config.backbone, checkpoint.config.basic_dilation) == ("resnet18", "both")
    image = golden.image(65, 81)
    with torch.inference_mode():
        for mine, expected in zip(checkpoint.model.backbone(image), theirs.eval()(image), strict=True):
            assert torch.equal(mine, expected)


def test_two_files_of_csail(tmp_path) -> None:
    tensors = narrow(golden.state_dict("csail_r50"))
    paths = []
    for part in ("encoder", "decoder"):
        paths.append(tmp_path / f"{part}_epoch_20.pth")
        start = f"{part}:"
        torch.save({k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}, paths[-1])
    checkpoint = quietly(paths)
    assert checkpoint.id == quietly(tensors).id
    assert checkpoint.origin["import"]["file"] == "encoder_epoch_20.pth + decoder_epoch_20.pth"
    assert len(checkpoint.origin["import"]["sha256"]) == 2
    with pytest.raises(CheckpointError, match=r"(?s)decoder_epoch_20.*decoder of CSAIL without its encoder"):
        import_weights(paths[1])


def test_guesses_are_warnings_and_stand_in_the_origin(tmp_path, mmseg) -> None:
    path = tmp_path / "pspnet_r18-d8_769x769.pth"
    torch.save({"meta": {}, "state_dict": mmseg}, path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        checkpoint = import_weights(str(path))
    assert checkpoint.config.align_corners
    texts = [str(w.message) for w in caught if issubclass(w.category, WeightsImportWarning)]
    assert texts == checkpoint.origin["import"]["warnings"]
    assert [text.split(" ")[0] for text in texts] == ["dilation=contract", "align_corners=True", "The"]


def test_threads_convert_without_touching_the_warnings_of_others(mmseg) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", WeightsImportWarning)
        checkpoint = finish(importing(mmseg))
        with pytest.raises(WeightsImportWarning, match="was guessed"):
            import_weights(mmseg)
    assert len(checkpoint.origin["import"]["warnings"]) == 3


def test_what_the_caller_says_is_no_guess(mmseg) -> None:
    for options in ({"publisher": "mmseg-769"}, {"align_corners": True}):
        checkpoint = quietly(mmseg, **options)
        assert checkpoint.config.align_corners
        assert not any("align_corners" in text for text in checkpoint.origin["import"]["warnings"])


def test_classes_come_from_the_file_then_from_the_count(tmp_path, mmseg) -> None:
    names = [f"thing {number}" for number in range(7)]
    palette = [[number, 0, 9] for number in range(7)]
    path = tmp_path / "m.pth"
    for meta in (
        {"CLASSES": names, "PALETTE": palette},
        {"dataset_meta": {"classes": tuple(names), "palette": palette}},
    ):
        torch.save({"meta": meta, "state_dict": mmseg}, path)
        classes = quietly(path).classes
        assert classes.names == tuple(names)
        assert classes[3].color == (3, 0, 9)
    given = ClassSet()
    for number in range(7):
        given = given.add(f"mine {number}")
    assert quietly(path, classes=given).classes == given
    with pytest.raises(CheckpointError, match="The network has 7 classes, the class set 6"):
        import_weights(path, classes=ClassSet(list(given)[:6]))


def test_the_number_of_classes_names_them(mmseg) -> None:
    tensors = dict(mmseg)
    for head in ("decode_head", "auxiliary_head"):
        for part in ("weight", "bias"):
            old = tensors[f"{head}.conv_seg.{part}"]
            tensors[f"{head}.conv_seg.{part}"] = torch.zeros(19, *old.shape[1:])
    with pytest.warns(WeightsImportWarning, match="guessed to be those of Cityscapes"):
        assert import_weights(tensors).classes.names[:2] == ("road", "sidewalk")


def test_numbers_of_numpy_in_the_meta_data_are_read(tmp_path, mmseg) -> None:
    path = tmp_path / "m.pth"
    meta = {"mIoU": np.float64(0.5), "seed": np.int64(3), "palette": np.zeros((2, 3), np.uint8)}
    torch.save({"meta": meta, "state_dict": mmseg, "optimizer": {"state": {}, "param_groups": []}}, path)
    checkpoint = quietly(path)
    assert checkpoint.origin["import"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert checkpoint.origin["import"]["file"] == "m.pth"


def test_half_precision_and_prefixes_of_wrappers(tmp_path, mmseg) -> None:
    path = tmp_path / "m.pth"
    torch.save({f"module._orig_mod.{key}": tensor.half() for key, tensor in mmseg.items()}, path)
    with pytest.warns(WeightsImportWarning, match="stored as float16"):
        checkpoint = import_weights(path)
    assert all(tensor.dtype == torch.float32 for tensor in checkpoint.model.parameters())


@pytest.mark.parametrize(
    "palette",
    [
        [1, 2, 3, 4, 5, 6, 7],
        [["a", "b", "c"]] * 7,
        ["abc"] * 7,
        [[0, 0, 256]] * 7,
        [[0, 0, 0]] * 6,
        5,
        "abcdefg",
        [None] * 7,
    ],
)
def test_a_palette_that_is_none_does_not_cost_the_names(palette) -> None:
    names = [f"thing {number}" for number in range(7)]
    classes = choose_classes(7, None, {"CLASSES": names, "PALETTE": palette}, [])
    assert classes.names == tuple(names)
    assert len({entry.color for entry in classes}) == 7


def test_files_without_auxiliary_head_and_counters(mmseg) -> None:
    kept = {k: v for k, v in mmseg.items() if not k.startswith("auxiliary_head") and "num_batches" not in k}
    checkpoint = quietly(kept)
    assert checkpoint.config.aux == ()
    assert checkpoint.origin["import"]["new"] == []


def test_our_own_checkpoints(tmp_path, mmseg) -> None:
    checkpoint = quietly(mmseg)
    path = tmp_path / "ours.safetensors"
    save_checkpoint(checkpoint, path)
    again = import_weights(path, "studio")
    assert again.id == checkpoint.id == load_checkpoint(path).id
    assert again.origin["import"]["publisher"] == "studio"
    with pytest.raises(CheckpointError, match="was not published by mmseg"):
        import_weights(path, "mmseg")
    with pytest.raises(CheckpointError, match="align_corners=False; it cannot be changed"):
        import_weights(path, align_corners=True)


def test_a_network_of_ours_has_no_name_elsewhere() -> None:
    from pspnet_core.models.pspnet import PSPNet

    classes = ClassSet().add("a").add("b")
    checkpoint = Checkpoint(PSPNet(PSPNetConfig.preset("mmseg-512", 2, "resnet18")), classes)
    assert len(to_published(checkpoint, "mmseg")) == len(checkpoint.model.state_dict())
    with pytest.raises(
        CheckpointError, match=r"(?s)semantic-segmentation-pytorch has no network such as this.*basic_dilation=both"
    ):
        to_published(checkpoint, "csail")
    with pytest.raises(CheckpointError, match=r"no name for backbone\.stem\.3"):
        to_published(checkpoint, "torchvision")


def test_what_basic_blocks_dilate_decides_whose_network_it_is() -> None:
    """Same names and shapes, another function."""
    config = PSPNetConfig.preset("csail", 2, "resnet18")
    classes = ClassSet().add("a").add("b")
    assert config.basic_dilation == "both"
    network = make_model(config)
    assert "encoder:layer4.1.conv2.weight" in to_published(Checkpoint(network, classes), "csail")
    network.config = replace(config, basic_dilation="first")
    with pytest.raises(CheckpointError, match="it has basic_dilation=both, this network first"):
        to_published(Checkpoint(network, classes), "csail")


@pytest.mark.parametrize("publisher", PUBLISHERS, ids=lambda p: p.name)
def test_key_maps_are_one_to_one(publisher) -> None:
    for layout in publisher.layouts:
        for theirs, ours in layout.key_map._modules.items():
            parameter = next(iter(layout.key_map.parameters))
            assert layout.key_map.to_ours(f"{theirs}.{parameter}") == f"{ours}.{layout.key_map.parameters[parameter]}"
            back = layout.key_map.to_theirs(f"{ours}.{layout.key_map.parameters[parameter]}")
            assert back is not None
            assert back.endswith(f"{theirs}.{parameter}")
