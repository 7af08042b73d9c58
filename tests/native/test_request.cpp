// What a caller may ask for, and what a model's file may want by default.
#include "base/log.h"
#include "check.h"
#include "model/model_folder.h"
#include "request.h"
#include "sampling/samplers.h"
#include "session.h"

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
    CHECK_THROWS(sized(768, 512, 120),
                 "frames: 120 is not 8k+1 in 1..4097; nearest are 113 and 121");
    CHECK_THROWS(sized(768, 512, 1000001), "nearest are 4089 and 4097");
    CHECK_THROWS(sized(768, 512, -1), "nearest are 1 and 9");
    CHECK_THROWS(sized(768, 512, -7), "frames: -7");
    CHECK_THROWS(sized(768, 512, 2147483641), "frames");
    CHECK_THROWS(sized(768, 512, 121, NAN), "fps");
    CHECK_THROWS(sized(768, 512, 121, 0.5f), "fps: 0.5");
}

TEST(a_length_is_open_where_nothing_tells_it) {
    Defaults d;
    d.tells_length = true;
    ltx2_video_params p = params();
    const auto open = [&] { return Request(p, d, Scale()).length_is_open; };
    const auto least = [&] { return Request(p, d, Scale()).frames; };
    CHECK(!request(p).length_is_open && open() && least() == 25);
    CHECK(Request(p, d, Scale()).settings().find("frames")->kind() == Json::Kind::null);
    p.fps = 1;
    CHECK(least() == 1);
    p.fps = NAN;
    CHECK_THROWS(open(), "fps: nan");
    p.fps = 0;
    const uint8_t white[3] = {255, 255, 255};
    ltx2_image image = {white, 1, 1, 0, 1};
    p.images = &image, p.image_count = 1;
    for (const auto & [frame, frames] : {std::pair{0, 25}, {25, 33}, {32, 33}, {33, 41}}) {
        image.frame = frame;
        CHECK(least() == frames);
    }
    for (int frame : {-1, 4097, INT32_MAX, INT32_MIN}) {
        image.frame = frame;
        CHECK_THROWS(open(), "images[0].frame: ");
    }
    p.image_count = SIZE_MAX;
    CHECK_THROWS(open(), "images: ");
    p.image_count = 0;
    const float noise = 0;
    p.noise = &noise, p.noise_count = 1;
    CHECK(!open() && least() == 121);
    p.noise_count = 0;
    const float samples[1] = {};
    const ltx2_sound sound = {samples, 1, 1, 48000};
    p.sound = &sound;
    CHECK(!Request(p, d, Scale(), true).length_is_open);
    p.sound = nullptr, p.frames = 9;
    CHECK(!open() && least() == 9);
}

TEST(what_is_given_counts_among_the_tokens) {
    ltx2_video_params p = params();
    const uint8_t pixels[9 * 3] = {};
    ltx2_image images[2] = {{pixels, 1, 1, 0, 1}, {pixels, 1, 1, 24, 1}};
    const ltx2_reference reference = {{pixels, 9, 1, 1}, 1, 1, 1, 1};
    const int64_t frame = 16 * 24;
    CHECK(request(p).tokens(0) == 16 * frame && request(p).largest().frames == 16);
    p.images = images, p.image_count = 2;
    CHECK(request(p).tokens(0) == 17 * frame && request(p).largest().frames == 17);
    p.references = &reference, p.reference_count = 1;
    CHECK(request(p).tokens(0) == 19 * frame && request(p).largest().frames == 19);
    // Of a smaller video too, as far as its frames go; what would begin after its end does not.
    CHECK(request(p).resized({17, 512, 768}, Scale()).tokens(0) == 5 * frame);
    CHECK(request(p).resized({1, 512, 768}, Scale()).tokens(0) == 2 * frame);
    const ltx2_clip source = {pixels, 9, 1, 1};
    p.source = &source, p.begin = 16;
    CHECK(request(p).resized({33, 512, 768}, Scale()).conditions.source);
    const Request shorter = request(p).resized({17, 512, 768}, Scale());
    CHECK(!shorter.conditions.source && shorter.conditions.images.size() == 2);
}

TEST(a_sound_that_is_off_is_not_made_anew) {
    ltx2_video_params p = params();
    const uint8_t pixels[9 * 3] = {};
    const ltx2_clip source = {pixels, 9, 1, 1};
    p.source = &source, p.retake_end = 1, p.retake_what = "audio", p.audio = -1;
    CHECK_THROWS(Request(p, Defaults(), Scale(), true), "retake_what: audio, and audio is off");
    p.audio = 0;
    CHECK(Request(p, Defaults(), Scale(), true).audio);
    CHECK_THROWS(request(p), "retake_what: audio, and the model makes none");
}

TEST(samples_of_another_scale_are_refused) {
    ltx2_video_params p = params();
    float samples[3] = {0.5f, -2, 1}; // louder than it should be
    const ltx2_sound sound = {samples, 3, 1, 48000};
    p.sound = &sound;
    const Request want(p, Defaults(), Scale(), true);
    CHECK(sound_of(want).samples.size() == 6);
    for (float sample : {-32768.0f, 1e30f}) {
        samples[1] = sample;
        CHECK_THROWS(sound_of(want), "and samples are in -1..1");
    }
    samples[1] = INFINITY;
    CHECK_THROWS(sound_of(want), "sound: holds a value that is not finite");
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

TEST(a_fixed_schedule_brings_its_recipe) {
    ltx2_video_params p = params();
    CHECK(request(p).stages[0].sigmas.size() == 31);
    p.schedule = "distilled";
    const Stage stage = request(p).stages[0];
    CHECK(stage.sigmas.size() == 9);
    CHECK(stage.guidance.scale == 1 && stage.guidance.stg == 0 && stage.guidance.rescale == 0);
    p.guidance = 2;
    CHECK(request(p).stages[0].guidance.scale == 2);
    p.steps = 7;
    CHECK_THROWS(request(p), "steps: 7 does not fit the schedule distilled; it has 8");
    p.steps = 0;
    for (const char * name : {"refine", "densify"}) { // known for later stages
        p.schedule = name;
        CHECK(request(p).stages[0].noise == request(p).stages[0].sigmas[0]);
    }
    p.steps = 7;
    p.schedule = "linear_quadratic";
    CHECK(request(p).stages[0].sigmas.size() == 8 && request(p).stages[0].guidance.stg == 1);
}

TEST(what_a_recipe_has_is_the_recipe_stated_or_not) {
    ltx2_video_params p = params();
    p.recipe = "hq", p.width = p.height = 512;
    const Stage own = Request(p, Defaults(), Scale(), true).stages[0];
    CHECK(own.guidance.rescale == 0.45f && own.audio_guidance.rescale == 1);
    p.rescale = 0.45f;
    CHECK(Request(p, Defaults(), Scale(), true).stages[0].audio_guidance.rescale == 1);
    p.rescale = 0.5f;
    CHECK(Request(p, Defaults(), Scale(), true).stages[0].audio_guidance.rescale == 0.5f);
    p.rescale = -1;
    CHECK(Request(p, Defaults(), Scale(), true).stages[0].audio_guidance.rescale == 0);
}

TEST(noise_that_no_longer_falls_is_refused) {
    ltx2_video_params p = params(); // by as many tokens as the first stage has
    p.recipe = "hq", p.width = 1920, p.height = 1088, p.frames = 577;
    CHECK_THROWS(request(p), "falls by the tokens of its first stage");
    p.frames = 121;
    CHECK(request(p).stages[0].sigmas.size() == 16);
    p.rescale = 1.5f;
    CHECK_THROWS(request(p), "rescale: 1.5 is not a number up to 1");
}

TEST(later_stages_have_the_noise_levels_that_are_given) {
    ltx2_video_params p = params();
    p.recipe = "distilled", p.width = p.height = 512;
    const std::vector<float> own = {0.909375f, 0.725f, 0.421875f, 0};
    CHECK(request(p).stages[1].sigmas == own && request(p).stages[1].noise == own[0]);
    const std::string stated(request(p).settings().find("refine_sigmas")->string(""));
    CHECK(stated == "0.909375, 0.725, 0.421875");
    p.refine_sigmas = stated.c_str();
    CHECK(request(p).stages[1].sigmas == own && request(p).stages[1].noise == own[0]);
    for (const char * text :
         {"0.85, 0.725,0.4219", " 0.85,0.725,0.4219, 0", "8.5e-1,0.725,0.4219"}) {
        p.refine_sigmas = text;
        const Request want = request(p);
        CHECK(want.stages[1].sigmas == (std::vector<float>{0.85f, 0.725f, 0.4219f, 0}));
        CHECK(want.stages[1].noise == 0.85f && want.stages[0].noise == 1);
    }
    for (const char * text : {"0.5, 0.5", "0.4, 0.5", "1.5", "-0.5", "0", "", " ", "a", "0.5;0.4",
                              "0.5, ", "[0.5]", "0.5, null", "nan", "1e-60", "1e300", "-1e300"}) {
        p.refine_sigmas = text;
        CHECK_THROWS(request(p), "refine_sigmas: ");
    }
    const std::string long_list = [] {
        std::string text = "1";
        for (int i = 1; i < 1002; ++i)
            text += words(", %.4f", 1 - i / 1010.0);
        return text;
    }();
    p.refine_sigmas = long_list.c_str();
    CHECK_THROWS(request(p), "is longer than 1000");
    p.refine_sigmas = "0.5";
    p.recipe = nullptr;
    CHECK_THROWS(request(p), "the recipe one-stage has no stage after the first");
}

TEST(a_recipe_of_segments_has_a_stage_for_each_tile) {
    ltx2_video_params p = params();
    p.recipe = "dfr", p.width = p.height = 512, p.frames = 41, p.temporal_upscalings = 2;
    const Request want = Request(p, Defaults(), Scale(), true);
    CHECK(want.stages.size() == 2 + 2 + 4);
    const std::vector<int> borders = {24, 48}; // of 49 frames
    for (size_t i = 0; i < 2; ++i) {
        const Stage & stage = want.stages[i];
        CHECK(stage.grid.frames == 7 && stage.slots == borders && stage.keeps_sound == (i == 0));
        CHECK(stage.fps == 24 && stage.sound_tokens == 51 && stage.grid.width == (i ? 16 : 8));
    }
    for (size_t i = 2; i < 8; ++i) {
        const Stage & stage = want.stages[i];
        CHECK(stage.fps == 60 && stage.doubled == (i < 4 ? 1 : 2) && stage.anchored == 0.95f);
        CHECK(stage.fresh == 0.5f && stage.sigmas.size() == 5 && !stage.keeps_sound);
    }
    CHECK(want.result().frames == 21 && want.result_fps() == 96);
    CHECK(want.largest().frames == 7 + 6 + 3 + 2); // a tile with its lead, anchors and slots
    p.temporal_upscalings = -1;
    CHECK(request(p).stages.size() == 2 && request(p).stages[0].sound_tokens == 0);
    p.frames = 8 * 512 + 1, p.temporal_upscalings = 1;
    CHECK_THROWS(request(p), "temporal_upscalings: 1 makes 8193 frames of 4097");
    p.frames = 41, p.temporal_upscalings = 2, p.fps = 61;
    CHECK_THROWS(request(p), "temporal_upscalings: 2 makes 244 frames a second of fps 61");
    p.frames = 49, p.temporal_upscalings = 0, p.fps = 10; // half a latent over 122
    CHECK(Request(p, Defaults(), Scale(), true).stages[0].sound_tokens == 123);
}

TEST(a_stage_refers_to_the_one_before_at_the_ratio_of_their_sizes) {
    ltx2_video_params p = params();
    p.recipe = "dfr", p.width = p.height = 512, p.frames = 41, p.temporal_upscalings = 1;
    Request want = request(p);
    CHECK(want.reference_ratio() == 2 && want.stages[1].downscale == 0);
    want.refer();
    for (const Request & one : {want, want.resized({41, 256, 256}, Scale())})
        for (size_t i = 0; i < one.stages.size(); ++i)
            CHECK(one.stages[i].downscale == (i == 1 ? 2 : 0));
    CHECK(want.stages[1].referring == 0.5f && want.stages[0].referring == 0);
    p.recipe = "distilled", p.temporal_upscalings = 0;
    CHECK(request(p).reference_ratio() == 0);
}

TEST(an_empty_negative_prompt_is_not_the_default) {
    ltx2_video_params p = params();
    const std::string usual = request(p).negative;
    for (const char * fault : {"blurred", "hands", "watermarks", "cartoon", "flicker", "echo"})
        CHECK(usual.find(fault) != std::string::npos);
    p.negative_prompt = "";
    CHECK(request(p).negative.empty());
    p.negative_prompt = "rain";
    CHECK(request(p).negative == "rain");
    Defaults own;
    own.negative = "";
    p.negative_prompt = nullptr;
    CHECK(Request(p, own, Scale()).negative.empty());
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
    return Defaults(model.need("dit"), model.generation(), 2, Scale());
}

// Of a file that states no sampling; `name` tells which variant it is.
static Defaults usual(const Generation & generation, const char * name) {
    ModelFolder folder;
    folder.put(name, file_of(checkpoint_tensors(), {{"model_version", "2.3"}}));
    const Model model = folder.open();
    return Defaults(model.need("dit"), generation, 30, Scale());
}

TEST(each_generation_has_defaults_of_its_own) {
    const auto stages = [](const Defaults & d, const char * recipe) {
        ltx2_video_params p = params();
        p.recipe = recipe;
        std::string names;
        for (const Stage & stage : Request(p, d, Scale()).stages)
            names += std::string(stage.sampler->name) + " ";
        return names;
    };
    for (const auto & [generation, steps, block, sampler] :
         {std::tuple{ltx_2_0, 40, 29, "euler"}, std::tuple{ltx_2_3, 30, 28, "euler"},
          std::tuple{ltx_2_5, 30, 28, "ancestral_euler"}}) {
        const Generation & own = newest(generation);
        const Defaults dev = usual(own, "x-dev.safetensors");
        const Defaults distilled = usual(own, "x-distilled.safetensors");
        CHECK(dev.steps == steps && dev.guidance.stg_blocks == std::vector<int>{block});
        CHECK(dev.schedule == "ltx2" && distilled.schedule == "distilled" && distilled.steps == 8);
        CHECK(stages(dev, "one-stage") == "euler ");
        CHECK(stages(dev, "two-stage") == "euler euler ");
        CHECK(stages(distilled, "one-stage") == std::string(sampler) + " ");
        for (const Defaults & d : {dev, distilled}) // an adapter makes a dev model a distilled one
            CHECK(stages(d, "distilled") == std::string(sampler) + " euler ");
        const Json sampling = Json::parse(variants()[1].sampling(own), "");
        CHECK(sampling.find("steps")->integer("") == steps);
        CHECK(sampling.find("stg_blocks")->array("")[0].integer("") == block);
    }
}

TEST(defaults_come_from_the_file) {
    const auto open = [](const std::string & sampling) {
        return defaults(ModelFolder().checkpoint(with_sampling(sampling)));
    };
    const Defaults d = open(R"({"schedule": "linear_quadratic", "steps": 5, "guidance": 2,
        "stg": 0.5, "rescale": 0, "stg_blocks": [1], "negative_prompt": "", "width": 64,
        "height": 96, "frames": 17, "fps": 8})");
    CHECK(d.negative.empty() && open("{}").negative == Defaults().negative);
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
    CHECK_THROWS(open(R"({"negative_prompt": 3})"), "sampling.negative_prompt");
}

// The defaults of a file of that name, and what is warned of on the way.
static Defaults named(const std::string & name, std::string & warned,
                      const std::string & with = config) {
    ModelFolder f;
    f.checkpoint(with, checkpoint_tensors(), name);
    log_set(
        [](int level, const char * message, void * user_data) {
            if (level == static_cast<int>(Level::warning))
                *static_cast<std::string *>(user_data) += message;
        },
        &warned);
    const Defaults d = defaults(f);
    log_set(nullptr, nullptr);
    return d;
}

TEST(without_a_statement_the_file_name_decides) {
    std::string warned;
    CHECK(named("LTX-Distilled.safetensors", warned).steps == 8);
    CHECK(named("dev-merged_with_distilled-lora.safetensors", warned).steps == 8);
    const Defaults dev = named("ltx-2.3-22b-Dev.safetensors", warned);
    CHECK(dev.schedule == "ltx2" && dev.steps == 30 && dev.width == 768 && dev.fps == 24);
    CHECK(dev.guidance.stg_blocks.empty()); // block 28 of 2
    CHECK(named("device.safetensors", warned, with_sampling(R"({"schedule": "ltx2"})")).steps ==
          30);
    CHECK(warned.empty());
}

TEST(what_nothing_tells_is_assumed_and_said) {
    for (const std::string sampling : {"", "{}", R"({"steps": 30})"}) {
        std::string warned;
        const Defaults d = named("device.safetensors", warned,
                                 sampling.empty() ? config : with_sampling(sampling));
        CHECK(d.schedule == "ltx2" && d.steps == 30);
        CHECK(warned.find("device.safetensors: nothing tells") != std::string::npos);
        CHECK(warned.find("dev is assumed") != std::string::npos);
    }
}

TEST(shards_have_the_name_of_their_folder) {
    Part part;
    TensorFile file;
    file.path = "models/ltx-2.3-22b-distilled/model-00001-of-00002.safetensors";
    part.file = &file;
    part.whole = "models/ltx-2.3-22b-distilled";
    CHECK(variant_of(part) == "distilled");
    part.whole = "models/distilled-or-not/transformer"; // only the one they lie in
    CHECK(variant_of(part) == "");
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
