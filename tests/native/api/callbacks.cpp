// What the caller's functions do when they are called: nothing they throw comes through, and what
// they call in turn is answered.
#include "demo.h"

#include <chrono>
#include <stdexcept>
#include <thread>
#include <unwind.h>

// A session with a function in place of its progress; afterwards it must still be good.
struct Watched {
    ltx2_session * session = open_demo();
    std::function<bool(const ltx2_progress &)> progress;

    ~Watched() {
        CHECK(generate(session, small_video()) == LTX2_STATUS_OK);
        ltx2_session_close(session);
    }
    ltx2_status run(ltx2_video_params params) {
        params.user_data = this;
        params.progress = [](const ltx2_progress * p, void * data) {
            return static_cast<Watched *>(data)->progress(*p);
        };
        return generate(session, params);
    }
};

// Whether a report repeats the one before it: then it comes from within a graph.
struct Repeats {
    std::string last;
    bool operator()(const ltx2_progress & p) {
        const std::string now = std::string(p.stage) + std::to_string(p.done);
        const bool same = now == last;
        last = now;
        return same;
    }
};

TEST(what_took_how_long_is_told_as_it_ends) {
    ltx2_session * session = open_demo();
    struct Spans {
        double stages = 0, graphs = 0, nodes = 0;
        bool goes_on = true;
    } spans;
    ltx2_video_params params = small_video();
    params.user_data = &spans;
    params.span = [](const ltx2_span * span, void * data) {
        Spans & sums = *static_cast<Spans *>(data);
        CHECK(span->begin >= 0 && span->seconds >= 0 && *span->name);
        const std::string kind = span->kind;
        (kind == "stage"   ? sums.stages
         : kind == "graph" ? sums.graphs
                           : sums.nodes) += span->seconds;
        return sums.goes_on;
    };
    CHECK(generate(session, params) == LTX2_STATUS_OK);
    CHECK(spans.stages >= spans.graphs && spans.graphs >= spans.nodes && spans.nodes > 0);
    spans.goes_on = false;
    CHECK(generate(session, params) == LTX2_STATUS_CANCELLED);
    params.span = [](const ltx2_span *, void *) -> bool { throw std::runtime_error("mine"); };
    CHECK_REFUSED(generate(session, params), ("span: " + thrown("\"mine\"")).c_str());
    ltx2_session_close(session);
}

TEST(what_progress_throws_ends_the_call_with_its_words) {
    Watched demo;
    for (const char * stage : {"load", "text", "denoise", "decode"}) {
        demo.progress = [&](const ltx2_progress & p) -> bool {
            if (p.stage == std::string(stage))
                throw std::runtime_error("mine\n");
            return true;
        };
        CHECK_REFUSED(demo.run(small_video()), ("progress: " + thrown("\"mine\\n\"")).c_str());
        CHECK(generate(demo.session, small_video()) == LTX2_STATUS_OK);
    }
    demo.progress = [](const ltx2_progress &) -> bool { throw 3; };
    CHECK_REFUSED(demo.run(small_video()), "the function threw an exception");
    demo.progress = [](const ltx2_progress &) -> bool { throw std::bad_alloc(); };
    CHECK_REFUSED(demo.run(small_video()), thrown("\"std::bad_alloc\"").c_str());
}

TEST(what_is_counted_is_asked_about) {
    Watched demo;
    ltx2_video_params params = small_video();
    params.width = params.height = 2048, params.frames = 249;
    params.user_data = &demo;
    params.progress = [](const ltx2_progress * p, void * data) {
        return static_cast<Watched *>(data)->progress(*p);
    };
    const auto plan = [&] {
        char * text = nullptr;
        const ltx2_status status = ltx2_session_plan(demo.session, &params, "{}", &text);
        CHECK(!text);
        return status;
    };
    int calls = 0;
    demo.progress = [&](const ltx2_progress & p) {
        CHECK(p.stage == std::string("load"));
        return ++calls < 3;
    };
    CHECK(plan() == LTX2_STATUS_CANCELLED && calls == 3 && says("load: cancelled at 0 of 1"));
    demo.progress = [&](const ltx2_progress &) -> bool {
        if (--calls == 0)
            throw std::runtime_error("mine");
        return true;
    };
    CHECK_REFUSED(plan(), ("progress: " + thrown("\"mine\"")).c_str());
}

TEST(nothing_thrown_comes_through_a_graph) {
    for (const char * stage : {"denoise", "decode"}) {
        Watched demo;
        Repeats within_a_graph;
        demo.progress = [&](const ltx2_progress & p) -> bool {
            const bool again = within_a_graph(p);
            if (p.stage == std::string(stage) && again)
                throw std::runtime_error("mine");
            if (p.stage == std::string(stage)) // then the next node is asked about
                std::this_thread::sleep_for(std::chrono::milliseconds(60));
            return true;
        };
        CHECK_REFUSED(demo.run(small_video()), ("progress: " + thrown("\"mine\"")).c_str());
    }
}

TEST(an_exception_of_another_language_is_caught_too) {
    static _Unwind_Exception foreign;
    std::memset(&foreign, 0, sizeof foreign);
    foreign.exception_class = 0x4d4f5a0052555354; // Rust's
    Watched demo;
    demo.progress = [](const ltx2_progress &) -> bool {
        _Unwind_RaiseException(&foreign);
        return true;
    };
    CHECK_REFUSED(demo.run(small_video()), "the function threw an exception");
}

TEST(what_the_latents_function_throws_ends_the_call) {
    ltx2_session * session = open_demo();
    ltx2_video_params params = small_video();
    params.latents = [](const ltx2_latents *, void *) -> bool { throw std::length_error("mine"); };
    CHECK_REFUSED(generate(session, params), ("latents: " + thrown("\"mine\"")).c_str());
    CHECK(generate(session, small_video()) == LTX2_STATUS_OK);
    ltx2_session_close(session);
}

TEST(a_session_under_way_refuses_calls_from_its_own_function) {
    Watched demo;
    int calls = 0;
    demo.progress = [&](const ltx2_progress &) {
        if (calls++ == 0) {
            CHECK_REFUSED(generate(demo.session, small_video()), "a call is under way");
            float value = 0;
            ltx2_latents latents = {&value, 64, 1, 1, 1};
            ltx2_decode_params params = {};
            params.size = sizeof params;
            params.latents = &latents;
            ltx2_video * video = nullptr;
            CHECK_REFUSED(ltx2_session_decode(demo.session, &params, &video), "under way");
        }
        return true;
    };
    CHECK(demo.run(small_video()) == LTX2_STATUS_OK);
}

TEST(another_session_may_be_used_within_a_function) {
    Watched demo;
    int calls = 0;
    demo.progress = [&](const ltx2_progress &) {
        if (calls++ == 0) {
            ltx2_session * other = open_demo();
            CHECK(generate(other, small_video()) == LTX2_STATUS_OK);
            ltx2_session_close(other);
        }
        return true;
    };
    CHECK(demo.run(small_video()) == LTX2_STATUS_OK);
}

// A prompt that is too long, of which the log is told.
static ltx2_video_params spoken_of(const std::string & prompt) {
    ltx2_video_params params = small_video();
    params.prompt = prompt.c_str();
    return params;
}

static int messages = 0;
static ltx2_session * logged = nullptr;

template <class Function>
static int messages_to(Function function) {
    std::string prompt;
    for (int i = 0; i < 1500; ++i)
        prompt += "a ";
    messages = 0;
    ltx2_log_set(function, nullptr);
    logged = open_demo();
    ltx2_session * session = open_demo();
    CHECK(generate(session, spoken_of(prompt)) == LTX2_STATUS_OK);
    ltx2_log_set(nullptr, nullptr);
    ltx2_session_close(session);
    ltx2_session_close(logged);
    return messages;
}

TEST(a_log_function_may_throw_and_may_call_the_library) {
    CHECK(messages_to([](int, const char *, void *) {
              ++messages;
              throw std::runtime_error("mine");
          }) > 0);
    CHECK(messages_to([](int, const char *, void *) {
              ++messages;
              ltx2_log_set(nullptr, nullptr);
          }) == 1);
    CHECK(messages_to([](int, const char *, void *) {
              if (messages++ == 0)
                  CHECK(generate(logged, small_video()) == LTX2_STATUS_OK);
          }) > 0);
}
