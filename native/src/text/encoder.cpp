#include "text/encoder.h"

#include "text/gemma3.h"

namespace ltx2 {

std::unique_ptr<TextEncoder> open_text_encoder(const Model & model, Device & device) {
    return std::make_unique<Gemma3>(model.need(TextEncoder::part), device);
}

} // namespace ltx2
