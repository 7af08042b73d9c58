// What a run leaves behind and another goes on from: features, states, settings.
#include "demo.h"

#include <stdexcept>
#include <vector>

namespace {
struct Run {
    std::vector<std::vector<float>> states;
    std::vector<float> latents, predicted;
};
} // namespace

static ltx2_video_params small_run(Run & run) {
    ltx2_video_params params = small_video();
    params.steps = 3;
    params.user_data = &run;
    params.state = [](const ltx2_state * state, void * data) {
        Run & into = *static_cast<Run *>(data);
        CHECK(state->step == static_cast<int>(into.states.size()) + 1);
        into.states.emplace_back(state->values, state->values + state->count);
        const ltx2_latents & p = *state->predicted;
        into.predicted.assign(p.values, p.values + p.channels * p.frames * p.height * p.width);
        return true;
    };
    params.latents = [](const ltx2_latents * l, void * data) {
        static_cast<Run *>(data)->latents.assign(l->values, l->values + l->channels * l->frames *
                                                                            l->height * l->width);
        return true;
    };
    return params;
}

TEST(a_run_goes_on_from_any_state_with_features_of_before) {
    ltx2_session * session = open_demo();
    Run whole;
    ltx2_video_params params = small_run(whole);
    CHECK(generate(session, params) == LTX2_STATUS_OK);
    CHECK(whole.states.size() == 3 && whole.predicted.size() == whole.latents.size());
    ltx2_features * features = nullptr;
    CHECK(ltx2_session_encode(session, &params, &features) == LTX2_STATUS_OK);
    CHECK(features && features->negative);
    for (int step = 1; step <= 3; ++step) {
        Run rest;
        rest.states.resize(static_cast<size_t>(step));
        const std::vector<float> & values = whole.states[static_cast<size_t>(step - 1)];
        const ltx2_state state = {step, values.data(), values.size(), nullptr};
        ltx2_video_params more = small_run(rest);
        more.prompt = nullptr;
        more.features = features;
        more.resume = &state;
        CHECK(generate(session, more) == LTX2_STATUS_OK);
        CHECK(rest.latents == whole.latents);
    }
    ltx2_features_free(features);
    ltx2_features_free(features); // a second time: ignored
    ltx2_session_close(session);
}

TEST(what_is_done_already_is_checked) {
    ltx2_session * session = open_demo();
    const std::vector<float> values(64 * 2 * 2 * 2);
    ltx2_video_params p = small_video();
    ltx2_state state = {1, values.data(), values.size(), nullptr};
    p.resume = &state;
    CHECK(generate(session, p) == LTX2_STATUS_OK);
    for (int step : {-1, 0, 2, 1 << 30}) {
        state.step = step;
        CHECK_REFUSED(generate(session, p), "resume.step");
    }
    state = {1, values.data(), values.size() - 1, nullptr};
    CHECK_REFUSED(generate(session, p), "resume: ");
    state = {1, nullptr, values.size(), nullptr};
    CHECK_REFUSED(generate(session, p), "resume.values");
    std::vector<float> broken = values;
    broken.back() = NAN;
    state = {1, broken.data(), broken.size(), nullptr};
    CHECK_REFUSED(generate(session, p), "not finite");
    p.resume = reinterpret_cast<const ltx2_state *>(reinterpret_cast<uintptr_t>(&state) + 1);
    CHECK_REFUSED(generate(session, p), "resume");

    p = small_video();
    std::vector<float> rows(32 * 160);
    ltx2_features features = {rows.data(), rows.data(), 32, 160};
    p.features = &features;
    CHECK(generate(session, p) == LTX2_STATUS_OK);
    for (int width : {-1, 0, 159, 1 << 30}) {
        features.width = width;
        CHECK_REFUSED(generate(session, p), "features: ");
    }
    features = {rows.data(), nullptr, 32, 160};
    CHECK_REFUSED(generate(session, p), "no negative prompt");
    features = {nullptr, rows.data(), 32, 160};
    CHECK_REFUSED(generate(session, p), "features.values");
    rows[7] = NAN;
    features = {rows.data(), rows.data(), 32, 160};
    CHECK_REFUSED(generate(session, p), "not finite");
    ltx2_session_close(session);
}

TEST(what_the_state_function_does_ends_the_call) {
    ltx2_session * session = open_demo();
    ltx2_video_params p = small_video();
    p.state = [](const ltx2_state *, void *) { return false; };
    CHECK(generate(session, p) == LTX2_STATUS_CANCELLED && says("after step 1"));
    p.state = [](const ltx2_state *, void *) -> bool { throw std::runtime_error("mine"); };
    CHECK_REFUSED(generate(session, p), ("state: " + thrown("\"mine\"")).c_str());
    CHECK(generate(session, small_video()) == LTX2_STATUS_OK);
    ltx2_session_close(session);
}

TEST(settings_fill_in_what_the_model_wants) {
    ltx2_session * session = open_demo();
    ltx2_video_params p = small_video();
    p.rescale = 0.7f;
    char * text = nullptr;
    CHECK(ltx2_session_settings(session, &p, &text) == LTX2_STATUS_OK);
    const std::string json = text;
    for (const char * part :
         {"\"width\": 64", "\"fps\": 8", "\"schedule\": \"linear_quadratic\"", "\"guidance\": 1.5",
          "\"rescale\": 0.7", "\"device\": \"CPU\"", "\"negative_prompt\": \"\"", "\"dit\": \""})
        if (json.find(part) == std::string::npos)
            fail_test(__FILE__, __LINE__, std::string(part) + " is not in " + json);
    ltx2_text_free(text);
    p.width = 65;
    CHECK_REFUSED(ltx2_session_settings(session, &p, &text), "width: 65");
    ltx2_session_close(session);
}

// The demo's text encoder cannot be asked; what is wrong with the question is said before.
TEST(a_prompt_is_enhanced_only_by_who_can_be_asked) {
    ltx2_session * session = open_demo();
    ltx2_enhance_params p = {};
    char * text = nullptr;
    CHECK_REFUSED(ltx2_session_enhance(session, nullptr, &text), "ltx2_enhance_params: null");
    CHECK_REFUSED(ltx2_session_enhance(session, &p, &text), "ltx2_enhance_params.size");
    p.size = sizeof p;
    CHECK_REFUSED(ltx2_session_enhance(session, &p, &text), "prompt: null");
    p.prompt = "a cat";
    CHECK_REFUSED(ltx2_session_enhance(session, &p, nullptr), "out: null");
    p.temperature = NAN;
    CHECK_REFUSED(ltx2_session_enhance(session, &p, &text), "temperature: nan");
    p.temperature = 0, p.top_k = -1;
    CHECK_REFUSED(ltx2_session_enhance(session, &p, &text), "top_k: -1");
    p.top_k = 0, p.tokens = 5000;
    CHECK_REFUSED(ltx2_session_enhance(session, &p, &text), "tokens: 5000");
    p.tokens = 0, p.prompt = "\xff";
    CHECK_REFUSED(ltx2_session_enhance(session, &p, &text), "prompt: not UTF-8");
    p.prompt = "a cat";
    CHECK(ltx2_session_enhance(session, &p, &text) == LTX2_STATUS_MODEL);
    CHECK(says("no <start_of_turn>") && text == nullptr);
    ltx2_session_close(session);
    CHECK_REFUSED(ltx2_session_enhance(session, &p, &text), "session: closed");
}

TEST(frames_become_latents) {
    ltx2_session * session = open_demo();
    const std::vector<uint8_t> pixels(9 * 64 * 64 * 3, 200);
    ltx2_frames_params p = {};
    p.size = sizeof p;
    p.pixels = pixels.data();
    p.frames = 9, p.height = p.width = 64;
    ltx2_video * video = nullptr;
    CHECK(ltx2_session_encode_frames(session, &p, &video) == LTX2_STATUS_OK);
    CHECK(!video->pixels && video->latents->frames == 2 && video->latents->width == 2);
    ltx2_video_free(video);
    p.frames = 8;
    CHECK_REFUSED(ltx2_session_encode_frames(session, &p, &video), "8k+1");
    p.frames = -9;
    CHECK_REFUSED(ltx2_session_encode_frames(session, &p, &video), "frames: ");
    p.frames = 1 << 20;
    CHECK_REFUSED(ltx2_session_encode_frames(session, &p, &video), "frames: ");
    ltx2_session_close(session);
}
