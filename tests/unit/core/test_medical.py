"""Slices of DICOM and NIfTI files are pages."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from pspnet_core.errors import ImageReadError
from pspnet_core.imaging.read import read_image, read_info
from pspnet_core.project.project import Project

nibabel = pytest.importorskip("nibabel", reason="the extra medical is not installed")
pydicom = pytest.importorskip("pydicom", reason="the extra medical is not installed")


def nifti(
    path: Path, values: np.ndarray, affine: np.ndarray | None = None, window: tuple[float, float] | None = None
) -> Path:
    image = nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine)
    if window is not None:
        image.header["cal_min"], image.header["cal_max"] = window
    nibabel.save(image, path)
    return path


def dicom(path: Path, values: np.ndarray, **tags: object) -> Path:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    data = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    data.Rows, data.Columns = values.shape[-2:]
    if values.ndim == 3:
        data.NumberOfFrames = len(values)
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8 * values.itemsize
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(values.dtype.kind == "i")
    data.PixelData = values.tobytes()
    for name, value in tags.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_slices_of_a_volume_stand_upright_and_share_one_range(tmp_path: Path, suffix: str) -> None:
    values = np.zeros((4, 3, 2), np.int16)  # to the right, to the front, to the head
    values[3, 2, 0] = 1000  # right, front, lowest
    values[0, 0, 1] = 500
    path = nifti(tmp_path / f"a{suffix}", values)
    info = read_info(path, 1)
    assert (info.width, info.height, info.num_pages) == (4, 3, 2)
    first, second = (read_image(path, page)[..., 0] for page in range(2))
    assert first[0, 3] == 255  # the front is above
    assert second[2, 0] == 128
    turned = nifti(
        tmp_path / f"b{suffix}",
        values[::-1].transpose(2, 1, 0),
        np.array([[0, 0, -1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]]),
    )
    np.testing.assert_array_equal(read_image(turned, 0)[..., 0], first)  # the same body, stored otherwise
    assert [item.key for item in Project.open(tmp_path).items if item.key.startswith("a.")] == [
        f"a{suffix}",
        f"a{suffix}#2",
    ]


def test_the_window_of_a_file_is_used(tmp_path: Path) -> None:
    values = np.arange(8, dtype=np.int16).reshape(2, 2, 2) * 100
    path = nifti(tmp_path / "a.nii", values, window=(100, 300))
    expected = np.clip((values[:, ::-1, 0].T.astype(float) - 100) * 255 / 200, 0, 255).round()
    assert np.abs(read_image(path, 0)[..., 0] - expected).max() <= 1
    picture = np.array([[-1000, 0], [40, 80]], np.int16)
    path = dicom(tmp_path / "a.dcm", picture, WindowCenter=40, WindowWidth=80, RescaleSlope=1, RescaleIntercept=0)
    np.testing.assert_array_equal(read_image(path)[..., 0], [[0, 0], [128, 255]])
    path = dicom(
        tmp_path / "b.dcm", picture, WindowCenter=[40, 1], WindowWidth=[80, 1], PhotometricInterpretation="MONOCHROME1"
    )
    np.testing.assert_array_equal(read_image(path)[..., 0], [[255, 255], [127, 0]])


def test_frames_of_a_dicom_file(tmp_path: Path) -> None:
    frames = np.stack([np.full((4, 6), n, np.uint16) for n in (1000, 2000, 3000)])
    path = dicom(tmp_path / "a.dcm", frames)
    assert read_info(path).num_pages == 3
    assert [int(read_image(path, page)[0, 0, 0]) for page in range(3)] == [0, 128, 255]
    with pytest.raises(ImageReadError, match="no page 4"):
        read_image(path, 3)


@pytest.mark.parametrize("name", ["a.dcm", "a.nii", "a.nii.gz"])
def test_damaged_files_say_so_and_stop_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    whole = dicom(path, np.zeros((4, 4), np.uint16)) if name.endswith("dcm") else nifti(path, np.zeros((4, 4, 4)))
    data = whole.read_bytes()
    for damaged in (b"", b"hello", data[: len(data) // 2], data[: len(data) // 4], bytes(reversed(data))):
        path.write_bytes(damaged)
        with pytest.raises(ImageReadError) as caught:
            read_image(path)
        assert caught.value.title
        assert len(Project.open(tmp_path).items) >= 1
    path.unlink()
    with pytest.raises(ImageReadError, match="not there any more"):
        read_info(path)


def test_without_the_packages_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = nifti(tmp_path / "a.nii", np.zeros((4, 4, 4)))
    for name in ("nibabel", "nibabel.filebasedimages"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImageReadError, match="two more packages") as caught:
        read_image(path)
    assert "pspnet-studio[medical]" in caught.value.remedy
