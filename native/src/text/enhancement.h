// What a text encoder is asked in order to enhance a prompt, and how its answer becomes one.
#pragma once

#include <string>

namespace ltx2 {

// The question: `instructions`, or, where they are empty, our own, for a video that begins with a
// picture if it is `of_image`; then the prompt.
std::string enhancement_request(const std::string & prompt, const std::string & instructions,
                                bool of_image);
// The answer in plain characters, from its first letter on; the prompt itself where there is none.
std::string enhanced_prompt(const std::string & answer, const std::string & prompt);

} // namespace ltx2
