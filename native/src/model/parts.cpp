#include "model/parts.h"

namespace ltx2 {

static const char * const checkpoint =
    "an LTX-2 checkpoint: the official .safetensors, or the .gguf `ltx2 convert` makes of it";
static const char * const older = "LTX-Video, older than LTX-2";

static PartRow text_encoder() {
    PartRow row{"text_encoder", "text encoder", Need::always, 2};
    row.signs = {{"blk.#.attn_q_norm.weight", "H"},
                 {"blk.#.attn_k_norm.weight", "H"},
                 {"blk.#.ffn_norm.weight", "D"},
                 {"blk.#.post_ffw_norm.weight", "D"}};
    row.source = "Gemma 3 12B, for LTX-2.5 its own Gemma 4: a .gguf, or a Hugging Face folder";
    row.architectures = {"gemma3",      "gemma3_text",    "gemma4",
                         "gemma4_text", "gemma4_unified", "gemma4_unified_text"};
    row.marks = {{{"blk.#.layer_output_scale.weight", ""}, false, ltx_2_5},
                 {{"blk.#.post_ffw_norm.weight", ""}, false, ltx_2_0 | ltx_2_3}};
    row.shared = {ltx_2_0 | ltx_2_3, ltx_2_5};
    row.trained_together = true;
    row.others = {{{"blk.#.post_ffw_norm.weight", ""}, true, "another language model"},
                  {{"blk.#.attn_q_norm.weight", ""}, true, "Gemma 2"}};
    row.namings = {
        {{""}, "", {{"token_embd.weight"}, {"output_norm.weight"}, {"blk.#.*"}}}, // llama.cpp's
        {{"language_model.model.", "model.language_model.", "model.", ""},        // Hugging Face's
         "",
         {{"embed_tokens.weight", "token_embd.weight"},
          {"norm.weight", "output_norm.weight", 1},
          {"layers.#.input_layernorm.weight", "blk.#.attn_norm.weight", 1},
          {"layers.#.self_attn.q_proj.weight", "blk.#.attn_q.weight"},
          {"layers.#.self_attn.k_proj.weight", "blk.#.attn_k.weight"},
          {"layers.#.self_attn.v_proj.weight", "blk.#.attn_v.weight"},
          {"layers.#.self_attn.o_proj.weight", "blk.#.attn_output.weight"},
          {"layers.#.self_attn.q_norm.weight", "blk.#.attn_q_norm.weight", 1},
          {"layers.#.self_attn.k_norm.weight", "blk.#.attn_k_norm.weight", 1},
          {"layers.#.post_attention_layernorm.weight", "blk.#.post_attention_norm.weight", 1},
          {"layers.#.pre_feedforward_layernorm.weight", "blk.#.ffn_norm.weight", 1},
          {"layers.#.mlp.gate_proj.weight", "blk.#.ffn_gate.weight"},
          {"layers.#.mlp.up_proj.weight", "blk.#.ffn_up.weight"},
          {"layers.#.mlp.down_proj.weight", "blk.#.ffn_down.weight"},
          {"layers.#.post_feedforward_layernorm.weight", "blk.#.post_ffw_norm.weight", 1},
          {"layers.#.layer_scalar", "blk.#.layer_output_scale.weight"}}}};
    row.adds_nothing = "blk.#.layer_output_scale.weight"; // Gemma 4's norms are stored whole
    row.measures = {{"layers", "blk.#.attn_q_norm.weight", -1},
                    {"width", "output_norm.weight", 0},
                    {"vocabulary", "token_embd.weight", 0}};
    return row;
}

static PartRow projection() {
    PartRow row{"projection", "text projection", Need::always, 1};
    row.signs = {{"text_embedding_projection.video_aggregate_embed.weight", "D ?"},
                 {"text_embedding_projection.video_aggregate_embed.bias", "D"},
                 {"text_embedding_projection.aggregate_embed.weight", "D ?"}};
    row.source =
        "an LTX-2 checkpoint: the official .safetensors, or the .gguf `ltx2 convert` makes "
        "of it; LTX-2.5 has it in its text file, gemma4-12b-with-proj-…";
    row.groups = {"transformer"};
    row.namings = {{{"text_embedding_projection.", ""},
                    "text_embedding_projection.",
                    {{"video_aggregate_embed.*"}, {"aggregate_embed.*"}}}};
    row.marks = {
        {{"text_embedding_projection.aggregate_embed.weight", ""}, false, ltx_2_0},
        {{"text_embedding_projection.video_aggregate_embed.weight", ""}, false, ltx_2_3 | ltx_2_5}};
    row.trained_together = true;
    row.sizes = {
        {{"text_embedding_projection.aggregate_embed.weight", "3840 ?"}, ltx_2_0},
        {{"text_embedding_projection.video_aggregate_embed.bias", "4096"}, ltx_2_3 | ltx_2_5}};
    row.measures = {{"width", "text_embedding_projection.video_aggregate_embed.weight", 0},
                    {"inputs", "text_embedding_projection.video_aggregate_embed.weight", 1},
                    {"width", "text_embedding_projection.aggregate_embed.weight", 0},
                    {"inputs", "text_embedding_projection.aggregate_embed.weight", 1}};
    return row;
}

static PartRow connector() {
    PartRow row{"connector", "text connector", Need::always, 2};
    row.signs = {{"video_embeddings_connector.learnable_registers", "? D"},
                 {"video_embeddings_connector.transformer_1d_blocks.#.attn1.q_norm.weight", "D"},
                 {"video_embeddings_connector.transformer_1d_blocks.#.attn1.k_norm.weight", "D"},
                 {"video_embeddings_connector.transformer_1d_blocks.#.ff.net.0.proj.bias", "4D"}};
    row.source = checkpoint;
    row.prefix = "model.diffusion_model.";
    row.belongs_to = "dit"; // ComfyUI has it there, and again beside the text projection
    row.groups = {"transformer"};
    row.namings = {
        {{"model.diffusion_model.video_embeddings_connector.",
          "model.diffusion_model.embeddings_connector.",
          "diffusion_model.video_embeddings_connector.", "diffusion_model.embeddings_connector.",
          "video_embeddings_connector.", "embeddings_connector."},
         "video_embeddings_connector.",
         {{"learnable_registers"}, {"transformer_1d_blocks.#.*"}}}};
    row.marks = {{{"video_embeddings_connector.learnable_registers", "? 3840"}, false, ltx_2_0}};
    row.trained_together = true;
    row.sizes = {
        {{"video_embeddings_connector.learnable_registers", "128 3840"}, ltx_2_0},
        {{"video_embeddings_connector.learnable_registers", "128 4096"}, ltx_2_3 | ltx_2_5}};
    row.measures = {
        {"blocks", "video_embeddings_connector.transformer_1d_blocks.#.attn1.q_norm.weight", -1},
        {"width", "video_embeddings_connector.learnable_registers", 1},
        {"registers", "video_embeddings_connector.learnable_registers", 0}};
    return row;
}

static PartRow dit() {
    PartRow row{"dit", "diffusion transformer", Need::always, 4};
    row.signs = {{"patchify_proj.weight", "D C"},
                 {"proj_out.weight", "C D"},
                 {"scale_shift_table", "2 D"},
                 {"adaln_single.linear.bias", "9D"},
                 {"prompt_adaln_single.linear.bias", "2D"},
                 {"transformer_blocks.#.scale_shift_table", "9 D"},
                 {"transformer_blocks.#.scale_shift_table", "6 D"},
                 {"transformer_blocks.#.attn1.q_norm.weight", "D"}};
    row.source = checkpoint;
    row.prefix = "model.diffusion_model.";
    row.groups = {"transformer", "sampling"};
    row.namings = {{{"model.diffusion_model.", "diffusion_model.", ""},
                    "",
                    {{"patchify_proj.*"},
                     {"adaln_single.*"},
                     {"prompt_adaln_single.*"},
                     {"caption_projection.*"},
                     {"keyframes_abs_pos_embedding"},
                     {"scale_shift_table"},
                     {"proj_out.*"},
                     {"transformer_blocks.#.attn1.*"},
                     {"transformer_blocks.#.attn2.*"},
                     {"transformer_blocks.#.ff.*"},
                     {"transformer_blocks.#.scale_shift_table"},
                     {"transformer_blocks.#.prompt_scale_shift_table"}}}};
    row.others = {{{"caption_projection.linear_1.weight", "? 4096"}, false, older}};
    row.marks = {{{"keyframes_abs_pos_embedding", ""}, false, ltx_2_5},
                 {{"transformer_blocks.#.ff.net.0.proj.bias", ""}, true, ltx_2_5},
                 {{"caption_projection.linear_1.weight", ""}, false, ltx_2_0},
                 {{"transformer_blocks.#.scale_shift_table", "6 ?"}, false, ltx_2_0},
                 {{"scale_shift_table", ""}, false, ltx_2_3}};
    row.trained_together = row.leads = true;
    row.sizes = {{{"scale_shift_table", "2 4096"}}, {{"proj_out.bias", "128"}}};
    row.measures = {{"blocks", "transformer_blocks.#.scale_shift_table", -1},
                    {"width", "scale_shift_table", 1},
                    {"heads", "transformer_blocks.#.attn1.to_gate_logits.bias", 0},
                    {"channels", "proj_out.bias", 0}};
    return row;
}

static PartRow video_vae() {
    PartRow row{"video_vae", "video VAE", Need::always, 3};
    row.signs = {{"vae.encoder.down_blocks.#.res_blocks.#.conv1.conv.bias", "?"},
                 {"vae.decoder.up_blocks.#.res_blocks.#.conv1.conv.bias", "?"},
                 {"vae.decoder.det_stages.#.#.norm1.weight", "?"},
                 {"vae.per_channel_statistics.mean-of-means", "C"},
                 {"vae.per_channel_statistics.std-of-means", "C"}};
    row.source = checkpoint;
    row.groups = {"vae"};
    row.namings = {{{"vae.", ""},
                    "vae.",
                    {{"encoder.*"},
                     {"decoder.*"},
                     {"per_channel_statistics.mean-of-means"},
                     {"per_channel_statistics.std-of-means"}}}};
    row.others = {{{"vae.decoder.last_time_embedder.*", ""}, false, older}};
    row.marks = {{{"vae.decoder.up_blocks.3.conv.conv.bias", "2048"}, false, ltx_2_0},
                 {{"vae.decoder.up_blocks.7.conv.conv.bias", ""}, false, ltx_2_3 | ltx_2_5},
                 {{"vae.decoder.det_stages.*", ""}, false, ltx_2_3 | ltx_2_5}};
    row.shared = {ltx_2_0, ltx_2_3 | ltx_2_5}; // whose latents are the same
    row.sizes = {
        {{"vae.encoder.down_blocks.8.res_blocks.0.conv1.conv.bias", "2048"}, ltx_2_0},
        {{"vae.encoder.down_blocks.8.res_blocks.0.conv1.conv.bias", "1024"}, ltx_2_3 | ltx_2_5},
        {{"vae.decoder.conv_in.conv.bias", "1024"}},
        {{"vae.decoder.conv_in.bias", "2048"}, ltx_2_3 | ltx_2_5}, // that denoises
        {{"vae.decoder.up_blocks.5.conv.conv.bias", "1024"}, ltx_2_0},
        {{"vae.decoder.up_blocks.7.conv.conv.bias", "512"}, ltx_2_3 | ltx_2_5}};
    row.measures = {{"channels", "vae.per_channel_statistics.mean-of-means", 0},
                    {"denoising_blocks", "vae.decoder.diff_blocks.#.norm1.weight", -1}};
    return row;
}

// A part that is recognised, and refused or left alone.
static PartRow unused(const char * id, const char * title, std::vector<Sign> signs,
                      const char * refusal = nullptr, int enough = 1, Need need = Need::never) {
    PartRow row{id, title, need, enough, std::move(signs)};
    row.refusal = refusal;
    return row;
}

// What the three rows of the sound's side of the model have in common with the video's.
static PartRow sound(const char * id, const char * title, int enough) {
    PartRow row{id, title, Need::optional, enough};
    row.source = checkpoint;
    row.groups = {"transformer"};
    row.sound = true;
    return row;
}

static PartRow audio_projection() {
    PartRow row = sound("audio_projection", "text projection for the sound", 1);
    row.signs = {{"text_embedding_projection.audio_aggregate_embed.weight", "D ?"},
                 {"text_embedding_projection.audio_aggregate_embed.bias", "D"}};
    row.namings = {{{"text_embedding_projection.", ""},
                    "text_embedding_projection.",
                    {{"audio_aggregate_embed.*"}}}};
    row.trained_together = true;
    row.measures = {{"width", "text_embedding_projection.audio_aggregate_embed.weight", 0},
                    {"inputs", "text_embedding_projection.audio_aggregate_embed.weight", 1}};
    return row;
}

static PartRow audio_connector() {
    PartRow row = sound("audio_connector", "text connector for the sound", 2);
    row.signs = {{"audio_embeddings_connector.learnable_registers", "? D"},
                 {"audio_embeddings_connector.transformer_1d_blocks.#.attn1.q_norm.weight", "D"},
                 {"audio_embeddings_connector.transformer_1d_blocks.#.attn1.k_norm.weight", "D"},
                 {"audio_embeddings_connector.transformer_1d_blocks.#.ff.net.0.proj.bias", "4D"}};
    row.prefix = "model.diffusion_model.";
    row.belongs_to = "audio_dit";
    row.trained_together = true;
    row.namings = {{{"model.diffusion_model.audio_embeddings_connector.",
                     "diffusion_model.audio_embeddings_connector.", "audio_embeddings_connector."},
                    "audio_embeddings_connector.",
                    {{"learnable_registers"}, {"transformer_1d_blocks.#.*"}}}};
    row.measures = {
        {"blocks", "audio_embeddings_connector.transformer_1d_blocks.#.attn1.q_norm.weight", -1},
        {"width", "audio_embeddings_connector.learnable_registers", 1},
        {"registers", "audio_embeddings_connector.learnable_registers", 0}};
    return row;
}

static PartRow audio_dit() {
    PartRow row = sound("audio_dit", "diffusion transformer's side for the sound", 3);
    row.signs = {{"audio_patchify_proj.weight", "D C"},
                 {"audio_proj_out.weight", "C D"},
                 {"audio_scale_shift_table", "2 D"},
                 {"audio_adaln_single.linear.bias", "9D"},
                 {"audio_prompt_adaln_single.linear.bias", "2D"},
                 {"transformer_blocks.#.audio_scale_shift_table", "9 D"},
                 {"transformer_blocks.#.audio_scale_shift_table", "6 D"},
                 {"transformer_blocks.#.scale_shift_table_a2v_ca_audio", "5 D"},
                 {"transformer_blocks.#.audio_attn1.q_norm.weight", "D"}};
    row.prefix = "model.diffusion_model.";
    row.namings = {{{"model.diffusion_model.", "diffusion_model.", ""},
                    "",
                    {{"audio_patchify_proj.*"},
                     {"audio_adaln_single.*"},
                     {"audio_prompt_adaln_single.*"},
                     {"audio_caption_projection.*"},
                     {"audio_scale_shift_table"},
                     {"audio_proj_out.*"},
                     {"av_ca_*"},
                     {"transformer_blocks.#.*audio*"},
                     {"transformer_blocks.#.*a2v*"}}}};
    row.marks = {{{"audio_caption_projection.linear_1.weight", ""}, false, ltx_2_0},
                 {{"transformer_blocks.#.audio_scale_shift_table", "6 ?"}, false, ltx_2_0}};
    row.trained_together = true;
    row.measures = {{"blocks", "transformer_blocks.#.audio_scale_shift_table", -1},
                    {"width", "audio_scale_shift_table", 1},
                    {"channels", "audio_proj_out.bias", 0}};
    return row;
}

static PartRow upsampler() {
    PartRow row{"upsampler", "latent upsampler", Need::optional, 3};
    row.signs = {{"initial_conv.bias", "M"},
                 {"initial_norm.weight", "M"},
                 {"final_conv.bias", "C"},
                 {"res_blocks.#.conv1.bias", "M"},
                 {"post_upsample_res_blocks.#.conv1.bias", "M"}};
    row.never = {{"upsampler.0.bias", "2M"}, {"initial_norm.weight", "M"}}; // twice the frames
    row.source = "a latent upsampler of the same generation";
    row.shared = {ltx_2_0, ltx_2_3 | ltx_2_5};
    row.namings = {{{""},
                    "",
                    {{"initial_conv.*"},
                     {"initial_norm.*"},
                     {"res_blocks.#.*"},
                     {"upsampler.*"},
                     {"post_upsample_res_blocks.#.*"},
                     {"final_conv.*"}}}};
    row.measures = {{"width", "initial_norm.weight", 0}, {"channels", "final_conv.bias", 0}};
    return row;
}

static PartRow temporal_upsampler() {
    PartRow row = upsampler();
    row.id = "temporal_upsampler", row.title = "temporal latent upsampler";
    row.only = std::move(row.never);
    row.source = "a temporal latent upsampler of the same generation";
    return row;
}

static PartRow duration_head() {
    PartRow row{"duration_head", "duration head", Need::optional, 2};
    row.signs = {{"duration_head.video_modality_emb", "D"},
                 {"duration_head.audio_modality_emb", "D"},
                 {"duration_head.attention_pooler.query_tokens", "? D"},
                 {"duration_head.mlp_out.bias", "1"}};
    row.source = "LTX-2.5's duration head";
    row.marks = {{{"duration_head.video_modality_emb", ""}, false, ltx_2_5}};
    row.namings = {{{"duration_head.", ""},
                    "duration_head.",
                    {{"video_input_proj.*"},
                     {"audio_input_proj.*"},
                     {"video_modality_emb"},
                     {"audio_modality_emb"},
                     {"attention_pooler.*"},
                     {"mlp_hidden.*"},
                     {"mlp_out.*"}}}};
    row.measures = {{"width", "duration_head.video_modality_emb", 0}};
    return row;
}

static PartRow audio_vae() {
    PartRow row{"audio_vae", "audio VAE", Need::optional, 3};
    row.signs = {{"audio_vae.encoder.conv_in.conv.weight", "E 2 3 3"},
                 {"audio_vae.encoder.conv_out.conv.weight", "? F 3 3"},
                 {"audio_vae.encoder.mid.block_1.conv1.conv.weight", "F F 3 3"},
                 {"audio_vae.decoder.mid.block_1.conv1.conv.weight", "D D 3 3"},
                 {"audio_vae.decoder.conv_in.conv.weight", "D ? 3 3"},
                 {"audio_vae.decoder.conv_out.conv.weight", "2 ? 3 3"}};
    row.source = checkpoint;
    row.groups = {"audio_vae"};
    row.namings = {{{"audio_vae.", ""},
                    "audio_vae.",
                    {{"encoder.*"},
                     {"decoder.*"},
                     {"per_channel_statistics.mean-of-means"},
                     {"per_channel_statistics.std-of-means"}}}};
    row.shared = {ltx_2_0, ltx_2_3 | ltx_2_5};
    row.measures = {{"width", "audio_vae.encoder.conv_in.conv.bias", 0},
                    {"channels", "audio_vae.per_channel_statistics.mean-of-means", 0}};
    row.sound = true;
    return row;
}

static PartRow vocoder() {
    PartRow row{"vocoder", "vocoder", Need::optional, 2};
    row.signs = {{"vocoder.vocoder.conv_pre.weight", "D 128 7"},
                 {"vocoder.vocoder.conv_post.weight", "2 ? 7"},
                 {"vocoder.bwe_generator.conv_pre.weight", "E 128 7"},
                 {"vocoder.bwe_generator.conv_post.weight", "2 ? 7"},
                 {"vocoder.conv_pre.weight", "F 128 7"},
                 {"vocoder.conv_post.weight", "2 ? 7"}};
    row.source = checkpoint;
    row.groups = {"vocoder"};
    row.namings = {{{"vocoder."}, "vocoder.", {{"*"}}}};
    row.shared = {any_generation}; // spectrograms are the same
    row.measures = {{"width", "vocoder.vocoder.conv_pre.bias", 0},
                    {"width", "vocoder.conv_pre.bias", 0},
                    {"extension", "vocoder.bwe_generator.conv_pre.bias", 0}};
    row.sound = true;
    return row;
}

const std::vector<PartRow> & part_rows() {
    static const std::vector<PartRow> rows = {
        text_encoder(),
        projection(),
        connector(),
        dit(),
        video_vae(),
        audio_projection(),
        audio_connector(),
        audio_dit(),
        audio_vae(),
        vocoder(),
        unused("vision", "vision tower of the text encoder",
               {{"*vision_tower.vision_model.*", ""},
                {"*multi_modal_projector.mm_*", ""},
                {"mm.input_projection.weight", ""}}),
        upsampler(),
        temporal_upsampler(),
        duration_head(),
        unused("diffusers", "part with the names of diffusers",
               {{"transformer_blocks.#.attn1.norm_q.weight", "D"},
                {"transformer_blocks.#.scale_shift_table", "9 D"},
                {"time_embed.linear.bias", "9D"},
                {"proj_in.weight", "D ?"},
                {"latents_mean", "C"},
                {"latents_std", "C"},
                {"video_connector.learnable_registers", "? E"},
                {"video_connector.transformer_blocks.#.attn1.norm_q.weight", "E"}},
               "has the tensor names of diffusers, which are not read; give the official files", 2),
        unused("adapter", "adapter (LoRA)",
               {{"*lora*", ""},
                {"*.lokr_*", ""},
                {"*.hada_*", ""},
                {"*.oft_*", ""},
                {"*.diff", ""},
                {"*.diff_b", ""},
                {"*.dora_scale", ""},
                {"*.on_input", ""}},
               "is an adapter (LoRA) and no model; give it beside one, as --lora", 1,
               Need::extends),
    };
    return rows;
}

} // namespace ltx2
