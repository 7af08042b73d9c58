"""What has been trained so far as one small file, so that another machine can go on from it.

Matrices and kernels of convolutions are rounded to 8 bits (Q8_0) where their rows fit, the rest to
F16: the decibels of the autoencoders stay as they were.  The transformer, which is large and goes
on learning, is rounded to Q5_1: its loss grows by less than 1 %.  Optimizers begin anew.
"""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import torch
from optim import save

PATH = Path(__file__).resolve().parent / "parts.gguf"
NAMES = ("vae", "sound", "vocoder", "dit", "upsampler")  # of the checkpoints in the work folder


def pack(folder: Path, path: Path = PATH) -> None:
    """Writes the checkpoints that are there."""
    shapes: dict[str, list[int]] = {}
    partial = path.with_suffix(".part")
    writer = gguf.GGUFWriter(partial, "ltx2-demo-parts")
    types = gguf.GGMLQuantizationType
    for part in NAMES:
        kind = types.Q5_1 if part == "dit" else types.Q8_0
        if not (folder / f"{part}.pt").exists():
            continue
        for name, tensor in torch.load(folder / f"{part}.pt", map_location="cpu").items():
            key, values = f"{part}/{name}", tensor.float().numpy()
            shapes[key] = list(values.shape)
            rows = np.ascontiguousarray(values.reshape(len(values) if values.ndim > 1 else 1, -1))
            if values.ndim > 1 and rows.shape[1] % 32 == 0:
                writer.add_tensor(key, gguf.quantize(rows, kind), raw_dtype=kind)
            else:
                writer.add_tensor(key, rows.astype(np.float16 if values.ndim > 1 else np.float32))
    writer.add_string("shapes", json.dumps(shapes))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(path)
    print(f"{path.name}: {len(shapes)} tensors, {path.stat().st_size / 1e6:.2f} MB", flush=True)


def unpack(folder: Path, path: Path = PATH) -> None:
    """Makes the checkpoints of them that are not there."""
    reader = gguf.GGUFReader(path)
    shapes = json.loads(str(reader.fields["shapes"].contents()))
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for tensor in reader.tensors:
        part, name = tensor.name.split("/", 1)
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        rows = torch.from_numpy(np.array(values)).reshape(shapes[tensor.name])
        parts.setdefault(part, {})[name] = rows
    for part, state in parts.items():
        if not (folder / f"{part}.pt").exists():
            save(folder / f"{part}.pt", state)
            print(f"{part}: {len(state)} tensors", flush=True)
