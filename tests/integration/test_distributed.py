"""Several processes, and two hosts, that train one network."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from pspnet_core.models.checkpoint import load_checkpoint  # noqa: E402
from pspnet_core.training import fit  # noqa: E402
from pspnet_core.training.distributed import is_one_of_many, is_restarted, own_device  # noqa: E402
from pspnet_core.training.events import Step  # noqa: E402
from tests.benchmarks import scaling_worker  # noqa: E402
from tests.helpers.tiny import write_data_set  # noqa: E402

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch cannot do it")

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
WORKER = ["-m", "tests.benchmarks.scaling_worker"]
STEPS = 4


@pytest.fixture(scope="module")
def losses_of_one():
    config = scaling_worker.train_config(scaling_worker.parse(["unused", "--steps", str(STEPS), "--small", "--exact"]))
    return [event.loss for event in fit(config) if isinstance(event, Step)]


def losses_told(path):
    return list(json.loads(path.read_text())["losses"].values())


def run_together(commands, environments, limit_s=240):
    """Run processes side by side; what they wrote to stdout."""
    running = [
        subprocess.Popen(c, env=e, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for c, e in zip(commands, environments, strict=True)
    ]
    try:
        told = [process.communicate(timeout=limit_s) for process in running]
    finally:
        for process in running:
            process.kill()
    for process, (_, errors) in zip(running, told, strict=True):
        assert process.returncode == 0, errors[-3000:]
    return [text for text, _ in told]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_two_processes_learn_what_one_learns(tmp_path, losses_of_one):
    out = tmp_path / "told.json"
    command = [sys.executable, *WORKER, str(out), "--steps", str(STEPS), "--small", "--exact"]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "WORLD_SIZE": "2"}
    run_together([command] * 2, [ENVIRONMENT | place | {"RANK": rank, "LOCAL_RANK": rank} for rank in "01"])
    assert losses_told(out) == pytest.approx(losses_of_one, abs=1e-8, rel=0)


def torchrun(*arguments):
    start = [sys.executable, "-m", "torch.distributed.run", "--monitor-interval", "0.1"]
    return [*start, *map(str, arguments)]


def test_a_killed_worker_is_replaced_and_training_goes_on(tmp_path, losses_of_one):
    out = tmp_path / "told.json"
    command = torchrun("--standalone", "--nproc-per-node", 2, "--max-restarts", 1)
    command += [*WORKER, str(out), "--steps", str(STEPS), "--small", "--exact", "--kill-at", "3"]
    run_together([command], [ENVIRONMENT])
    told = json.loads(out.read_text())
    assert told["resumed"] in (2, 3)  # the first process may be stopped before it has written
    assert list(told["losses"]) == [str(n) for n in range(told["resumed"] + 1, STEPS + 1)]
    assert losses_told(out) == pytest.approx(losses_of_one[told["resumed"] :], abs=1e-8, rel=0)


def test_the_command_reports_and_writes_once(tmp_path):
    data = write_data_set(tmp_path / "d", train=2, val=2, test=0)
    out = tmp_path / "two.safetensors"
    command = torchrun("--standalone", "--nproc-per-node", 2, "-m", "pspnet_studio", "train", data, "--out", out)
    (text,) = run_together([[*command, "--steps", "2", "--json", "--device", "cpu"]], [ENVIRONMENT])
    events = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    (finished,) = [event for event in events if event["event"] == "finished"]
    assert finished["metrics"]["holdout_images"] == 2
    assert load_checkpoint(out).metrics["steps"] == 2
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [out.name]


@contextmanager
def two_hosts():
    """Two network namespaces with a cable between them; skips where they may not be made."""
    ip = shutil.which("ip")
    if ip is None or not sys.platform.startswith("linux"):
        pytest.skip("network namespaces need Linux and the command ip")
    tag = secrets.token_hex(2)
    names = [f"pspnet{tag}{end}" for end in "ab"]
    if subprocess.run([ip, "netns", "add", names[0]], capture_output=True, check=False).returncode:
        pytest.skip("network namespaces may not be made here")
    try:
        commands = [["netns", "add", names[1]]]
        commands += [["link", "add", f"p{tag}a", "type", "veth", "peer", "name", f"p{tag}b"]]
        for number, (name, end) in enumerate(zip(names, "ab", strict=True), 1):
            commands += [
                ["link", "set", f"p{tag}{end}", "netns", name],
                ["-n", name, "addr", "add", f"10.213.7.{number}/24", "dev", f"p{tag}{end}"],
                ["-n", name, "link", "set", f"p{tag}{end}", "up"],
                ["-n", name, "link", "set", "lo", "up"],
            ]
        for command in commands:
            done = subprocess.run([ip, *command], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"network namespaces cannot be joined here: {done.stderr.strip()}")
        yield [([ip, "netns", "exec", name], f"p{tag}{end}") for name, end in zip(names, "ab", strict=True)]
    finally:
        for name in names:
            subprocess.run([ip, "netns", "del", name], capture_output=True, check=False)


def test_two_hosts_learn_what_one_process_learns(tmp_path, losses_of_one):
    out = tmp_path / "told.json"
    with two_hosts() as hosts:
        commands, environments = [], []
        for rank, (inside, interface) in enumerate(hosts):
            place = ["--nnodes", 2, "--node-rank", rank, "--nproc-per-node", 1]
            place += ["--master-addr", "10.213.7.1", "--master-port", 29400]
            commands.append(
                [*inside, *torchrun(*place), *WORKER, str(out), "--steps", str(STEPS), "--small", "--exact"]
            )
            environments.append(ENVIRONMENT | {"GLOO_SOCKET_IFNAME": interface})
        run_together(commands, environments)
    assert losses_told(out) == pytest.approx(losses_of_one, abs=1e-8, rel=0)


def test_each_process_takes_a_device_of_its_own(monkeypatch):
    second = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    assert is_one_of_many(second)
    assert not is_one_of_many({})
    assert (is_restarted({}), is_restarted({"TORCHELASTIC_RESTART_COUNT": "2"})) == (False, True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert (own_device("auto", second), own_device("auto", {}), own_device("cpu", second)) == ("cpu", "auto", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (own_device("auto", second), own_device("cuda", second)) == ("cuda:1", "cuda:1")
    from pspnet_core.errors import DeviceError

    with pytest.raises(DeviceError, match="cannot share"):
        own_device("cuda:0", second)
