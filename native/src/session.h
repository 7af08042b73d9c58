// The pipeline, and which component is resident when.
#pragma once

#include "ltx2.h"

#include <memory>
#include <string>
#include <vector>

namespace ltx2 {

struct SessionParams {
    std::vector<std::string> files;
    std::string device;
    int threads = 0;
    bool keep_loaded = false;
};

// What ltx2_video points into.
struct Video : ltx2_video {
    std::vector<uint8_t> pixel_data;
    std::vector<float> latent_data;
};

class Session {
public:
    // Reads metadata only. Errors: MODEL, DEVICE, INVALID_ARGUMENT.
    explicit Session(const SessionParams & params);
    ~Session();

    std::unique_ptr<Video> generate(const ltx2_video_params & params);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace ltx2
