#include "text/encoder.h"

#include "text/gemma.h"

namespace ltx2 {

Tensor HiddenStates::state(Nodes & g, int which) const {
    const Tensor t = values.tensor;
    return ggml_view_2d(g.ctx(), t, t->ne[0], t->ne[1], t->nb[1],
                        static_cast<size_t>(which) * t->nb[2]);
}

std::unique_ptr<TextEncoder> open_text_encoder(const Model & model, Device & device, bool writes) {
    return std::make_unique<Gemma>(model.need(TextEncoder::part), device, writes);
}

} // namespace ltx2
