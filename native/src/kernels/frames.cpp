#include "kernels/frames.h"

#include "kernels/node.h"
#include "kernels/variant.h"

namespace ltx2::kernels {

const float * frame_of(const ggml_tensor * past, const ggml_tensor * x, int64_t t) {
    const int64_t before = past ? past->ne[3] : 0;
    return reinterpret_cast<const float *>(t < before ? at(past, 3, t) : at(x, 3, t - before));
}

static void norm_rows(ggml_tensor * out, int ith, int nth, void *) {
    const ggml_tensor * x = out->src[0];
    const ggml_tensor * past = out->src[1];
    const int64_t width = out->ne[0], frame = out->ne[1] * out->ne[2];
    const int64_t rows = frame * out->ne[3];
    for (int64_t r = rows * ith / nth; r < rows * (ith + 1) / nth; ++r) {
        const float * from = frame_of(past, x, r / frame) + r % frame * width;
        float * to = floats(out) + r * width;
        variant().rows.rms_silu(from, to, width, 1e-8f);
    }
}

ggml_tensor * pixel_norm_silu(ggml_context * ctx, ggml_tensor * past, ggml_tensor * x) {
    const int64_t frames = x->ne[3] + (past ? past->ne[3] : 0);
    return custom(ctx, "norm and SiLU", GGML_TYPE_F32, {x->ne[0], x->ne[1], x->ne[2], frames},
                  {x, past}, norm_rows, nullptr);
}

static void depth_to_space_rows(ggml_tensor * out, int ith, int nth, void * data) {
    const ShuffleCall & s = static_cast<const ShufflePlan *>(data)->call;
    const int64_t channels = out->ne[0], parts = int64_t{s.time} * s.space * s.space;
    const int64_t width = s.x->ne[1], skip_width = s.skip ? s.skip->ne[0] / parts : 1;
    const int64_t rows = out->ne[2] * out->ne[3];
    float * to = floats(out) + rows * ith / nth * out->ne[1] * channels;
    for (int64_t r = rows * ith / nth; r < rows * (ith + 1) / nth; ++r) {
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

static void space_to_depth_rows(ggml_tensor * out, int ith, int nth, void * data) {
    const ShuffleCall & s = static_cast<const ShufflePlan *>(data)->call;
    const int64_t parts = int64_t{s.time} * s.space * s.space;
    const int64_t group = s.skip ? s.skip->ne[0] * parts / out->ne[0] : 1;
    const int64_t rows = out->ne[2] * out->ne[3];
    float * to = floats(out) + rows * ith / nth * out->ne[1] * out->ne[0];
    const auto at = [&](const ggml_tensor * from, int64_t t, int64_t y, int64_t x, int64_t k) {
        const int64_t part = k % parts, channel = k / parts;
        const float * frame = frame_of(nullptr, from, t * s.time + part / (s.space * s.space));
        y = y * s.space + part / s.space % s.space;
        x = x * s.space + part % s.space;
        return frame[(y * from->ne[1] + x) * from->ne[0] + channel];
    };
    for (int64_t r = rows * ith / nth; r < rows * (ith + 1) / nth; ++r) {
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

static std::shared_ptr<ShufflePlan> shuffle(ggml_context * ctx, const char * name,
                                            const ShuffleCall & call, Shape ne,
                                            ggml_custom_op_t function) {
    auto plan = std::make_shared<ShufflePlan>(ShufflePlan{call});
    plan->out = custom(ctx, name, GGML_TYPE_F32, ne, {call.x, call.skip, call.skip_past}, function,
                       plan.get());
    return plan;
}

std::shared_ptr<ShufflePlan> depth_to_space(ggml_context * ctx, const ShuffleCall & c) {
    return shuffle(ctx, "depth to space", c,
                   {c.x->ne[0] / (c.time * c.space * c.space), c.x->ne[1] * c.space,
                    c.x->ne[2] * c.space, c.x->ne[3] * c.time - c.drop},
                   depth_to_space_rows);
}

std::shared_ptr<ShufflePlan> space_to_depth(ggml_context * ctx, const ShuffleCall & c) {
    return shuffle(ctx, "space to depth", c,
                   {c.x->ne[0] * c.time * c.space * c.space, c.x->ne[1] / c.space,
                    c.x->ne[2] / c.space, c.x->ne[3] / c.time},
                   space_to_depth_rows);
}

} // namespace ltx2::kernels
