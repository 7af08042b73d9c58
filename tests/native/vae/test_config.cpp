// What a checkpoint's header may state about the video VAE, and what is refused, by name.
#include "check.h"
#include "vae/config.h"

using namespace ltx2;

namespace {

// The `vae` group with the given keys in place of the released model's.
Json config(const std::string & changes) {
    const std::string words =
        R"({"dims": 3, "in_channels": 3, "out_channels": 3, "latent_channels": 8, "patch_size": 4,
            "norm_layer": "pixel_norm", "latent_log_var": "uniform", "decoder_base_channels": 8,
            "timestep_conditioning": false, "spatial_padding_mode": "zeros",
            "encoder_blocks": [["res_x", {"num_layers": 4}], ["compress_space_res", {"multiplier": 2}],
                ["compress_time_res", {"multiplier": 2}], ["compress_all_res", {"multiplier": 2}],
                ["compress_all_res", {"multiplier": 1}], ["res_x", 2]],
            "decoder_blocks": [["res_x", {"num_layers": 4}], ["compress_space", {"multiplier": 2}],
                ["compress_time", {"multiplier": 2}], ["compress_all", {"multiplier": 1}],
                ["compress_all", {"multiplier": 2}]]})";
    Json vae = Json::parse(words, "test");
    const Json other = Json::parse("{" + changes + "}", "test");
    for (const auto & [key, value] : other.object("test"))
        vae.set(key, value);
    Json whole;
    whole.set("vae", vae);
    return whole;
}
VaeConfig encoder(const std::string & changes = "") {
    const Json json = config(changes);
    return VaeConfig::encoder(Config(json.find("vae"), "config vae."));
}
VaeConfig decoder(const std::string & changes = "") {
    const Json json = config(changes);
    return VaeConfig::decoder(Config(json.find("vae"), "config vae."));
}

TEST(the_released_kind_is_read) {
    const VaeConfig e = encoder(), d = decoder();
    CHECK(e.scale.time == 8 && e.scale.space == 32 && d.scale.time == 8 && d.scale.space == 32);
    CHECK(e.first_width == 8 && e.last_width == 64 && e.out_channels == 9 && e.causal);
    CHECK(d.first_width == 64 && d.last_width == 8 && d.out_channels == 48 && !d.causal);
    CHECK(d.stages[0].name == "compress_all" && d.stages[0].out == 32); // reversed
    CHECK(e.stages.back().layers == 2);
    CHECK(e.streams() && d.streams());
    CHECK(encoder(R"("latent_log_var": "per_channel")").out_channels == 16);
    CHECK(!decoder(R"("decoder_blocks": [["res_x_y", {}]])").streams());
}

TEST(what_is_not_supported_is_named) {
    CHECK_THROWS(decoder(R"("timestep_conditioning": true)"), "vae.timestep_conditioning");
    CHECK_THROWS(decoder(R"("timestep_conditioning": null)"), "vae.timestep_conditioning");
    CHECK_THROWS(decoder(R"("norm_layer": "group_norm")"), "group_norm");
    CHECK_THROWS(encoder(R"("dims": 2)"), "vae.dims");
    CHECK_THROWS(encoder(R"("latent_log_var": "none")"), "latent_log_var: \"none\"");
    CHECK_THROWS(encoder(R"("spatial_padding_mode": "mirror")"), "mirror");
    CHECK_THROWS(decoder(R"("decoder_blocks": [["attn_res_x", {"num_layers": 1}]])"), "attn_res_x");
    CHECK_THROWS(
        decoder(R"("decoder_blocks": [["res_x", {"num_layers": 1, "inject_noise": true}]])"),
        "decoder_blocks.0: inject_noise");
}

TEST(sizes_that_do_not_fit_are_refused) {
    CHECK_THROWS(encoder(R"("encoder_blocks": [["res_x", {}]])"), "num_layers: is missing");
    CHECK_THROWS(encoder(R"("encoder_blocks": [["res_x", -1]])"), "-1 layers");
    CHECK_THROWS(encoder(R"("encoder_blocks": [["res_x"]])"), "name and its options");
    CHECK_THROWS(encoder(R"("encoder_blocks": 3)"), "encoder_blocks");
    CHECK_THROWS(encoder(R"("encoder_blocks": [["compress_all_res", {"multiplier": 3}]])"),
                 "equal parts");
    CHECK_THROWS(encoder(R"("latent_channels": 1000000000)"), "latent_channels");
    CHECK_THROWS(decoder(R"("decoder_base_channels": 0)"), "decoder_base_channels");
    CHECK_THROWS(decoder(R"("decoder_blocks": [["compress_all", {"multiplier": 5}]])"),
                 "equal parts");
    CHECK_THROWS(decoder(R"("decoder_blocks": [["res_x_y", {"multiplier": 0}]])"), "multiplier: 0");
    std::string many = R"("encoder_blocks": [["res_x", 1])";
    for (int i = 0; i < 64; ++i)
        many += R"(, ["res_x", 1])";
    CHECK_THROWS(encoder(many + "]"), "65 blocks");
    std::string wide = R"("encoder_blocks": [["res_x_y", {"multiplier": 64}])";
    CHECK_THROWS(encoder(wide + R"(, ["res_x_y", {"multiplier": 64}]])"), "encoder_blocks.1");
}

} // namespace

int main(int argc, char ** argv) { return run_tests(argc, argv); }
