// What files leave unsaid: the config of the official LTX-2.3 files, in their own form.
#pragma once

#include <vector>

namespace ltx2 {

extern const char * const ltx23_config;

// What a guided video avoids by default: the kinds of fault that the official default names, of
// picture, bodies, lettering, style, motion and sound, in words of our own.
extern const char * const ltx23_negative_prompt;

// The two models there are, and the `sampling` group that each is made for.
struct Variant {
    const char *name, *sampling;
};
extern const std::vector<Variant> ltx23_variants;

} // namespace ltx2
