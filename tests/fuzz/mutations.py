"""Changes to the structure of good files: numbers, names, types, offsets, keys, lengths."""

from __future__ import annotations

import contextlib
import copy
import json
import struct
from typing import TYPE_CHECKING, Any

from gguf_file import ARRAY, SCALARS, STRING, GgufFile, text

if TYPE_CHECKING:
    from random import Random

NUMBERS: list[Any] = [
    *(0, 1, -1, 2, 3, 4, 5, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 1000, 4096),
    *(65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1),
    *(0.5, -0.5, 1e-300, 1e300, 1e-6, 100.5),
]
OTHERS: list[Any] = [
    *(None, True, False, "", "x", [], {}, [1], [[]], "a" * 1000, [0, -1, 2], [0, 4], [4, 0]),
    *("distilled", "linear", "zeros", "reflect", "F32", "F64", "I8", "BOOL", "F8_E4M3", "BF16"),
    *("\x1b[31m", "two\nlines", "\u202eback", "\x9b2J"),
]


def json_value(value: Any, random: Random) -> Any:
    """The same tree, changed in one place or some."""
    value = copy.deepcopy(value)
    for _ in range(random.choice([1, 1, 1, 2, 3, 5])):
        _change_one(value, random)
    return value


def _change_one(value: Any, random: Random) -> None:
    at: Any = None
    key: Any = None
    while isinstance(value, (dict, list)) and value:
        at, key = (
            value,
            random.choice(list(value) if isinstance(value, dict) else range(len(value))),
        )
        if random.random() < 0.2:
            break
        value = at[key]
    if at is None:
        return
    old, how = at[key], random.random()
    if how < 0.1:
        del at[key]
    elif how < 0.2 and isinstance(at, list):
        at.insert(random.randrange(len(at) + 1), copy.deepcopy(random.choice(at)))
    elif how < 0.25 and isinstance(at, dict):
        at[random.choice([str(random.choice(OTHERS)), *at])] = old
    elif how < 0.5 and isinstance(old, (int, float)) and not isinstance(old, bool):
        at[key] = random.choice([old + 1, old - 1, old * 2, old // 2, -old])
    elif how < 0.8:
        at[key] = random.choice(NUMBERS)
    else:
        at[key] = random.choice(OTHERS)


def json_bytes(value: Any, random: Random) -> bytes:
    """As text; now and then damaged, or with one key twice."""
    data = bytearray(json.dumps(value).encode())
    how = random.random()
    if how < 0.04:
        data[random.randrange(len(data))] = random.randrange(256)
    elif how < 0.06:
        data = data[: random.randrange(len(data))]
    elif how < 0.08 and data[:1] == b"{" and len(data) > 2:
        data[1:1] = data[1 : data.find(b":") + 1] + b"0,"
    return bytes(data)


def safetensors(header: Any, data: bytes, random: Random) -> bytes:
    head = json_bytes(header, random)
    if random.random() < 0.05:
        data = data[: random.randrange(len(data))]
    length = len(head) if random.random() > 0.03 else random.choice([0, 1, len(head) + 5, 2**63])
    return struct.pack("<Q", length) + head + data


def gguf(file: GgufFile, random: Random) -> bytes:
    file = copy.copy(file)
    file.entries, file.tensors = copy.deepcopy(file.entries), copy.deepcopy(file.tensors)
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        random.choice([_change_entry, _change_tensor])(file, random)
    data = file.build()
    if random.random() < 0.05:
        data = data[: random.randrange(len(data))]
    return data


def _scalar(kind: int, random: Random) -> bytes:
    form = "<" + SCALARS[kind]
    if kind == 7:
        return bytes([random.choice([0, 1, 2, 255])])
    if form[1] in "fd":
        return struct.pack(form, random.choice([0, -1, 1e-38, 3e38, float("nan"), float("inf"), 1]))
    whole = random.choice([n for n in NUMBERS if isinstance(n, int)])
    return struct.pack("<Q", whole & 2**64 - 1)[: struct.calcsize(form)]


def _changed_array(value: bytes, random: Random) -> bytes:
    kind, count = struct.unpack_from("<IQ", value)
    if not count:
        return value
    out = bytearray(value)
    if SCALARS[kind]:
        size = struct.calcsize(SCALARS[kind])
        at = 12 + size * random.randrange(count)
        out[at : at + size] = _scalar(kind, random)
    elif kind == STRING:
        items, at = [], 12
        for _ in range(count):
            (length,) = struct.unpack_from("<Q", value, at)
            items.append(value[at + 8 : at + 8 + length])
            at += 8 + length
        words = [b"", b" ", b"\xff", b"a" * 600, b"\xe2\x96\x81" * 200, random.choice(items)]
        items[random.randrange(count)] = random.choice(words)
        out[12:] = b"".join(map(text, items))
    return bytes(out)


def _change_entry(file: GgufFile, random: Random) -> None:
    if not file.entries:
        return
    entry, how = random.choice(file.entries), random.random()
    if entry.key == b"config" and how < 0.9:
        with contextlib.suppress(ValueError):  # one change before this one may have damaged it
            changed = json_value(json.loads(entry.value[8:]), random)
            entry.value = text(json_bytes(changed, random))
    elif how < 0.04:
        file.entries.remove(entry)
    elif how < 0.08:
        file.entries.append(copy.deepcopy(entry))
    elif how < 0.12:
        entry.type = random.randrange(14)
    elif how < 0.16:
        entry.key = random.choice(
            [b"", b"\x1b[31m", entry.key + b"\n", random.choice(file.entries).key]
        )
    elif entry.type == STRING:
        words = [b"", b"\x1b]0;x\x07", b"two\nlines", b"\xff", b"a" * 70000]
        entry.value = text(random.choice(words))
    elif entry.type == ARRAY:
        entry.value = _changed_array(entry.value, random)
    else:
        entry.value = _scalar(entry.type, random)


def _change_tensor(file: GgufFile, random: Random) -> None:
    if not file.tensors:
        return
    tensor, how = random.choice(file.tensors), random.random()
    if how < 0.25 and tensor.shape:
        at = random.randrange(len(tensor.shape))
        old = tensor.shape[at]
        sizes = [0, 1, 2, 3, 31, 32, 64, 2**31, 2**32, 2**62, 2**63, 2**64 - 1, old * 2, old // 2]
        tensor.shape[at] = random.choice(sizes)
    elif how < 0.35:
        random.shuffle(tensor.shape)
    elif how < 0.45:
        tensor.shape = tensor.shape[:-1] if random.random() < 0.5 else [*tensor.shape, 1]
    elif how < 0.65:
        tensor.type = random.randrange(42)
    elif how < 0.8:
        old = tensor.offset
        offsets = [0, 8, 32, old + 32, max(0, old - 32), 2**40, 2**63, 2**64 - 32]
        tensor.offset = random.choice([*offsets, len(file.data) // 32 * 32])
    elif how < 0.9:
        other = random.choice(file.tensors).name
        tensor.name = random.choice([other, b"", b"x", b"\x1b[2J", tensor.name + b".x\n"])
    elif how < 0.95:
        file.tensors.remove(tensor)
    else:
        file.tensors.append(copy.deepcopy(tensor))
