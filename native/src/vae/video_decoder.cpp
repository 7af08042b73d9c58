#include "vae/video_decoder.h"

#include "vae/conv_decoder.h"
#include "vae/diffusion_decoder.h"

namespace ltx2 {

std::unique_ptr<VideoDecoder> open_video_decoder(const Model & model, Device & device) {
    if (DiffusionDecoder::is_in(model))
        return std::make_unique<DiffusionDecoder>(model, device);
    return std::make_unique<ConvDecoder>(model, device);
}

void to_pixels(const float * patches, int64_t width, int64_t p, uint8_t * rows) {
    const int64_t line = width * p * 3;
    for (int64_t x = 0; x < width; ++x, patches += 3 * p * p)
        for (int64_t i = 0; i < 3; ++i)
            for (int64_t r = 0; r < p; ++r)
                for (int64_t q = 0; q < p; ++q) {
                    const float value = (patches[(i * p + r) * p + q] + 1.0f) / 2.0f;
                    // The comparisons send NaN to 0, which a cast would not.
                    const float byte = value > 0.0f ? (value < 1.0f ? value : 1.0f) * 255.0f : 0.0f;
                    rows[q * line + (x * p + r) * 3 + i] = static_cast<uint8_t>(byte);
                }
}

} // namespace ltx2
