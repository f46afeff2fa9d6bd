"""Choice of device and numerics; GPUs are played by fakes."""

import pytest

torch = pytest.importorskip("torch")

from pspnet_core import devices  # noqa: E402
from pspnet_core.errors import DeviceError  # noqa: E402


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))


def test_auto_without_gpu_is_the_cpu(no_gpu):
    assert devices.resolve_device() == torch.device("cpu")


def test_auto_prefers_cuda_then_mps(two_gpus, monkeypatch):
    assert devices.resolve_device("auto") == torch.device("cuda", 0)
    assert devices.resolve_device("cuda:1") == torch.device("cuda", 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert devices.resolve_device("auto") == torch.device("mps")


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps"])
def test_missing_gpu_is_said(no_gpu, name):
    with pytest.raises(DeviceError) as caught:
        devices.resolve_device(name)
    assert caught.value.remedy


def test_missing_gpu_number_names_the_count(two_gpus):
    with pytest.raises(DeviceError, match="cuda:2") as caught:
        devices.resolve_device("cuda:2")
    assert "2" in caught.value.detail


@pytest.mark.parametrize("name", ["gpu", "cpu:0", "cuda:x", "", "mps:1"])
def test_unknown_names_are_wrong_arguments(name):
    with pytest.raises(ValueError, match="device must be"):
        devices.resolve_device(name)


def test_numerics(two_gpus, monkeypatch):
    assert devices.numerics_for(torch.device("cuda", 0)).dtype == torch.bfloat16
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert devices.numerics_for(torch.device("cuda", 0)).dtype is None
    assert devices.numerics_for(torch.device("mps")).memory_format == torch.contiguous_format


def test_autocast_follows_the_processor(monkeypatch):
    x = torch.ones(2, 2)
    for native, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda n=native: {"avx512_bf16": n}, raising=False)
        with devices.numerics_for(torch.device("cpu")).autocast():
            assert (x @ x).dtype == dtype


def test_threads():
    before = torch.get_num_threads()
    try:
        devices.set_threads(1)
        assert torch.get_num_threads() == 1
        devices.set_threads(None)
        assert torch.get_num_threads() == 1
    finally:
        devices.set_threads(before)
    with pytest.raises(ValueError, match="at least 1"):
        devices.set_threads(0)


def test_out_of_memory_is_recognised():
    assert devices.is_out_of_memory(MemoryError())
    assert devices.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert devices.is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"))
    assert not devices.is_out_of_memory(RuntimeError("shape mismatch"))
    assert not devices.is_out_of_memory(ValueError("out of memory"))
    assert "GPU" in devices.out_of_memory(torch.device("cuda"), "training").title


def test_a_real_failed_allocation_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert devices.is_out_of_memory(caught.value)
