// What the nodes that our kernels add to a graph share.
#pragma once

#include "kernels/calls.h"
#include "kernels/scratch.h"

#include <initializer_list>

namespace ltx2::kernels {

// A node that `function` computes from `plan`, which must live until the graph has run. It reads
// `from`, as far as they are there.
ggml_tensor * custom(ggml_context * ctx, const char * name, ggml_type type, Shape ne,
                     std::initializer_list<ggml_tensor *> from, ggml_custom_op_t function,
                     void * plan);
// Likewise, in the place of `out`.
ggml_tensor * custom_inplace(ggml_context * ctx, const char * name, ggml_tensor * out,
                             std::initializer_list<ggml_tensor *> from, ggml_custom_op_t function,
                             void * plan);

// Where index `i` of an axis begins.
inline uint8_t * at(const ggml_tensor * t, int axis, int64_t i) {
    return static_cast<uint8_t *>(t->data) + static_cast<size_t>(i) * t->nb[axis];
}
inline float * floats(const ggml_tensor * t) { return static_cast<float *>(t->data); }
inline float * row_of(const ggml_tensor * t, int64_t row) {
    return reinterpret_cast<float *>(at(t, 1, row));
}

} // namespace ltx2::kernels
