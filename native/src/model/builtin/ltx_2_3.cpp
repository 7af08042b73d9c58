#include "model/builtin/generations.h"

namespace ltx2 {

const char * const ltx23_config = R"({
"transformer": {"num_layers": 48, "num_attention_heads": 32, "attention_head_dim": 128,
  "in_channels": 128, "out_channels": 128, "caption_channels": 3840, "cross_attention_dim": 4096,
  "norm_eps": 1e-6, "activation_fn": "gelu-approximate", "attention_bias": true,
  "norm_elementwise_affine": false, "qk_norm": "rms_norm", "standardization_norm": "rms_norm",
  "cross_attention_norm": true, "positional_embedding_type": "rope", "rope_type": "split",
  "frequencies_precision": "float64", "positional_embedding_theta": 10000.0,
  "positional_embedding_max_pos": [20, 2048, 2048], "use_middle_indices_grid": true,
  "timestep_scale_multiplier": 1000, "apply_gated_attention": true, "cross_attention_adaln": true,
  "connector_num_layers": 8, "connector_num_attention_heads": 32,
  "connector_attention_head_dim": 128, "connector_apply_gated_attention": true,
  "connector_positional_embedding_max_pos": [4096], "caption_proj_before_connector": true,
  "caption_projection_first_linear": false, "caption_projection_second_linear": false,
  "caption_proj_input_norm": false, "share_ff": false,
  "audio_connector_num_attention_heads": 32, "audio_connector_attention_head_dim": 64,
  "av_ca_timestep_scale_multiplier": 1000.0},
"vae": {"dims": 3, "in_channels": 3, "out_channels": 3, "latent_channels": 128, "patch_size": 4,
  "norm_layer": "pixel_norm", "latent_log_var": "uniform", "causal_decoder": false,
  "timestep_conditioning": false, "spatial_padding_mode": "zeros", "encoder_base_channels": 128,
  "decoder_base_channels": 128,
  "encoder_blocks": [["res_x", {"num_layers": 4}], ["compress_space_res", {"multiplier": 2}],
    ["res_x", {"num_layers": 6}], ["compress_time_res", {"multiplier": 2}],
    ["res_x", {"num_layers": 4}], ["compress_all_res", {"multiplier": 2}],
    ["res_x", {"num_layers": 2}], ["compress_all_res", {"multiplier": 1}],
    ["res_x", {"num_layers": 2}]],
  "decoder_blocks": [["res_x", {"num_layers": 4}], ["compress_space", {"multiplier": 2}],
    ["res_x", {"num_layers": 6}], ["compress_time", {"multiplier": 2}],
    ["res_x", {"num_layers": 4}], ["compress_all", {"multiplier": 1}],
    ["res_x", {"num_layers": 2}], ["compress_all", {"multiplier": 2}],
    ["res_x", {"num_layers": 2}]]},
"audio_vae": {"model": {"params": {"sampling_rate": 16000,
    "ddconfig": {"ch": 128, "ch_mult": [1, 2, 4], "num_res_blocks": 2, "z_channels": 8,
      "double_z": true, "in_channels": 2, "out_ch": 2, "mel_bins": 64, "norm_type": "pixel",
      "causality_axis": "height", "attn_resolutions": [], "mid_block_add_attention": false}}},
  "preprocessing": {"stft": {"filter_length": 1024, "hop_length": 160, "causal": true}}},
"vocoder": {
  "vocoder": {"resblock": "AMP1", "activation": "snakebeta", "stereo": true,
    "upsample_initial_channel": 1536, "upsample_rates": [5, 2, 2, 2, 2, 2],
    "upsample_kernel_sizes": [11, 4, 4, 4, 4, 4], "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    "use_tanh_at_final": false, "use_bias_at_final": false},
  "bwe": {"resblock": "AMP1", "activation": "snakebeta", "stereo": true,
    "upsample_initial_channel": 512, "upsample_rates": [6, 5, 2, 2, 2],
    "upsample_kernel_sizes": [12, 11, 4, 4, 4], "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]], "use_bias_at_final": false,
    "input_sampling_rate": 16000, "output_sampling_rate": 48000, "n_fft": 512, "hop_length": 80,
    "num_mels": 64}}
})";

const char * const ltx23_negative_prompt =
    "low quality, blurred, noisy, pixelated, compressed, faded or banded colors, bad exposure, "
    "dull "
    "or contradictory light, wrong perspective, messy backdrop, misshapen bodies, malformed hands, "
    "too many fingers or limbs, lopsided or plastic faces, waxy skin, vacant stare, lips that do "
    "not match the words, subtitles, captions, watermarks, logos, garbled letters, drawn, cartoon "
    "or computer-generated look, heavy filters, oversaturated, flicker, stutter, warping, smeared "
    "or shaky motion, frozen frames, abrupt cuts, drifting framing, missing or clipped sound, hum, "
    "hiss, echo, metallic or distorted voices, speech that is out of sync, unwanted or repeated";

} // namespace ltx2
