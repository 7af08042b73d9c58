#include "kernels/frames.h"

#include "kernels/variant.h"

namespace ltx2::kernels {

const float * frame_of(const ggml_tensor * past, const ggml_tensor * x, int64_t t) {
    const int64_t before = past ? past->ne[3] : 0;
    const ggml_tensor * from = t < before ? past : x;
    return reinterpret_cast<const float *>(static_cast<const char *>(from->data) +
                                           static_cast<size_t>(t < before ? t : t - before) *
                                               from->nb[3]);
}

static void norm_rows(ggml_tensor * out, int ith, int nth, void *) {
    const ggml_tensor * x = out->src[0];
    const ggml_tensor * past = out->ne[3] > x->ne[3] ? out->src[1] : nullptr;
    const int64_t width = out->ne[0], frame = out->ne[1] * out->ne[2];
    const int64_t rows = frame * out->ne[3];
    for (int64_t r = rows * ith / nth; r < rows * (ith + 1) / nth; ++r) {
        const float * from = frame_of(past, x, r / frame) + r % frame * width;
        float * to = static_cast<float *>(out->data) + r * width;
        variant().rows.rms_silu(from, to, width, 1e-8f);
    }
}

ggml_tensor * pixel_norm_silu(ggml_context * ctx, ggml_tensor * past, ggml_tensor * x) {
    ggml_tensor * args[] = {x, past ? past : x};
    const int64_t frames = x->ne[3] + (past ? past->ne[3] : 0);
    return ggml_custom_4d(ctx, GGML_TYPE_F32, x->ne[0], x->ne[1], x->ne[2], frames, args, 2,
                          norm_rows, GGML_N_TASKS_MAX, nullptr);
}

static void depth_to_space_rows(ggml_tensor * out, int ith, int nth, void * data) {
    const Shuffle & s = *static_cast<const Shuffle *>(data);
    const int64_t channels = out->ne[0], parts = int64_t{s.time} * s.space * s.space;
    const int64_t width = s.x->ne[1], skip_width = s.skip ? s.skip->ne[0] / parts : 1;
    const int64_t rows = out->ne[2] * out->ne[3];
    float * to = static_cast<float *>(out->data) + rows * ith / nth * out->ne[1] * channels;
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
    const Shuffle & s = *static_cast<const Shuffle *>(data);
    const int64_t parts = int64_t{s.time} * s.space * s.space;
    const int64_t group = s.skip ? s.skip->ne[0] * parts / out->ne[0] : 1;
    const int64_t rows = out->ne[2] * out->ne[3];
    float * to = static_cast<float *>(out->data) + rows * ith / nth * out->ne[1] * out->ne[0];
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

static std::unique_ptr<Shuffle> shuffle(ggml_context * ctx, const Shuffle & what,
                                        const int64_t (&ne)[4], ggml_custom_op_t function) {
    auto call = std::make_unique<Shuffle>(what);
    ggml_tensor * args[] = {what.x, what.skip ? what.skip : what.x,
                            what.skip_past ? what.skip_past : what.x};
    call->out = ggml_custom_4d(ctx, GGML_TYPE_F32, ne[0], ne[1], ne[2], ne[3], args, 3, function,
                               GGML_N_TASKS_MAX, call.get());
    return call;
}

std::unique_ptr<Shuffle> depth_to_space(ggml_context * ctx, const Shuffle & s) {
    const int64_t ne[] = {s.x->ne[0] / (s.time * s.space * s.space), s.x->ne[1] * s.space,
                          s.x->ne[2] * s.space, s.x->ne[3] * s.time - s.drop};
    return shuffle(ctx, s, ne, depth_to_space_rows);
}

std::unique_ptr<Shuffle> space_to_depth(ggml_context * ctx, const Shuffle & s) {
    const int64_t ne[] = {s.x->ne[0] * s.time * s.space * s.space, s.x->ne[1] / s.space,
                          s.x->ne[2] / s.space, s.x->ne[3] / s.time};
    return shuffle(ctx, s, ne, space_to_depth_rows);
}

} // namespace ltx2::kernels
