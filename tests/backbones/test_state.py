"""Files of weights: tensors are read, anything else is refused and never run."""

import json
import os
import pickle
import random
import re
import struct
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sktl.backbones import _state
from sktl.backbones._state import read_state
from sktl.exceptions import WeightsError

STATE = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}


def saved(path, state=None):
    state = STATE if state is None else state
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_formats_give_the_same_tensors(tmp_path, suffix):
    state = read_state(saved(tmp_path / f"w{suffix}"))
    assert set(state) == set(STATE)
    assert all(torch.equal(state[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize("key", ["model", "state_dict"])
def test_checkpoint_with_the_state_dict_under_a_name(tmp_path, key):
    torch.save({"epoch": 3, key: STATE}, tmp_path / "w.pth")
    assert set(read_state(tmp_path / "w.pth")) == set(STATE)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_truncated_file_is_named_and_kept(tmp_path, suffix, share):
    path = saved(tmp_path / f"w{suffix}")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(WeightsError, match=rf"w\{suffix} cannot be read as weights.*Remove .*w\\?"):
        read_state(path)
    assert path.exists()


@pytest.mark.parametrize("content", [b"<!DOCTYPE html>", b"hello", b"\x80\x04"])
def test_another_kind_of_file_is_refused(tmp_path, content):
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        read_state(path)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_code_in_a_pickle_is_not_run(tmp_path, writer):
    path, mark = tmp_path / "bomb.pth", tmp_path / "exploded"
    content = {"weight": Bomb(mark)}
    if writer == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(WeightsError, match=r"holds .*mkdir.*refused"):
        read_state(path)
    assert not mark.exists()


def test_a_whole_module_in_a_pickle_is_refused(tmp_path):
    torch.save(nn.Linear(3, 2), tmp_path / "module.pth")
    with pytest.raises(WeightsError, match=r"holds torch\.nn\.modules\.linear\.Linear"):
        read_state(tmp_path / "module.pth")


def test_tensors_without_names_are_refused(tmp_path):
    torch.save([torch.ones(2)], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="holds list, not a state dict"):
        read_state(tmp_path / "list.pth")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"No file of weights at .*nowhere\.pth"):
        read_state(tmp_path / "nowhere.pth")


def test_a_folder_is_told_from_a_missing_file(tmp_path):
    with pytest.raises(WeightsError, match="which is a folder; give the path"):
        read_state(tmp_path)
    with pytest.raises(WeightsError, match=r"~/nowhere\.pth, which is not there \('~' is not exp"):
        read_state("~/nowhere.pth")


@pytest.mark.parametrize("version", ["2.4.1", "2.5.1+cu121", "2.9.1"])
def test_a_torch_that_a_pickle_can_fool_reads_none(tmp_path, monkeypatch, version):
    path = saved(tmp_path / "w.pth")
    monkeypatch.setattr(torch, "__version__", version)
    told = rf"in torch {re.escape(version)} even with weights_only=True .*: refused"
    with pytest.raises(WeightsError, match=told):
        read_state(path)
    assert read_state(saved(tmp_path / "w.safetensors")).keys() == STATE.keys()


@pytest.mark.parametrize("version", ["2.10.0", "2.13.0+cpu", "2.11.0a0+git123", "3.0"])
def test_a_later_torch_reads_pickles(tmp_path, monkeypatch, version):
    path = saved(tmp_path / "w.pth")
    monkeypatch.setattr(torch, "__version__", version)
    assert read_state(path).keys() == STATE.keys()


def header(dtype="F32", shape=(4,), offsets=(0, 16)):
    return {"weight": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def safetensors(head, body=b"0" * 16, length=None):
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


LIES = {
    "a header longer than the file": safetensors(header(), length=500),
    "a header of exabytes": safetensors(header(), length=2**63),
    "a header that is no JSON": safetensors(b"hello"),
    "a header that is no text": safetensors(b'{"\xff": 1}'),
    "a header nested without end": safetensors(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "more bytes than there are": safetensors(header(shape=(8,), offsets=(0, 32))),
    "terabytes": safetensors(header(shape=(2**40,), offsets=(0, 2**42))),
    "a shape beyond all numbers": safetensors(header(shape=(2**62, 2**62))),
    "another shape than bytes": safetensors(header(shape=(400,))),
    "a negative shape": safetensors(header(shape=(-4,))),
    "a type that is none": safetensors(header(dtype="X32")),
    "bytes of two tensors at once": safetensors({**header(), "bias": header()["weight"]}),
    "a gap": safetensors(header(shape=(2,), offsets=(8, 16))),
    "bytes of no tensor": safetensors(header(), body=b"0" * 40),
    "eight zeros": bytes(8),
    "nothing": b"",
    "a pickle": pickle.dumps(STATE),
}


@pytest.mark.parametrize("lie", LIES)
def test_safetensors_that_lie_are_refused(tmp_path, lie):
    path = tmp_path / "w.safetensors"
    path.write_bytes(LIES[lie])
    with pytest.raises(WeightsError, match=r"w\.safetensors cannot be read as weights"):
        read_state(path)


def test_the_same_bytes_without_a_lie_are_read(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(safetensors(header()))
    assert read_state(tmp_path / "w.safetensors")["weight"].shape == (4,)


def test_a_checkpoint_that_would_fill_the_memory_is_refused(tmp_path):
    plain, bomb = saved(tmp_path / "plain.pth", {"w": torch.zeros(5_000_000)}), tmp_path / "b.pth"
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as to:
        for entry in source.infolist():
            to.writestr(entry.filename, source.read(entry))
    assert bomb.stat().st_size < 50_000
    with pytest.raises(WeightsError, match=r"would grow to 200\d{5} bytes .* refused"):
        read_state(bomb)


@pytest.mark.parametrize(
    "value",
    [
        torch.zeros(1).expand(10**12),
        torch.zeros(3, device="meta"),
        torch.eye(3).to_sparse(),
    ],
    ids=["a value repeated to terabytes", "no values", "sparse"],
)
def test_tensors_without_all_of_their_values_are_refused(tmp_path, value):
    torch.save({"good": torch.ones(1), "odd": value}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="holds odd without its values"):
        read_state(tmp_path / "w.pth")


def test_views_of_larger_tensors_are_read(tmp_path):
    torch.save({"w": torch.arange(12.0).reshape(3, 4).T[:2]}, tmp_path / "w.pth")
    assert read_state(tmp_path / "w.pth")["w"].tolist() == [[0, 4, 8], [1, 5, 9]]


def test_names_that_are_none_are_refused(tmp_path):
    torch.save({1: torch.ones(1)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="holds dict, not a state dict"):
        read_state(tmp_path / "w.pth")


def test_a_checkpoint_that_holds_itself_ends(tmp_path):
    state = {}
    state["model"] = state
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="not a state dict"):
        read_state(tmp_path / "w.pth")


def test_compiled_modules_are_refused(tmp_path):
    with pytest.warns(match=r"torch\.jit"):
        torch.jit.save(torch.jit.script(nn.Linear(3, 2)), tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        read_state(tmp_path / "w.pt")


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_old_checkpoints_are_read_and_refused_when_cut(tmp_path, share):
    path = tmp_path / "w.pth"
    torch.save(STATE, path, _use_new_zipfile_serialization=False)
    assert torch.equal(read_state(path)["weight"], STATE["weight"])
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        read_state(path)


def test_arrays_beside_the_tensors_are_not_even_made(tmp_path, monkeypatch):
    import numpy as np

    made = []
    monkeypatch.setattr(_state._LeftOut, "__init__", lambda self, *args: made.append(args))
    sampler = {"order": np.arange(5), "last": np.float64(3), "names": np.array(["a"], object)}
    torch.save({"model": STATE, "sampler": sampler}, tmp_path / "w.pth")
    assert read_state(tmp_path / "w.pth").keys() == STATE.keys()
    assert len(made) >= 3


@pytest.mark.parametrize("kind", ["safetensors", "pth", "pth before torch 1.6"])
def test_damage_anywhere_is_one_kind_of_error(tmp_path, kind):
    path = saved(tmp_path / f"w.{kind.partition(' ')[0]}")
    if "before" in kind:
        torch.save(STATE, path, _use_new_zipfile_serialization=False)
    good, rng, n_refused = path.read_bytes(), random.Random(0), 0
    for _ in range(150):
        content = bytearray(good)
        for _ in range(rng.choice([1, 2, 5])):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content)
        try:
            assert all(isinstance(value, torch.Tensor) for value in read_state(path).values())
        except WeightsError:
            n_refused += 1
    assert n_refused > 20
