// Writing: which token is drawn, where it ends, and what becomes of the answer.
#include "check.h"
#include "text/enhancement.h"
#include "text/writing.h"

#include <map>

using namespace ltx2;
using Ids = std::vector<int32_t>;

namespace {

std::vector<float> logits() { return {0, 3, 1, 3, -2, 2.5f}; }

TEST(without_a_temperature_the_likeliest_is_chosen_the_first_of_equals) {
    Writing how;
    how.temperature = 0;
    CHECK(choose_token(logits(), how, 0) == 1);
    how.temperature = 0.7f, how.top_k = 1;
    CHECK(choose_token(logits(), how, 5) == 1);
}

// Of 20,000 draws each token has its share of the softmax of the first three.
TEST(tokens_are_drawn_by_their_share_of_the_likeliest) {
    Writing how;
    how.temperature = 0.5f, how.top_k = 3, how.seed = 8;
    std::map<int32_t, int> counts;
    for (uint64_t i = 0; i < 20000; ++i)
        ++counts[choose_token(logits(), how, i)];
    CHECK(counts.size() == 3);
    const double total = 2 + std::exp(-1.0);
    CHECK(std::abs(counts[1] / 20000.0 - 1 / total) < 0.015);
    CHECK(std::abs(counts[3] / 20000.0 - 1 / total) < 0.015);
    CHECK(std::abs(counts[5] / 20000.0 - std::exp(-1.0) / total) < 0.015);
}

TEST(a_seed_gives_the_same_text_again_and_another_one_another) {
    const auto drawn = [](uint64_t seed) {
        Writing how;
        how.seed = seed, how.temperature = 5;
        Ids ids;
        for (uint64_t i = 0; i < 40; ++i)
            ids.push_back(choose_token(logits(), how, i));
        return ids;
    };
    CHECK(drawn(1) == drawn(1) && drawn(1) != drawn(2));
    CHECK(drawn(1) != Ids(40, drawn(1)[0]));
}

// Of these tokens "e" is the end of a turn, and the euro sign comes in three bytes.
Tokenizer tokenizer() {
    return Tokenizer::from_json(
        Json::parse(
            R"({"added_tokens":[{"id":1,"content":"<bos>"},{"id":4,"content":"<end_of_turn>"}],)"
            R"("model":{"type":"BPE","byte_fallback":true,"merges":[],"vocab":{"<unk>":0,)"
            R"("<bos>":1,"a":2,"b":3,"<end_of_turn>":4,"<0xE2>":5,"<0x82>":6,"<0xAC>":7}}})",
            "t"),
        "t");
}

struct Written {
    std::string text;
    std::vector<std::string> pieces;
    std::vector<Ids> read;
};
Written written(Ids answer, int tokens = 512) {
    Written out;
    Writing how;
    how.temperature = 0, how.tokens = tokens;
    const auto predict = [&](const Ids & ids) {
        out.read.push_back(ids);
        std::vector<float> logits(12, 0.0f); // more rows than there are tokens
        logits[11] = 9;
        logits[static_cast<size_t>(answer[out.read.size() - 1])] = 1;
        return logits;
    };
    out.text = write({1, 2, 3}, how, tokenizer(), predict,
                     [&](const std::string & piece) { out.pieces.push_back(piece); });
    return out;
}

TEST(a_text_ends_with_its_turn_or_its_tokens) {
    const Written all = written({2, 3, 4, 2});
    CHECK(all.text == "ab");
    CHECK(all.read == (std::vector<Ids>{{1, 2, 3}, {2}, {3}}));
    CHECK(written({2, 3, 3, 3}, 3).text == "abb");
    CHECK(written({4}).text.empty());
}

TEST(pieces_are_whole_characters) {
    CHECK(written({2, 5, 6, 7, 3, 4}).pieces ==
          (std::vector<std::string>{"a", "\xE2\x82\xAC", "b"}));
    CHECK(written({5, 6, 4}).text.empty());            // none in the end
    CHECK(written({5, 2, 2, 2, 2, 4}).text == "aaaa"); // none at all
}

TEST(an_answer_becomes_a_prompt) {
    CHECK(enhanced_prompt("  **\u201CA cat\u2019s\u201D \u2014 a\u00A0cat \u2032\u2212\u2013 \n",
                          "x") == "A cat's\" - a cat '--");
    CHECK(enhanced_prompt("1. \u8D64\u3044", "x") == "\u8D64\u3044");
    CHECK(enhanced_prompt("\u00AB\U0001F431 \u00E9t\u00E9\u00BB", "x") == "\u00E9t\u00E9\u00BB");
    CHECK(enhanced_prompt("12 + 3", "x") == "12 + 3"); // no letter
    CHECK(enhanced_prompt(" \n", "the prompt") == "the prompt");
}

TEST(the_question_has_its_instructions_and_the_prompt) {
    CHECK(enhancement_request(" a cat\n", " Rhyme. ", false) == "Rhyme.\n\nuser prompt: a cat");
    const std::string text = enhancement_request("a cat", "", false),
                      image = enhancement_request("a cat", "", true);
    CHECK(text != image && text.find("picture of theirs") == std::string::npos &&
          image.find("picture of theirs") != std::string::npos);
    CHECK(image.substr(image.size() - 20) == "\n\nuser prompt: a cat");
}

} // namespace

int main(int argc, char ** argv) { return run_tests(argc, argv); }
