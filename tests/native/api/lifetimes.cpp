// Who holds what, and until when: closing, freeing and calling in any order and on any thread.
#include "demo.h"

#include <atomic>
#include <thread>
#include <vector>

#if !defined(_WIN32)
#include <pthread.h>
#endif

TEST(a_session_that_is_closed_is_refused) {
    ltx2_session * first = open_demo();
    ltx2_session_close(first);
    CHECK_REFUSED(generate(first, small_video()), "session: closed, or never opened");
    ltx2_session * second = open_demo();
    CHECK(second != first); // never the same again
    ltx2_session_close(first);
    CHECK(generate(second, small_video()) == LTX2_STATUS_OK);
    ltx2_session_close(second);
    int something_else = 0;
    CHECK_REFUSED(generate(reinterpret_cast<ltx2_session *>(&something_else), small_video()),
                  "never opened");
    ltx2_session_close(reinterpret_cast<ltx2_session *>(&something_else));
}

TEST(a_function_may_close_its_own_session) {
    static ltx2_session * session;
    session = open_demo();
    ltx2_video_params params = small_video();
    params.progress = [](const ltx2_progress *, void *) {
        ltx2_session_close(session);
        return true;
    };
    CHECK(generate(session, params) == LTX2_STATUS_CANCELLED);
    CHECK_REFUSED(generate(session, small_video()), "session: closed");
}

TEST(closing_on_another_thread_stops_the_call) {
    for (const bool watches : {true, false}) {
        ltx2_session * session = open_demo();
        std::atomic<bool> begun{false};
        ltx2_video_params params = large_video();
        params.steps = 1000; // far more than the test has time for
        params.user_data = &begun;
        params.latents = [](const ltx2_latents *, void *) { return true; };
        if (watches)
            params.progress = [](const ltx2_progress * p, void * data) {
                *static_cast<std::atomic<bool> *>(data) = p->stage == std::string("denoise");
                return true;
            };
        std::thread closer([&] {
            while (watches && !begun)
                std::this_thread::yield();
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
            ltx2_session_close(session);
        });
        const ltx2_status status = generate(session, params);
        // Without a function to tell when, it may have been closed before the call.
        CHECK(status == LTX2_STATUS_CANCELLED || (!watches && says("session: closed")));
        closer.join();
    }
}

TEST(what_is_freed_twice_is_freed_once) {
    ltx2_session * session = open_demo();
    const ltx2_video_params params = small_video();
    ltx2_video * video = nullptr;
    CHECK(ltx2_session_generate(session, &params, &video) == LTX2_STATUS_OK);
    ltx2_session_close(session); // a video outlives it
    CHECK(video->frames == 9 && video->pixels[0] == video->pixels[0]);
    ltx2_video_free(video);
    ltx2_video_free(video);
    char * text = nullptr;
    CHECK(ltx2_capabilities(&text) == LTX2_STATUS_OK && text[0] == '{');
    ltx2_text_free(text);
    ltx2_text_free(text);
    ltx2_video own = {};
    ltx2_video_free(&own);
    ltx2_text_free(reinterpret_cast<char *>(&own));
    ltx2_conversion_params conversion_params = {};
    conversion_params.size = sizeof conversion_params;
    conversion_params.files = demo_files;
    conversion_params.file_count = 1;
    ltx2_conversion * conversion = nullptr;
    CHECK(ltx2_conversion_open(&conversion_params, &conversion) == LTX2_STATUS_OK);
    ltx2_conversion_close(conversion);
    ltx2_conversion_close(conversion);
    float value;
    CHECK_REFUSED(ltx2_conversion_read(conversion, 0, 0, 1, &value, sizeof value),
                  "conversion: closed, or never opened");
}

static std::atomic<int> warnings;

TEST(the_log_is_told_of_what_is_released_twice) {
    warnings = 0;
    ltx2_log_set([](int level, const char *, void *) { warnings += level == 30; }, nullptr);
    ltx2_session * session = open_demo();
    ltx2_session_close(session);
    ltx2_session_close(nullptr);
    CHECK(warnings == 0);
    ltx2_session_close(session);
    CHECK(warnings == 1);
    ltx2_log_set(nullptr, nullptr);
}

TEST(of_many_threads_in_one_session_one_computes) {
    ltx2_session * session = open_demo();
    std::atomic<int> made{0}, refused{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            for (int n = 0; n < 4; ++n) {
                const ltx2_status status = generate(session, small_video());
                made += status == LTX2_STATUS_OK;
                refused += status == LTX2_STATUS_INVALID_ARGUMENT && says("under way");
            }
        });
    for (std::thread & thread : threads)
        thread.join();
    CHECK(made > 0 && made + refused == 16);
    ltx2_session_close(session);
}

TEST(sessions_come_and_go_on_many_threads) {
    std::vector<std::thread> threads;
    std::atomic<int> made{0};
    for (int i = 0; i < 3; ++i)
        threads.emplace_back([&] {
            for (int n = 0; n < 2; ++n) {
                ltx2_session * session = open_demo();
                made += generate(session, small_video()) == LTX2_STATUS_OK;
                ltx2_session_close(session);
            }
        });
    for (std::thread & thread : threads)
        thread.join();
    CHECK(made == 6);
}

#if !defined(_WIN32) // whose threads are not cancelled
// The thread ends when the call has: with its locks open, and its helpers gone.
TEST(a_thread_that_is_cancelled_finishes_its_call_first) {
    static std::atomic<int> status;
    static ltx2_session * session;
    status = -100;
    session = open_demo();
    pthread_t thread;
    const auto body = [](void *) -> void * {
        ltx2_video_params params = small_video();
        params.progress = [](const ltx2_progress *, void *) {
            pthread_cancel(pthread_self());
            pthread_testcancel();
            return true;
        };
        ltx2_video * video = nullptr;
        status = ltx2_session_generate(session, &params, &video);
        ltx2_video_free(video);
        pthread_testcancel();
        return nullptr;
    };
    CHECK(pthread_create(&thread, nullptr, body, nullptr) == 0);
    void * result = nullptr;
    pthread_join(thread, &result);
    CHECK(result == PTHREAD_CANCELED);
    CHECK(status == LTX2_STATUS_OK);
    CHECK(generate(session, small_video()) == LTX2_STATUS_OK);
    ltx2_session_close(session);
}
#endif

int main(int argc, char ** argv) { return run_tests(argc, argv); }
