// Several threads in the library at once: each gets what it would get alone, and ThreadSanitizer
// has nothing to say. A program of its own, so that threads race for what the first call makes.
#include "demo.h"

#include <atomic>
#include <thread>
#include <vector>

// The calls, each in a thread of its own, which begin together.
template <class... Calls>
static void at_once(Calls... calls) {
    std::atomic<size_t> ready{0};
    const auto begin = [&](auto call) {
        ++ready;
        while (ready < sizeof...(calls))
            std::this_thread::yield();
        call();
    };
    std::thread threads[] = {std::thread(begin, calls)...};
    for (std::thread & thread : threads)
        thread.join();
}

static std::vector<uint8_t> pixels(ltx2_session * session, uint64_t seed) {
    ltx2_video_params params = small_video();
    params.seed = seed;
    ltx2_video * video = nullptr;
    CHECK(ltx2_session_generate(session, &params, &video) == LTX2_STATUS_OK);
    if (!video)
        return {};
    const size_t size = size_t{3} * video->frames * video->height * video->width;
    const std::vector<uint8_t> copy(video->pixels, video->pixels + size);
    ltx2_video_free(video);
    return copy;
}

static void open_and_generate() {
    ltx2_session * session = open_demo();
    pixels(session, 1);
    ltx2_session_close(session);
}

static void ask_what_needs_no_session() {
    for (int i = 0; i < 10; ++i) {
        char * text = nullptr;
        CHECK(ltx2_capabilities(&text) == LTX2_STATUS_OK);
        ltx2_text_free(text);
        CHECK(ltx2_file_describe(demo_files[i % 2], &text) == LTX2_STATUS_OK);
        ltx2_text_free(text);
        CHECK(ltx2_file_describe("no such file", &text) == LTX2_STATUS_MODEL);
        CHECK(ltx2_device_count() > 0 && ltx2_device_name(0));
    }
}

static void convert_a_tensor() {
    ltx2_conversion_params params = {};
    params.size = sizeof params;
    params.files = demo_files;
    params.file_count = 1;
    params.type = "f32";
    ltx2_conversion * conversion = nullptr;
    CHECK(ltx2_conversion_open(&params, &conversion) == LTX2_STATUS_OK);
    for (int tensor = 0; tensor < 8; ++tensor) {
        float values[16];
        ltx2_conversion_read(conversion, tensor, 0, 16, values, sizeof values); // if it has as many
    }
    ltx2_conversion_close(conversion);
}

TEST(the_first_calls_of_all_may_come_at_once) {
    at_once(open_and_generate, open_and_generate, ask_what_needs_no_session, convert_a_tensor);
}

TEST(two_sessions_make_side_by_side_what_each_makes_alone) {
    ltx2_session * sessions[] = {open_demo(), open_demo()};
    const std::vector<uint8_t> alone[] = {pixels(sessions[0], 1), pixels(sessions[1], 2)};
    std::vector<uint8_t> both[2];
    at_once([&] { both[0] = pixels(sessions[0], 1); }, [&] { both[1] = pixels(sessions[1], 2); });
    CHECK(both[0] == alone[0] && both[1] == alone[1] && both[0] != both[1]);
    for (ltx2_session * session : sessions)
        ltx2_session_close(session);
}

static std::atomic<int> messages[2];

// What is freed without being the library's is told to the log.
static void give_it_something_to_say() {
    char text = 0;
    ltx2_text_free(&text);
}

static void set_log(std::atomic<int> & count) {
    ltx2_log_set([](int, const char *, void * data) { ++*static_cast<std::atomic<int> *>(data); },
                 &count);
}

TEST(the_log_function_may_change_while_others_speak) {
    set_log(messages[0]);
    std::atomic<int> working{2};
    const auto work = [&] {
        open_and_generate();
        for (int i = 0; i < 1000; ++i)
            give_it_something_to_say();
        --working;
    };
    const auto change = [&] {
        for (int i = 0; working > 0; ++i) {
            set_log(messages[i % 2]);
            std::this_thread::yield();
        }
    };
    at_once(work, work, change);
    CHECK(messages[0] + messages[1] >= 2000);
    ltx2_log_set(nullptr, nullptr);
    const int before = messages[0] + messages[1];
    give_it_something_to_say();
    CHECK(messages[0] + messages[1] == before);
}

TEST(one_thread_stops_the_call_of_another) {
    static std::atomic<bool> begun, stop;
    begun = stop = false;
    ltx2_session * session = open_demo();
    ltx2_video_params params = large_video();
    params.steps = 1000; // far more than the test has time for
    params.progress = [](const ltx2_progress * p, void *) {
        begun = begun || p->stage == std::string("denoise");
        return !stop;
    };
    at_once([&] { CHECK(generate(session, params) == LTX2_STATUS_CANCELLED); },
            [] {
                while (!begun)
                    std::this_thread::yield();
                stop = true;
            },
            open_and_generate);
    CHECK(generate(session, small_video()) == LTX2_STATUS_OK);
    ltx2_session_close(session);
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
