// ggml's abort() is an exception where one asks for it, also through ggml's C code.
#include "base/aborts.h"
#include "check.h"

#include "ggml.h"

#include <memory>
#include <string>
#include <thread>

using namespace ltx2;

// As ggml's own code logs.
static void log_of_ggml(ggml_log_level level, const char * words) {
    ggml_log_callback function = nullptr;
    void * data = nullptr;
    ggml_log_get(&function, &data);
    function(level, words, data);
}

template <class Body>
static std::string thrown(Body && body) {
    try {
        body();
    } catch (const Aborted & e) {
        return e.what();
    }
    return "";
}

TEST(an_abort_is_an_exception_while_one_lives) {
    const AbortsThrow outer;
    CHECK(thrown([] { GGML_ABORT("a defect"); }).find("a defect") != std::string::npos);
    {
        const AbortsThrow inner;
        CHECK(AbortsThrow::in_this_thread());
    }
    CHECK(AbortsThrow::in_this_thread());
    bool elsewhere = true;
    std::thread([&] { elsewhere = AbortsThrow::in_this_thread(); }).join();
    CHECK(!elsewhere);
}

TEST(it_says_which_error_was_logged_before) {
    const AbortsThrow aborts_throw;
    log_of_ggml(GGML_LOG_LEVEL_WARN, "a warning");
    log_of_ggml(GGML_LOG_LEVEL_ERROR, "an earlier error");
    log_of_ggml(GGML_LOG_LEVEL_ERROR, "out of memory\n");
    log_of_ggml(GGML_LOG_LEVEL_ERROR, "  in some function\n");
    const std::string words = thrown([] { GGML_ABORT("a defect"); });
    CHECK(words.rfind("out of memory: ", 0) == 0);
    CHECK(words.find("a defect") != std::string::npos);
}

TEST(it_passes_through_ggml_s_c_code) {
    std::unique_ptr<ggml_context, decltype(&ggml_free)> context(ggml_init({1 << 16, nullptr, true}),
                                                                ggml_free);
    ggml_tensor * x = ggml_new_tensor_1d(context.get(), GGML_TYPE_F32, 4);
    {
        const AbortsThrow aborts_throw;
        CHECK(!thrown([&] { ggml_reshape_1d(context.get(), x, 5); }).empty());
    }
    CHECK(!AbortsThrow::in_this_thread());
    CHECK(ggml_reshape_1d(context.get(), x, 4)->ne[0] == 4); // ggml is as it was
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
