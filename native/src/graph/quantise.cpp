#include "graph/quantise.h"

#include "base/finite.h"
#include "files/coding.h"
#include "kernels/variant.h"

#include <cmath>
#include <cstring>

namespace ltx2 {

void write_values(ggml_type type, const float * values, int64_t count, void * out) {
    const kernels::Quantise & own = kernels::variant().quantise;
    switch (type) {
    case GGML_TYPE_F16:
        return own.f16(values, out, count);
    case GGML_TYPE_Q8_0:
        return own.q8_0(values, out, count);
    case GGML_TYPE_Q4_K:
        return own.q4_k(values, out, count);
    case GGML_TYPE_Q5_K:
        return own.q5_k(values, out, count);
    case GGML_TYPE_Q6_K:
        return own.q6_k(values, out, count);
    default: // where ggml is fast enough
        ggml_quantize_chunk(type, values, out, 0, 1, count, nullptr);
    }
}

float write_codes(float * values, int64_t count, int8_t * out) {
    rotate(values, count, code_group);
    uint32_t bits = largest_magnitude(values, static_cast<size_t>(count));
    float largest;
    std::memcpy(&largest, &bits, sizeof largest);
    if (bits >= infinite)
        return largest;
    const float scale = largest / 127, inverse = largest > 1e-30f ? 127 / largest : 0;
    for (int64_t i = 0; i < count; ++i)
        out[i] = static_cast<int8_t>(std::nearbyint(values[i] * inverse));
    return scale;
}

} // namespace ltx2
