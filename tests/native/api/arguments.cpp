// What is given to the functions: every value that makes no sense is refused by name.
#include "demo.h"

#include <climits>
#include <cstdint>
#include <limits>
#include <vector>

static ltx2_status open(const ltx2_session_params & params) {
    ltx2_session * session = nullptr;
    const ltx2_status status = ltx2_session_open(&params, &session);
    CHECK((status == LTX2_STATUS_OK) == (session != nullptr));
    ltx2_session_close(session);
    return status;
}

// One session for all: a call that is refused changes nothing.
static ltx2_session * demo() {
    static const std::unique_ptr<ltx2_session, decltype(&ltx2_session_close)> session(
        open_demo(), ltx2_session_close);
    return session.get();
}

// A small video with one field changed.
template <class Change>
static ltx2_status with(Change && change) {
    ltx2_video_params params = small_video();
    params.width = params.height = 32;
    params.frames = 1;
    change(params);
    return generate(demo(), params);
}

static float nan() { return std::numeric_limits<float>::quiet_NaN(); }
static float inf() { return std::numeric_limits<float>::infinity(); }

template <class T>
static T * moved(T * pointer) { // to an address that no T can have
    return reinterpret_cast<T *>(reinterpret_cast<uintptr_t>(pointer) + 1);
}

TEST(openings_are_checked) {
    ltx2_session * session = nullptr;
    CHECK_REFUSED(ltx2_session_open(nullptr, nullptr), "out: null");
    CHECK_REFUSED(ltx2_session_open(nullptr, &session), "ltx2_session_params: null");
    ltx2_session_params p = opening();
    CHECK_REFUSED(ltx2_session_open(&p, moved(&session)), "out: ");
    CHECK_REFUSED(ltx2_session_open(moved(&p), &session), "ltx2_session_params: ");
    const size_t least = sizeof(ltx2_session_params); // of the first release
    for (size_t size : {size_t{0}, size_t{1}, least - 1, p.size + 8, SIZE_MAX}) {
        p.size = size;
        CHECK_REFUSED(open(p), "ltx2_session_params.size");
    }
    for (int threads : {-1, INT_MIN, 513, INT_MAX}) {
        p = opening();
        p.threads = threads;
        CHECK_REFUSED(open(p), "threads: ");
    }
    p = opening();
    p.device = "%s%n%s";
    CHECK(open(p) == LTX2_STATUS_DEVICE && says("%s%n%s"));
}

TEST(lists_of_files_are_checked) {
    ltx2_session_params p = opening();
    p.files = nullptr;
    CHECK_REFUSED(open(p), "files: null");
    p.files = moved(demo_files);
    CHECK_REFUSED(open(p), "files: ");
    for (size_t count : {SIZE_MAX, SIZE_MAX / 8, size_t{1} << 20}) {
        p = opening();
        p.file_count = count;
        CHECK_REFUSED(open(p), "files: ");
    }
    p = opening();
    p.file_count = 0;
    CHECK_REFUSED(open(p), "files: none");
    const std::string long_name(1 << 20, 'a');
    for (const char * name : {"", "\xff\xfe\n\x1b[31m", "/dev/null", long_name.c_str()}) {
        const char * files[] = {name, nullptr};
        p.files = files;
        p.file_count = 1;
        CHECK(open(p) == LTX2_STATUS_MODEL);
        p.file_count = 2;
        CHECK_REFUSED(open(p), "files[i]: null");
    }
}

TEST(pointers_of_a_generation_are_checked) {
    ltx2_video * video = nullptr;
    ltx2_video_params p = small_video();
    CHECK_REFUSED(ltx2_session_generate(demo(), nullptr, &video), "ltx2_video_params: null");
    CHECK_REFUSED(ltx2_session_generate(demo(), &p, nullptr), "out: null");
    CHECK_REFUSED(ltx2_session_generate(demo(), &p, moved(&video)), "out: ");
    CHECK_REFUSED(ltx2_session_generate(demo(), moved(&p), &video), "ltx2_video_params: ");
    CHECK_REFUSED(ltx2_session_generate(nullptr, &p, &video), "session: null");
    const size_t first_release = offsetof(ltx2_video_params, features);
    for (size_t size : {size_t{0}, first_release - 8, p.size + 8, SIZE_MAX})
        CHECK_REFUSED(with([&](auto & v) { v.size = size; }), "ltx2_video_params.size");
    // `out` is null from the call's begin, also where that is a field of the parameters.
    const auto into = [](void * field) { return static_cast<ltx2_video **>(field); };
    CHECK_REFUSED(ltx2_session_generate(demo(), &p, into(&p.prompt)), "prompt: null");
    p = small_video();
    CHECK_REFUSED(ltx2_session_generate(demo(), &p, into(&p.size)), "size: 0");
}

TEST(texts_are_checked) {
    CHECK_REFUSED(with([](auto & v) { v.prompt = nullptr; }), "prompt: null");
    CHECK_REFUSED(with([](auto & v) { v.prompt = " \n\t"; }), "prompt: empty");
    for (const char * text : {"\xff\xfe", "a \xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80"}) {
        CHECK_REFUSED(with([&](auto & v) { v.prompt = text; }), "UTF-8");
        CHECK_REFUSED(with([&](auto & v) { v.negative_prompt = text, v.guidance = 3; }), "UTF-8");
    }
    for (const char * name : {"", "none such", "%s%n"})
        CHECK_REFUSED(with([&](auto & v) { v.schedule = name; }), "schedule");
}

TEST(sizes_are_checked) {
    for (int side : {-32, 1, 33, INT_MIN, INT_MAX, INT_MAX - 31, 8224}) {
        CHECK_REFUSED(with([&](auto & v) { v.width = side; }), "width: ");
        CHECK_REFUSED(with([&](auto & v) { v.height = side; }), "height: ");
    }
    for (int frames : {-7, 2, INT_MIN, INT_MAX, INT_MAX - 6, 4105})
        CHECK_REFUSED(with([&](auto & v) { v.frames = frames; }), "frames: ");
    for (int steps : {-1, INT_MIN, INT_MAX, 1001})
        CHECK_REFUSED(with([&](auto & v) { v.steps = steps; }), "steps: ");
    const auto largest = [](auto & v) { v.width = v.height = 8192, v.frames = 4097; };
    CHECK(with(largest) == LTX2_STATUS_OUT_OF_MEMORY && says("8192 x 8192"));
}

TEST(numbers_are_checked) {
    for (float fps : {nan(), inf(), -inf(), -1.0f, 1e-45f, 1e30f, 0.5f, 241.0f})
        CHECK_REFUSED(with([&](auto & v) { v.fps = fps; }), "fps: ");
    for (float strength : {nan(), inf(), -inf(), 101.0f, 1e30f}) {
        CHECK_REFUSED(with([&](auto & v) { v.guidance = strength; }), "guidance: ");
        CHECK_REFUSED(with([&](auto & v) { v.stg = strength; }), "stg: ");
        CHECK_REFUSED(with([&](auto & v) { v.rescale = strength; }), "rescale: ");
    }
    for (float least : {-1.0f, 1e-45f, 100.0f}) // odd, and allowed
        CHECK(with([&](auto & v) { v.guidance = least; }) == LTX2_STATUS_OK);
}

static constexpr size_t latent_size = 64; // of a frame of 32 x 32

TEST(noise_is_checked) {
    std::vector<float> noise(1 << 16, 0.5f);
    CHECK_REFUSED(with([](auto & v) { v.noise_count = 1; }), "noise: null");
    const auto given = [&](const float * values, size_t count) {
        return with([&](auto & v) { v.noise = values, v.noise_count = count; });
    };
    CHECK_REFUSED(given(noise.data(), 1), "noise: 1 values given");
    CHECK_REFUSED(given(noise.data(), SIZE_MAX), "noise: ");
    CHECK_REFUSED(given(moved(noise.data()), 128), "noise: ");
    CHECK(given(noise.data(), 0) == LTX2_STATUS_OK);
    noise[5] = nan();
    CHECK_REFUSED(given(noise.data(), latent_size), "noise: holds a value that is not finite");
}

// Before a weight is read: no progress is told.
TEST(what_does_not_fit_a_run_is_refused_before_any_work) {
    const std::vector<float> values(1 << 16, nan());
    const auto refused = [&](auto change) {
        int reports = 0;
        const ltx2_status status = with([&](auto & v) {
            change(v);
            v.user_data = &reports;
            v.progress = [](const ltx2_progress *, void * count) {
                ++*static_cast<int *>(count);
                return true;
            };
        });
        CHECK(reports == 0);
        return status;
    };
    for (size_t count : {size_t{1}, latent_size - 1, latent_size, latent_size + 1})
        CHECK_REFUSED(refused([&](auto & v) { v.noise = values.data(), v.noise_count = count; }),
                      "noise: ");
    const size_t one = latent_size;
    for (size_t count : {size_t{0}, one - 1, one, one + 1, 2 * one, 3 * one, values.size()}) {
        const ltx2_state state = {1, values.data(), count, nullptr};
        CHECK_REFUSED(refused([&](auto & v) { v.resume = &state; }),
                      count == one || count == 2 * one ? "resume: holds a value that is not finite"
                                                       : "are wanted; it was another video");
    }
}

TEST(pictures_are_checked) {
    static const uint8_t pixels[4 * 4 * 3] = {};
    const ltx2_image good = {pixels, 4, 4, 0, 1};
    const auto shown = [&](ltx2_image image, size_t count = 1) {
        return with([&](auto & v) { v.images = &image, v.image_count = count; });
    };
    const auto changed = [&](auto change) {
        ltx2_image image = good;
        change(image);
        return shown(image);
    };
    CHECK(shown(good) == LTX2_STATUS_OK);
    CHECK_REFUSED(with([](auto & v) { v.image_count = 1; }), "images: null");
    CHECK_REFUSED(with([&](auto & v) { v.images = moved(&good), v.image_count = 1; }), "images: ");
    CHECK_REFUSED(shown(good, SIZE_MAX), "images: 18446744073709551615 given");
    CHECK_REFUSED(changed([](auto & i) { i.pixels = nullptr; }), "no pixels");
    for (int side : {0, -1, INT_MIN, INT_MAX}) {
        CHECK_REFUSED(changed([&](auto & i) { i.width = side; }), "images[0]");
        CHECK_REFUSED(changed([&](auto & i) { i.height = side; }), "images[0]");
    }
    for (int frame : {-1, 1, INT_MIN, INT_MAX})
        CHECK_REFUSED(changed([&](auto & i) { i.frame = frame; }), "frame: ");
    for (float strength : {nan(), inf(), -1.0f, 1.1f, -1e-45f})
        CHECK_REFUSED(changed([&](auto & i) { i.strength = strength; }), "strength: ");
    for (float odd : {-0.0f, 1e-45f})
        CHECK(changed([&](auto & i) { i.strength = odd; }) == LTX2_STATUS_OK);
}

TEST(latents_to_decode_are_checked) {
    std::vector<float> values(1 << 16, 0.5f);
    ltx2_latents latents = {values.data(), 0, 1, 1, 1};
    ltx2_decode_params p = {};
    ltx2_video * video = nullptr;
    const auto decode = [&] { return ltx2_session_decode(demo(), &p, &video); };
    CHECK_REFUSED(decode(), "ltx2_decode_params.size");
    p.size = sizeof p;
    CHECK_REFUSED(decode(), "latents: null");
    CHECK_REFUSED(ltx2_session_decode(nullptr, &p, &video), "latents: null");
    p.latents = moved(&latents);
    CHECK_REFUSED(decode(), "latents: ");
    p.latents = &latents;
    for (int channels : {0, -1, INT_MAX, INT_MIN}) {
        latents.channels = channels;
        CHECK_REFUSED(decode(), "channels");
    }
    latents.channels = 64;
    for (int32_t ltx2_latents::*side :
         {&ltx2_latents::frames, &ltx2_latents::height, &ltx2_latents::width})
        for (int length : {0, -1, INT_MIN, INT_MAX}) {
            latents.frames = latents.height = latents.width = 1;
            latents.*side = length;
            CHECK(decode() == LTX2_STATUS_INVALID_ARGUMENT || says("memory"));
        }
    latents.frames = latents.height = latents.width = 1;
    for (const float * pointer : {static_cast<float *>(nullptr), moved(values.data())}) {
        latents.values = pointer;
        CHECK_REFUSED(decode(), "latents.values: ");
    }
    latents.values = values.data();
    values[3] = nan();
    CHECK_REFUSED(decode(), "finite");
    values[3] = 0;
    p.fps = nan();
    CHECK_REFUSED(decode(), "fps: ");
    CHECK(video == nullptr);
}

TEST(a_conversion_is_checked) {
    ltx2_conversion_params p = {};
    ltx2_conversion * conversion = nullptr;
    CHECK_REFUSED(ltx2_conversion_open(nullptr, &conversion), "ltx2_conversion_params: null");
    CHECK_REFUSED(ltx2_conversion_open(&p, &conversion), "ltx2_conversion_params.size");
    p.size = sizeof p;
    CHECK_REFUSED(ltx2_conversion_open(&p, &conversion), "files: none");
    p.file_count = 1;
    CHECK_REFUSED(ltx2_conversion_open(&p, &conversion), "files: null");
    p.files = demo_files;
    p.type = "%s%n";
    CHECK_REFUSED(ltx2_conversion_open(&p, &conversion), "type: \"%s%n\"");
    p.type = nullptr;
    p.tensor_type_count = 1;
    CHECK_REFUSED(ltx2_conversion_open(&p, &conversion), "tensor_type: null");
    const char * patterns[] = {nullptr};
    p.tensor_type = patterns;
    CHECK_REFUSED(ltx2_conversion_open(&p, &conversion), "tensor_type[i]: null");
    for (const char * pattern : {"", "=", "=f16", "*", "*=%s%n", "%s=f16"}) {
        patterns[0] = pattern;
        CHECK_REFUSED(ltx2_conversion_open(&p, &conversion), "type: ");
    }
    p.tensor_type_count = 0;
    p.variant = "none such";
    CHECK_REFUSED(ltx2_conversion_open(&p, &conversion), "variant: ");
    CHECK(conversion == nullptr);
    p.variant = nullptr;
    CHECK(ltx2_conversion_open(&p, &conversion) == LTX2_STATUS_OK);
    std::vector<float> out(64);
    const auto read = [&](int tensor, int64_t first, int64_t count, void * to, size_t size) {
        return ltx2_conversion_read(conversion, tensor, first, count, to, size);
    };
    CHECK_REFUSED(read(0, 0, 1, nullptr, 4), "out: null");
    CHECK_REFUSED(read(0, 0, 1, moved(out.data()), 4), "out: ");
    for (int tensor : {-1, INT_MIN, INT_MAX})
        CHECK_REFUSED(read(tensor, 0, 256, out.data(), 256), "tensor: ");
    for (int64_t odd : {int64_t{-256}, INT64_MIN, INT64_MAX, INT64_MAX - 255}) {
        CHECK_REFUSED(read(0, odd, 256, out.data(), SIZE_MAX), "first, count: ");
        CHECK_REFUSED(read(0, 0, odd, out.data(), SIZE_MAX), "first, count: ");
        CHECK_REFUSED(read(0, odd, odd, out.data(), SIZE_MAX), "first, count: ");
    }
    CHECK_REFUSED(ltx2_conversion_read(nullptr, 0, 0, 256, out.data(), 256), "conversion: null");
    ltx2_conversion_close(conversion);
}

TEST(the_others_are_checked) {
    char * text = nullptr;
    CHECK_REFUSED(ltx2_capabilities(nullptr), "out: null");
    CHECK_REFUSED(ltx2_file_describe(nullptr, &text), "file: null");
    CHECK_REFUSED(ltx2_file_describe(demo_files[0], nullptr), "out: null");
    CHECK(ltx2_file_describe("", &text) == LTX2_STATUS_MODEL && !text);
    for (int index : {-1, INT_MIN, INT_MAX})
        CHECK(ltx2_device_name(index) == nullptr);
    ltx2_text_free(nullptr);
    ltx2_video_free(nullptr);
    ltx2_session_close(nullptr);
    ltx2_conversion_close(nullptr);
}
