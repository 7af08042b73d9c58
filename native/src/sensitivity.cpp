// What rounding each group of matrices costs: measured on the demo model by
// `scripts/quantisation_cost.py --sensitivity`, which writes the numbers of this table anew;
// docs/quantisation.md says how far they can be trusted. Data; storage.cpp reads it.
#include "storage.h"

namespace ltx2 {

const std::vector<Group> & groups() {
    static const std::vector<Group> rows = {
        {"blk.#.attn_q.weight", 7.24e-05},
        {"blk.#.attn_k.weight", 0.000108},
        {"blk.#.attn_v.weight", 0.000146},
        {"blk.#.attn_output.weight", 0.000249},
        {"blk.#.ffn_gate.weight", 0.000103},
        {"blk.#.ffn_up.weight", 8.6e-05},
        {"blk.#.ffn_down.weight", 0.000121},
        {"text_embedding_projection.video*", 0.00125},
        {"*video_embeddings_connector.*.attn1.*", 0.00253},
        {"*video_embeddings_connector.*.ff.*", 0.0012},
        {"*.transformer_blocks.#.attn1.to_q.weight", 0.00475},
        {"*.transformer_blocks.#.attn1.to_k.weight", 0.00398},
        {"*.transformer_blocks.#.attn1.to_v.weight", 0.0117},
        {"*.transformer_blocks.#.attn1.to_out.0.weight", 0.00506},
        {"*.transformer_blocks.#.attn2.to_q.weight", 0.00185},
        {"*.transformer_blocks.#.attn2.to_k.weight", 0.001},
        {"*.transformer_blocks.#.attn2.to_v.weight", 0.00184},
        {"*.transformer_blocks.#.attn2.to_out.0.weight", 0.00205},
        {"*.transformer_blocks.#.ff.net.0.proj.weight", 0.00274},
        {"*.transformer_blocks.#.ff.net.2.weight", 0.00249},
        {"*", 0.00217},
    };
    return rows;
}

} // namespace ltx2
