"""What ComfyUI loads where a link to this folder lies in its `custom_nodes`.

It does so under a name of its own, so the nodes are imported from the package that is installed.
"""

from ltx2.comfyui.nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
