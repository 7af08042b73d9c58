"""ComfyUI as a node sees it, where ComfyUI and PyTorch are not: how it loads a folder of
`custom_nodes`, what it asks of a node's class, how it checks inputs and calls, and its hooks.

From its documentation (docs.comfy.org, "Custom nodes") and the behaviour of its `nodes.py`,
`execution.py`, `comfy/utils.py` and `comfy/model_management.py`.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

WIDGETS = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}


class InterruptProcessingException(Exception):  # noqa: N818 - its name there
    pass


@dataclass
class Tensor:
    """What the nodes use of torch's."""

    values: Any

    def __len__(self) -> int:
        return len(self.values)

    def cpu(self) -> Tensor:
        return self

    def numpy(self) -> Any:
        return self.values


@dataclass
class ComfyUI:
    shown: list[tuple[int, int]] = field(default_factory=list)
    """What the node's bar was told: value, total."""
    interrupt_at: int = -1
    """The user interrupts when so many have been shown."""
    nodes: dict[str, Any] = field(default_factory=dict)

    def load_custom_node(self, path: Path) -> None:
        """A folder's module gets a name of its path."""
        name = str(path).replace(".", "_x_")
        spec = importlib.util.spec_from_file_location(name, path / "__init__.py")
        assert spec
        assert spec.loader
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.nodes.update(module.NODE_CLASS_MAPPINGS)
        assert module.NODE_CLASS_MAPPINGS.keys() == module.NODE_DISPLAY_NAME_MAPPINGS.keys()

    def execute(self, node: str, **inputs: Any) -> tuple[Any, ...]:
        """What a widget holds is checked; one that is not given is as it is at first."""
        kind = self.nodes[node]
        listed = kind.INPUT_TYPES()
        required, optional = listed["required"], listed.get("optional", {})
        given = {name: first(required[name]) for name in required if name not in inputs} | inputs
        for name, value in given.items():
            check(name, {**required, **optional}[name], value)
        results: tuple[Any, ...] = getattr(kind(), kind.FUNCTION)(**given)
        assert isinstance(results, tuple)
        assert len(results) == len(kind.RETURN_TYPES) == len(kind.RETURN_NAMES)
        return results


def first(widget: tuple[Any, ...]) -> Any:
    """A link has no such value."""
    if isinstance(widget[0], list):
        return widget[0][0]
    return WIDGETS[widget[0]](widget[1]["default"])


def check(name: str, widget: tuple[Any, ...], value: Any) -> None:
    if isinstance(widget[0], list):
        assert value in widget[0], name
    elif widget[0] in WIDGETS:
        assert isinstance(value, WIDGETS[widget[0]]), name
        if widget[0] in ("INT", "FLOAT"):
            assert widget[1]["min"] <= value <= widget[1]["max"], name


def installed(monkeypatch: pytest.MonkeyPatch) -> ComfyUI:
    """Its modules can be imported until the test is over."""
    comfy = ComfyUI()

    class ProgressBar:
        def __init__(self, total: int, node_id: Any = None) -> None:
            self.total = total

        def update_absolute(
            self, value: int, total: int | None = None, preview: Any = None
        ) -> None:
            comfy.shown.append((value, total or self.total))

    def throw() -> None:
        if comfy.interrupt_at == len(comfy.shown):
            raise InterruptProcessingException

    modules: dict[str, dict[str, Any]] = {
        "comfy": {},
        "comfy.utils": {"ProgressBar": ProgressBar},
        "comfy.model_management": {"throw_exception_if_processing_interrupted": throw},
        "torch": {"from_numpy": from_numpy},
    }
    for name, content in modules.items():
        if name == "torch" and importlib.util.find_spec("torch"):
            continue
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return comfy


def from_numpy(values: Any) -> Tensor:
    """As torch's, which warns where it is read-only."""
    assert values.flags.writeable
    return Tensor(values)


def picture_batch(*pictures: Any) -> Any:
    """IMAGE."""
    import torch

    return torch.from_numpy(np.stack(pictures).astype(np.float32))
