// A prompt, enhanced by the text encoder before anything reads it.
#include "session.h"

#include "base/log.h"
#include "text/enhancement.h"
#include "text/writing.h"

#include <algorithm>
#include <cmath>

namespace ltx2 {

// Of the question: the instructions take some 500.
static constexpr size_t most_asked = 2048;

static Writing writing(const ltx2_enhance_params & params) {
    Writing how;
    how.seed = params.seed;
    if (!std::isfinite(params.temperature) || params.temperature > 100)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "temperature: %g is not in 0..100",
             double{params.temperature});
    if (params.temperature != 0)
        how.temperature = std::max(params.temperature, 0.0f);
    const auto set = [](const char * name, int32_t given, int most, int & field) {
        if (given < 0 || given > most)
            fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: %d is not in 1..%d", name, given, most);
        field = given ? given : field;
    };
    set("top_k", params.top_k, 1 << 20, how.top_k);
    set("tokens", params.tokens, 4096, how.tokens);
    return how;
}

// The text encoder with its embedding; one that is kept without it goes.
TextEncoder & Session::writer(const Progress & progress) {
    std::unique_ptr<TextEncoder> & resident = std::get<std::unique_ptr<TextEncoder>>(resident_);
    if (resident && !resident->writes())
        resident.reset();
    return use<TextEncoder>(progress, /*writes=*/true);
}

std::string Session::enhance(const ltx2_enhance_params & params) {
    const Leave leave{*this};
    const Progress progress(params.progress, params.user_data, &closed_);
    const Writing how = writing(params);
    const std::string given = params.instructions ? params.instructions : "";
    return while_unchanged(model_, [&] {
        const Part & part = model_.need(TextEncoder::part);
        if (part.generations == ltx_2_5)
            log(Level::warning,
                "enhance: LTX-2.5's own Gemma 4 was trained further to be read, not to write; look "
                "at what it writes");
        const std::vector<int32_t> asked =
            tokenizer().encode_turn(enhancement_request(params.prompt, given, params.of_image));
        if (asked.size() > most_asked)
            fail(LTX2_STATUS_INVALID_ARGUMENT,
                 "prompt: %zu tokens with its instructions; to be enhanced, at most %zu",
                 asked.size(), most_asked);
        const int64_t room = static_cast<int64_t>(asked.size()) + how.tokens;
        choose_residency({});
        check_writing(asked.size(), room, progress);
        TextEncoder & encoder = writer(progress);
        TextCache cache = encoder.cache(room);
        const auto predict = [&](const std::vector<int32_t> & tokens) {
            std::vector<float> logits = encoder.predict(tokens, cache, progress);
            check(logits, "enhancing the prompt", {{part}}, progress);
            return logits;
        };
        const auto tell = [&](const std::string & piece) {
            if (!ask("text", params.text, *piece.c_str(), params.user_data))
                fail(LTX2_STATUS_CANCELLED, "enhance: cancelled after %lld tokens",
                     static_cast<long long>(cache.tokens));
        };
        const std::string answer = write(asked, how, tokenizer(), predict, tell);
        progress("enhance", static_cast<int>(room), static_cast<int>(room));
        return enhanced_prompt(answer, params.prompt);
    });
}

} // namespace ltx2
