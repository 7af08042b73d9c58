// The ways in which ComfyUI's files code weights. docs/comfyui.md describes them.
#pragma once

namespace ltx2 {

enum class Format { e4m3, e5m2, int8, int4, w4a8, w6a8, nvfp4, mxfp8 };

} // namespace ltx2
