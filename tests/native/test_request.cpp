// What a caller may ask for, and what a model's file may want by default.
#include "check.h"
#include "model/model_folder.h"
#include "request.h"

#include <cmath>

using namespace ltx2;

static ltx2_video_params params() {
    ltx2_video_params p = {};
    p.prompt = "a dot";
    return p;
}

static Request request(const ltx2_video_params & p) { return Request(p, Defaults(), Scale()); }

static Request sized(int width, int height, int frames, float fps = 24) {
    ltx2_video_params p = params();
    p.width = width, p.height = height, p.frames = frames, p.fps = fps;
    return request(p);
}

TEST(sizes_are_checked) {
    const Request r = request(params());
    CHECK(r.width == 768 && r.height == 512 && r.frames == 121 && r.fps == 24);
    CHECK(r.grid.frames == 16 && r.grid.height == 16 && r.grid.width == 24);
    CHECK(sized(32, 32, 1).grid.cells() == 1);
    CHECK_THROWS(sized(500, 512, 121), "width: 500 is not a multiple of 32");
    CHECK_THROWS(sized(500, 512, 121), "nearest are 480 and 512");
    CHECK_THROWS(sized(768, -1, 121), "height: -1");
    CHECK_THROWS(sized(768, 512, 120), "frames: 120 is not 8k+1; nearest are 113 and 121");
    CHECK_THROWS(sized(768, 512, -7), "frames: -7");
    CHECK_THROWS(sized(768, 512, 2147483641), "frames");
    CHECK_THROWS(sized(768, 512, 121, NAN), "fps");
    CHECK_THROWS(sized(768, 512, 121, 0.5f), "fps: 0.5");
}

TEST(zero_is_the_default_and_negative_is_off) {
    ltx2_video_params p = params();
    const Guidance usual = request(p).stages[0].guidance;
    CHECK(usual.scale == 3 && usual.stg == 1 && usual.rescale == 0.7f);
    p.guidance = p.stg = p.rescale = -1;
    const Guidance off = request(p).stages[0].guidance;
    CHECK(!off.uses_negative() && !off.uses_stg() && off.rescale == 0);
    p.guidance = INFINITY;
    CHECK_THROWS(request(p), "guidance: inf");
    p.guidance = 0, p.stg = NAN;
    CHECK_THROWS(request(p), "stg");
}

TEST(a_schedule_brings_its_own_steps) {
    ltx2_video_params p = params();
    CHECK(request(p).stages[0].sigmas.size() == 31);
    p.schedule = "distilled";
    CHECK(request(p).stages[0].sigmas.size() == 9);
    p.steps = 7;
    CHECK_THROWS(request(p), "steps: 7 does not fit the schedule distilled; it has 8");
    p.schedule = "linear_quadratic";
    CHECK(request(p).stages[0].sigmas.size() == 8);
}

TEST(what_is_asked_is_refused_by_name) {
    ltx2_video_params p = params();
    p.prompt = " \t\n";
    CHECK_THROWS(request(p), "prompt: empty");
    p = params();
    p.image_count = 1;
    CHECK_THROWS(request(p), "images: null");
    p = params();
    p.noise_count = 3;
    CHECK_THROWS(request(p), "noise: null");
}

static std::string with_sampling(const std::string & sampling) {
    return config.substr(0, config.rfind('}')) + ", \"sampling\": " + sampling + "}";
}

static Defaults defaults(const ModelFolder & folder) {
    const Model model = folder.open();
    return Defaults(model.need("dit"), 2, Scale());
}

TEST(defaults_come_from_the_file) {
    const auto open = [](const std::string & sampling) {
        return defaults(ModelFolder().checkpoint(with_sampling(sampling)));
    };
    const Defaults d = open(R"({"schedule": "linear_quadratic", "steps": 5, "guidance": 2,
        "stg": 0.5, "rescale": 0, "stg_blocks": [1], "width": 64, "height": 96, "frames": 17,
        "fps": 8})");
    CHECK(d.schedule == "linear_quadratic" && d.steps == 5);
    CHECK(d.guidance.scale == 2 && d.guidance.stg == 0.5f && d.guidance.rescale == 0);
    CHECK(d.guidance.stg_blocks == std::vector<int>{1});
    CHECK(d.width == 64 && d.height == 96 && d.frames == 17 && d.fps == 8);
    const Defaults distilled = open(R"({"schedule": "distilled"})");
    CHECK(distilled.steps == 8 && distilled.guidance.scale == 1);
    CHECK(distilled.guidance.stg == 0 && distilled.guidance.rescale == 0);
    const char * file = "ltx-2.3.safetensors: config sampling";
    CHECK_THROWS(open(R"({"schedule": "slow"})"), file);
    CHECK_THROWS(open(R"({"steps": 0})"), "sampling.steps: 0");
    CHECK_THROWS(open(R"({"guidance": -1})"), "sampling.guidance");
    CHECK_THROWS(open(R"({"stg_blocks": [2]})"), "sampling.stg_blocks: 2 is not in 0..1");
    CHECK_THROWS(open(R"({"stg_blocks": [0.5]})"), "sampling.stg_blocks: 0.5");
    CHECK_THROWS(open(R"({"frames": 16})"), "config sampling.frames: 16");
    CHECK_THROWS(open(R"({"width": "wide"})"), "sampling.width");
}

TEST(without_a_statement_the_file_name_decides) {
    const Defaults dev = defaults(ModelFolder().checkpoint());
    CHECK(dev.schedule == "ltx2" && dev.steps == 30 && dev.width == 768 && dev.fps == 24);
    CHECK(dev.guidance.stg_blocks.empty()); // block 28 of 2
    ModelFolder f;
    f.checkpoint(config, checkpoint_tensors(), "LTX-Distilled.safetensors");
    CHECK(defaults(f).steps == 8);
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
