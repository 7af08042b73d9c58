// The video VAE's shuffles between channels and time, rows, columns.
#include "kernels/cpu_ops.h"

namespace ltx2::kernels {

static void depth_to_space_rows(const ShuffleCall & s, Tensor out, int thread, int threads) {
    const int64_t channels = out->ne[0], parts = int64_t{s.time} * s.space * s.space;
    const int64_t width = s.x->ne[1], skip_width = s.skip ? s.skip->ne[0] / parts : 1;
    const int64_t rows = out->ne[2] * out->ne[3];
    float * to = floats(out) + rows * thread / threads * out->ne[1] * channels;
    for (int64_t r = rows * thread / threads; r < rows * (thread + 1) / threads; ++r) {
        const int64_t t = r / out->ne[2] + s.drop, y = r % out->ne[2];
        const int64_t line = y / s.space * width;
        const float * from = frame_of(nullptr, s.x, t / s.time) + line * s.x->ne[0];
        const float * skip = nullptr;
        if (s.skip)
            skip = frame_of(s.skip_past, s.skip, s.skip_first + t / s.time) + line * s.skip->ne[0];
        for (int64_t x = 0; x < out->ne[1]; ++x) {
            const int64_t part = (t % s.time * s.space + y % s.space) * s.space + x % s.space;
            const float * a = from + x / s.space * s.x->ne[0] + part;
            for (int64_t c = 0; c < channels; ++c)
                to[c] = a[c * parts];
            if (skip) {
                const float * b = skip + x / s.space * s.skip->ne[0] + part;
                for (int64_t c = 0; c < channels; ++c)
                    to[c] += b[c % skip_width * parts];
            }
            to += channels;
        }
    }
}

static void space_to_depth_rows(const ShuffleCall & s, Tensor out, int thread, int threads) {
    const int64_t parts = int64_t{s.time} * s.space * s.space;
    const int64_t group = s.skip ? s.skip->ne[0] * parts / out->ne[0] : 1;
    const int64_t rows = out->ne[2] * out->ne[3];
    float * to = floats(out) + rows * thread / threads * out->ne[1] * out->ne[0];
    const auto at = [&](const ggml_tensor * from, int64_t t, int64_t y, int64_t x, int64_t k) {
        const int64_t part = k % parts, channel = k / parts;
        const float * frame = frame_of(nullptr, from, t * s.time + part / (s.space * s.space));
        y = y * s.space + part / s.space % s.space;
        x = x * s.space + part % s.space;
        return frame[(y * from->ne[1] + x) * from->ne[0] + channel];
    };
    for (int64_t r = rows * thread / threads; r < rows * (thread + 1) / threads; ++r) {
        const int64_t t = r / out->ne[2], y = r % out->ne[2];
        for (int64_t x = 0; x < out->ne[1]; ++x)
            for (int64_t n = 0; n < out->ne[0]; ++n) {
                float mean = 0;
                for (int64_t k = n * group; s.skip && k < (n + 1) * group; ++k)
                    mean += at(s.skip, t, y, x, k);
                *to++ = at(s.x, t, y, x, n) + mean / static_cast<float>(group);
            }
    }
}

Tensor depth_to_space(Nodes & g, const ShuffleCall & c) {
    return g.node<depth_to_space_rows>(
        "depth to space",
        {c.x->ne[0] / (c.time * c.space * c.space), c.x->ne[1] * c.space, c.x->ne[2] * c.space,
         c.x->ne[3] * c.time - c.drop},
        {c.x, c.skip, c.skip_past}, std::make_shared<ShuffleCall>(c));
}

Tensor space_to_depth(Nodes & g, const ShuffleCall & c) {
    return g.node<space_to_depth_rows>("space to depth",
                                       {c.x->ne[0] * c.time * c.space * c.space,
                                        c.x->ne[1] / c.space, c.x->ne[2] / c.space,
                                        c.x->ne[3] / c.time},
                                       {c.x, c.skip}, std::make_shared<ShuffleCall>(c));
}

} // namespace ltx2::kernels
