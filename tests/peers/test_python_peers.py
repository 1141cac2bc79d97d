# SPDX-License-Identifier: Apache-2.0
"""ken_delta beside the real safetensors, torch and transformers: what it makes is what a model is loaded from, to the last bit of its answers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "client" / "python"
sys.path.insert(0, str(PACKAGE))
import ken_delta  # noqa: E402

torch: Any = pytest.importorskip("torch")
safetensors: Any = pytest.importorskip("safetensors")
safetensors_numpy: Any = pytest.importorskip("safetensors.numpy")
safetensors_torch: Any = pytest.importorskip("safetensors.torch")
transformers: Any = pytest.importorskip("transformers")

torch.set_num_threads(1)  # the tensors are small
KENCTL = Path(os.environ["KEND_BUILD"]) / "kenctl"
ENCODINGS = ("plain", "packed")


def recipe() -> Any:
    """The function `inject` of the package's README, as it stands there."""
    readme = (PACKAGE / "README.md").read_text()
    (code,) = re.findall(r"```python\n(def to_numpy.*?)```", readme, re.DOTALL)
    names = {"torch": torch, "ken_delta": ken_delta}
    exec(code, names)
    return names["inject"]


# ---- a pair


def make_bert(dtype: Any = torch.float32, labels: int = 3) -> Any:
    torch.manual_seed(1)
    config = transformers.BertConfig(
        vocab_size=300,
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=96,
        num_labels=labels,
    )
    return transformers.BertForSequenceClassification(config).to(dtype)


def tune(model: Any) -> Any:
    """Moves every parameter a little, as fine-tuning would, and the classifier more."""
    torch.manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            size = 0.5 if name.startswith("classifier") else 0.01
            parameter += size * torch.randn(parameter.shape).to(parameter.dtype)
    return model


def make_pair(folder: Path, dtype: Any, **options: Any) -> "tuple[Path, Path]":
    """Folders of a tuned BERT and of its base, as transformers saves them."""
    make_bert(dtype).save_pretrained(folder / "base", safe_serialization=True, **options)
    tune(make_bert(dtype)).save_pretrained(folder / "tuned", safe_serialization=True, **options)
    return folder / "tuned", folder / "base"


def prune(tuned: Path, base: Path, encoding: str) -> Path:
    """The folder that kenctl prunes to, with the model's configuration in it."""
    out = tuned.parent / f"pruned-{encoding}"
    command = [
        KENCTL,
        "prune",
        "--model",
        tuned,
        "--base",
        base,
        "--keep",
        "0.3",
        "--delta-encoding",
        encoding,
        "-o",
        out,
    ]
    ended = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    shutil.copy(tuned / "config.json", out)
    return out


def logits(folder: Path, dtype: Any) -> Any:
    """What the model in a folder answers to some input."""
    model = transformers.BertForSequenceClassification.from_pretrained(folder, torch_dtype=dtype).eval()
    assert model.dtype == dtype
    torch.manual_seed(3)
    with torch.no_grad():
        return model(torch.randint(0, 300, (4, 20))).logits


def same_bits(one: Any, other: Any) -> bool:
    word = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[one.element_size()]
    return bool(one.dtype == other.dtype and torch.equal(one.view(word), other.view(word)))


# ---- tests


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16, torch.float16), ids=("F32", "BF16", "F16"))
def test_a_transformers_model_gives_the_same_logits(tmp_path: Path, dtype: Any, encoding: str) -> None:
    tuned, base = make_pair(tmp_path, dtype)
    pruned = prune(tuned, base, encoding)
    made = tmp_path / "made"
    made.mkdir()
    ken_delta.apply_files(base, pruned / "delta.safetensors", made / "model.safetensors")
    shutil.copy(tuned / "config.json", made)
    assert (made / "model.safetensors").read_bytes() == (pruned / "model.safetensors").read_bytes()
    if dtype == torch.float16:
        return  # of Debian's torch, the processor has no kernels for it
    dense = logits(pruned, dtype)
    assert same_bits(logits(made, dtype), dense)
    assert not same_bits(logits(base, dtype), dense) and not same_bits(logits(tuned, dtype), dense)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_shards(tmp_path: Path, encoding: str) -> None:
    tuned, base = make_pair(tmp_path, torch.float32, max_shard_size="100KB")
    pruned = prune(tuned, base, encoding)
    made = tmp_path / "made"
    ken_delta.apply_files(base, pruned / "delta.safetensors", made)
    assert len(list(made.glob("model-*.safetensors"))) > 2
    for path in made.iterdir():
        assert path.read_bytes() == (pruned / path.name).read_bytes(), path.name
    shutil.copy(tuned / "config.json", made)
    assert same_bits(logits(made, torch.float32), logits(pruned, torch.float32))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_state_dicts(tmp_path: Path, encoding: str) -> None:
    """The README's recipe: tensors of torch, BF16 among them, through arrays and back into a module."""
    for dtype in (torch.float32, torch.bfloat16):
        tuned, base = make_pair(tmp_path / str(dtype), dtype)
        pruned = prune(tuned, base, encoding)
        module = make_bert(dtype)
        recipe()(module, pruned / "delta.safetensors")
        state = module.state_dict()
        for name, tensor in safetensors_torch.load_file(pruned / "model.safetensors").items():
            assert same_bits(state[name], tensor), name
        torch.manual_seed(3)
        with torch.no_grad():
            answer = module.eval()(torch.randint(0, 300, (4, 20))).logits
        assert same_bits(answer, logits(pruned, dtype))


def test_a_base_of_another_class(tmp_path: Path) -> None:
    """The recipe tells of names that the module has not, and takes the base from another module."""
    tuned, _base = make_pair(tmp_path, torch.float32)
    make_bert().bert.save_pretrained(tmp_path / "encoder", safe_serialization=True)
    delta = prune(tuned, tmp_path / "encoder", "plain") / "delta.safetensors"
    encoder = transformers.BertModel.from_pretrained(tmp_path / "encoder")
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    with pytest.raises(ValueError, match="BertModel has no parameter bert.embeddings"):
        recipe()(encoder, delta)
    assert all(same_bits(tensor, before[name]) for name, tensor in encoder.state_dict().items())
    module = make_bert()
    recipe()(module, delta, encoder)
    state = module.state_dict()
    for name, tensor in safetensors_torch.load_file(delta.parent / "model.safetensors").items():
        assert same_bits(state[name], tensor), name


def test_float8_through_the_recipe(tmp_path: Path) -> None:
    if not hasattr(torch, "float8_e4m3fn"):
        pytest.skip("PyTorch has no 8-bit floats")
    base = {
        "a": torch.randn(4, 8).to(torch.float8_e4m3fn),
        "b": torch.randn(4, 8),
        "c": torch.randn(3).to(torch.float8_e5m2),
    }
    tuned = {name: (tensor.float() * 1.5).to(tensor.dtype) for name, tensor in base.items()}
    for name, tensors in (("base", base), ("tuned", tuned)):
        (tmp_path / name).mkdir()
        safetensors_torch.save_file(tensors, tmp_path / name / "model.safetensors")
    (tmp_path / "tuned" / "config.json").touch()
    delta = prune(tmp_path / "tuned", tmp_path / "base", "plain") / "delta.safetensors"
    module = torch.nn.Module()
    for name, tensor in base.items():
        module.register_buffer(name, tensor)
    recipe()(module, delta)
    for name, tensor in safetensors_torch.load_file(delta.parent / "model.safetensors").items():
        assert same_bits(getattr(module, name), tensor), name


def test_tensors_of_torch_as_they_are(tmp_path: Path) -> None:
    """numpy.asarray makes arrays of what NumPy has a dtype for."""
    tuned, base = make_pair(tmp_path, torch.float32)
    pruned = prune(tuned, base, "plain")
    arrays = ken_delta.apply(make_bert().state_dict(), pruned / "delta.safetensors")
    dense = safetensors_numpy.load_file(pruned / "model.safetensors")
    assert all(arrays[name].tobytes() == array.tobytes() for name, array in dense.items())


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_safetensors_reads_deltas_and_what_is_made(tmp_path: Path, encoding: str) -> None:
    tuned, base = make_pair(tmp_path, torch.float32)
    pruned = prune(tuned, base, encoding)
    delta = pruned / "delta.safetensors"
    with safetensors.safe_open(delta, framework="numpy") as opened:
        assert opened.metadata()["format"] == "ken-delta" and opened.metadata()["encoding"] == encoding
        suffixes = {"packed": {"packed"}, "plain": {"values", "mask", "gaps", "whole"}}[encoding]
        for name in opened.keys():
            assert name.rsplit(".", 1)[1] in suffixes
            opened.get_tensor(name)
    arrays = ken_delta.apply(safetensors_numpy.load_file(base / "model.safetensors"), delta)
    dense = safetensors_numpy.load_file(pruned / "model.safetensors")
    assert set(arrays) == set(dense)
    for name, array in dense.items():
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)
        assert arrays[name].tobytes() == array.tobytes(), name
    ken_delta.apply_files(base, delta, tmp_path / "made.safetensors")
    with safetensors.safe_open(tmp_path / "made.safetensors", framework="pt") as opened:
        assert set(opened.keys()) == set(dense) and opened.metadata() == {"format": "pt"}
        assert all(opened.get_tensor(name).numpy().tobytes() == array.tobytes() for name, array in dense.items())
