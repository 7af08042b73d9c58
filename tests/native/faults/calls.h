// What a program asks of the library, each call from beginning to end.
#pragma once

#include "ltx2.h"

#include <string>
#include <vector>

struct Outcome {
    ltx2_status status = LTX2_STATUS_OK;
    std::string words; // of a failure
    size_t result = 0; // of a success: a hash of all that came out
};

struct Call {
    const char * name;
    Outcome (*run)(const std::vector<const char *> & files, int threads);
    bool first; // in a process that has asked for nothing yet
};

// start, first-video, describe, video (from text and an image, decoded once more), enhance, convert
extern const std::vector<Call> all_calls;
