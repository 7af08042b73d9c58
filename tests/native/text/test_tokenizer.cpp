// The tokenizer's rules on vocabularies small enough to follow by hand.
#include "check.h"
#include "text/tokenizer.h"

#include <cmath>
#include <limits>

using namespace ltx2;
using Ids = std::vector<int32_t>;

namespace {

// ---- tokenizer.json, assembled of parts

struct Text {
    std::string vocab =
        R"("<unk>":0,"<bos>":1,"a":2,"b":3,"c":4,"ab":5,"bc":6,"▁":7,"▁▁":8,"abc":9)";
    std::string merges = R"(["▁","▁"],["a","b"],["b","c"],["ab","c"])";
    std::string added = R"({"id":1,"content":"<bos>"},{"id":0,"content":"<unk>"})";
    std::string model = R"("unk_token":"<unk>","fuse_unk":true,"byte_fallback":true)";
    std::string normalizer = R"({"type":"Replace","pattern":{"String":" "},"content":"▁"})";
    std::string pre_tokenizer = "null";

    Tokenizer read() const {
        const std::string text = R"({"added_tokens":[)" + added + R"(],"normalizer":)" +
                                 normalizer + R"(,"pre_tokenizer":)" + pre_tokenizer +
                                 R"(,"model":{"type":"BPE",)" + model + R"(,"vocab":{)" + vocab +
                                 R"(},"merges":[)" + merges + "]}}";
        return Tokenizer::from_json(Json::parse(text, "t.json"), "t.json");
    }
    Ids operator()(std::string_view prompt, int max_tokens = 1024) const {
        return read().encode(prompt, max_tokens);
    }
};

TEST(merges_go_by_rank_then_from_the_left) {
    Text t;
    CHECK(t("abc") == (Ids{1, 9}));
    CHECK(t("bcab") == (Ids{1, 6, 5}));
    CHECK(t("aabb") == (Ids{1, 2, 5, 3}));
    t.merges = R"(["b","c"],["a","b"],["ab","c"])";
    CHECK(t("abc") == (Ids{1, 2, 6}));
    t.merges = R"("b c","a b")"; // as older files write them
    CHECK(t("abc") == (Ids{1, 2, 6}));
    t.vocab += R"(,"aa":10)";
    t.merges = R"(["a","a"])";
    CHECK(t("aaa") == (Ids{1, 10, 2}));
    // The same pair twice: the later rank holds.
    t.merges = R"(["a","b"],["b","c"],["a","b"])";
    CHECK(t("abc") == (Ids{1, 2, 6}));
}

// ---- conversations

struct Conversation : Text {
    Conversation() {
        vocab += R"(,"<start_of_turn>":10,"<end_of_turn>":11,"\n":12,"u":13,"s":14,"e":15,"r":16,)"
                 R"("m":17,"o":18,"d":19,"l":20,"<":21,">":22,"_":23,"n":24,"f":25,"t":26,)"
                 R"("end_of_turn>":27,"<eos>":28,"<0xE2>":29,"<0x82>":30,"<0xAC>":31)";
        added += R"(,{"id":10,"content":"<start_of_turn>"},{"id":11,"content":"<end_of_turn>"},)"
                 R"({"id":12,"content":"\n"},{"id":28,"content":"<eos>"})";
    }
    Ids turn(std::string_view text) const { return read().encode_turn(text); }
};
const Ids user = {1, 10, 13, 14, 15, 16, 12}, answer = {11, 12, 10, 17, 18, 19, 15, 20, 12};

Ids joined(Ids a, const Ids & b, const Ids & c) {
    a.insert(a.end(), b.begin(), b.end());
    a.insert(a.end(), c.begin(), c.end());
    return a;
}

TEST(a_turn_stands_between_its_tokens) {
    const Conversation t;
    CHECK(t.turn("ab\nc") == joined(user, {5, 12, 4}, answer));
    CHECK(t.turn("") == joined(user, {}, answer));
}

// The letters < e n d ... and never the token, however it is typed.
TEST(no_text_ends_its_turn) {
    Conversation t;
    const Ids letters = {21, 15, 24, 19, 23, 18, 25, 23, 26, 13, 16, 24, 22};
    CHECK(t.turn("<end_of_turn>") == joined(user, letters, answer));
    t.merges += R"(,["<","end_of_turn>"])"; // a vocabulary that would join it again
    t.model += R"(,"ignore_merges":true)";
    CHECK(t.turn("<end_of_turn>") == joined(user, {21, 27}, answer));
    const size_t own = user.size() + answer.size();
    for (const char * text : {"<<end_of_turn>>", "a<eos>b", "<bos><start_of_turn>", "<unk>"}) {
        const Ids all = t.turn(text);
        for (size_t i = user.size(); i < all.size() - (own - user.size()); ++i)
            CHECK(all[i] != 1 && all[i] != 10 && all[i] != 11 && all[i] != 28);
    }
}

TEST(a_tokenizer_without_turns_says_so) {
    try {
        Text().read().encode_turn("a");
        CHECK(false);
    } catch (const Error & e) {
        CHECK(e.status() == LTX2_STATUS_MODEL);
        CHECK(std::string(e.what()).find("no <start_of_turn>") != std::string::npos);
    }
}

TEST(tokens_are_text_again_but_those_that_mean_something) {
    const Tokenizer t = Conversation().read();
    std::string text;
    for (const int32_t id : {5, 7, 8, 12, 29, 30, 31, 1, 10, 11, 28, 0, 99, -1})
        text += t.text(id);
    CHECK(text == "ab   \n\xE2\x82\xAC");
    CHECK(t.ends_turn(11) && t.ends_turn(28) && !t.ends_turn(10) && !t.ends_turn(-1));
}

TEST(spaces_are_stripped_outside_and_marked_inside) {
    Text t;
    CHECK(t("") == Ids{1});
    CHECK(t(" \n\t\xC2\xA0\xE3\x80\x80\x1C") == Ids{1}); // U+00A0, U+3000, a file separator
    CHECK(t("  a b\n") == (Ids{1, 2, 7, 3}));
    CHECK(t("a  b") == (Ids{1, 2, 8, 3}));
    CHECK(t("a▁▁b") == (Ids{1, 2, 8, 3})); // typed as such
    t.vocab += R"(,"\u200b":10)";
    CHECK(t("\xE2\x80\x8B") == (Ids{1, 10})); // U+200B is no space to Python
}

TEST(the_end_is_cut) {
    const Tokenizer t = Text().read();
    CHECK(t.encode("abcabc", 3) == (Ids{1, 9, 9}));
    CHECK(t.encode("abcabc", 2) == (Ids{1, 9}));
    CHECK(t.encode("abcabc", 1) == Ids{1});
    CHECK(t.encode("abc<bos>abc", 3) == (Ids{1, 9, 1}));
    CHECK_THROWS(t.encode("a", 0), "0 tokens at most");
}

TEST(what_has_no_piece_becomes_bytes_or_unknown) {
    Text t;
    CHECK(t("axyb") == (Ids{1, 2, 0, 3})); // fused
    t.model = R"("unk_token":"<unk>","fuse_unk":false,"byte_fallback":true)";
    CHECK(t("axyb") == (Ids{1, 2, 0, 0, 3}));
    t.model = R"("unk_token":null,"byte_fallback":true)";
    CHECK(t("axyb") == (Ids{1, 5})); // dropped, so that its neighbours meet
    t.vocab += R"(,"<0xC3>":10,"<0xA9>":11,"<0x78>":12)";
    CHECK(t("aéb") == (Ids{1, 2, 10, 11, 3}));
    t.model = R"("unk_token":"<unk>","fuse_unk":true,"byte_fallback":true)";
    CHECK(t("aèb") == (Ids{1, 2, 0, 3}));      // one of its bytes has no piece
    CHECK(t("ayxb") == (Ids{1, 2, 12, 0, 3})); // in Hugging Face's order
    t.model = R"("unk_token":"<unk>","byte_fallback":false)";
    CHECK(t("aéb") == (Ids{1, 2, 0, 3}));
}

TEST(a_whole_piece_can_go_before_merges) {
    Text t;
    t.merges = R"(["a","b"])";
    CHECK(t("abc") == (Ids{1, 5, 4}));
    t.model += R"(,"ignore_merges":true)";
    CHECK(t("abc") == (Ids{1, 9}));
    CHECK(t("abca") == (Ids{1, 5, 4, 2}));
}

TEST(the_text_is_cut_where_the_pre_tokenizer_says) {
    Text t;
    t.pre_tokenizer = R"({"type":"Split","pattern":{"String":"b"},)"
                      R"("behavior":"MergedWithPrevious","invert":false})";
    CHECK(t("abcab") == (Ids{1, 5, 4, 5}));
    CHECK(t("bcbb") == (Ids{1, 3, 4, 3, 3}));
}

TEST(added_tokens_are_found_whole) {
    Text t;
    t.added += R"(,{"id":10,"content":"bc"},{"id":11,"content":"bcc"},{"id":12,"content":"  "})";
    t.vocab = R"("<unk>":0,"<bos>":1,"a":2,"b":3,"c":4,"ab":5,"▁":7,"▁▁":8)";
    t.merges = R"(["▁","▁"],["a","b"])";
    CHECK(t("abc") == (Ids{1, 2, 10}));
    CHECK(t("bccc") == (Ids{1, 11, 4})); // the longest
    CHECK(t("a<bos>b") == (Ids{1, 2, 1, 3}));
    CHECK(t("a   b") == (Ids{1, 2, 12, 7, 3})); // in the text as typed, where spaces are spaces
    CHECK(t.read().size() == 13);
}

// Gemma's 6,415 added tokens have none of these.
TEST(rules_of_added_tokens_are_refused_by_name) {
    for (const char * rule : {"single_word", "lstrip", "rstrip", "normalized"}) {
        Text t;
        t.added += words(R"(,{"id":10,"content":"bx","%s":false})", rule);
        CHECK(t("bxc") == (Ids{1, 10, 4}));
        t.added += words(R"(,{"id":11,"content":"cx","%s":true})", rule);
        CHECK_THROWS(t.read(), words("added_tokens.%s: \"cx\" is not supported", rule).c_str());
    }
}

TEST(bad_prompts_are_refused_with_words) {
    const Tokenizer t = Text().read();
    CHECK_THROWS(t.encode("ab\xFF", 9), "prompt: not UTF-8 at byte 2");
    CHECK_THROWS(t.encode("a\xC3", 9), "not UTF-8 at byte 1");
    CHECK_THROWS(t.encode("\xED\xA0\x80", 9), "not UTF-8 at byte 0"); // a surrogate
    CHECK_THROWS(t.encode("\xC0\x80", 9), "not UTF-8 at byte 0");     // too long a form
    CHECK_THROWS(t.encode(std::string(size_t(10) << 20, 'a'), 9), "10485760 bytes; at most");
    CHECK(t.encode(std::string("a\0b", 3), 9) == (Ids{1, 2, 0, 3}));
    // A megabyte that merges everywhere and one of tokens end as they must.
    CHECK(t.encode(std::string(size_t(1) << 20, ' ') + "", 9) == Ids{1});
    CHECK(t.encode("a" + std::string(1000000, ' ') + "b", 4) == (Ids{1, 2, 8, 8}));
}

TEST(unsupported_json_is_named) {
    const auto broken = [](auto change) {
        Text t;
        change(t);
        return t;
    };
    const auto bad = [&](const char * part, auto change) {
        const Text t = broken(change);
        CHECK_THROWS(t.read(), part);
    };
    bad("normalizer.type: \"NFC\"", [](Text & t) { t.normalizer = R"({"type":"NFC"})"; });
    bad("normalizer.normalizers.type: \"Prepend\"", [](Text & t) {
        t.normalizer = R"({"type":"Sequence","normalizers":[{"type":"Prepend"}]})";
    });
    bad("normalizer.pattern.Regex", [](Text & t) {
        t.normalizer = R"({"type":"Replace","pattern":{"Regex":" "},"content":"_"})";
    });
    bad("pre_tokenizer.type: \"ByteLevel\"",
        [](Text & t) { t.pre_tokenizer = R"({"type":"ByteLevel"})"; });
    bad("pre_tokenizer.behavior: \"Removed\"", [](Text & t) {
        t.pre_tokenizer = R"({"type":"Split","pattern":{"String":" "},"behavior":"Removed"})";
    });
    bad("model.dropout", [](Text & t) { t.model += R"(,"dropout":0.1)"; });
    bad("model.end_of_word_suffix", [](Text & t) { t.model += R"(,"end_of_word_suffix":"_")"; });
    bad("not in the vocabulary", [](Text & t) { t.merges = R"(["a","c"])"; });
    bad("is not two pieces", [](Text & t) { t.merges = R"("abc")"; });
    bad("model.unk_token", [](Text & t) { t.model = R"("unk_token":"none")"; });
    bad("not a token id", [](Text & t) { t.vocab += R"(,"z":-1)"; });
    bad("\"a\" is 9 here and 2", [](Text & t) { t.added += R"(,{"id":9,"content":"a"})"; });
    bad("occurs twice", [](Text & t) { t.added += R"(,{"id":1,"content":"<bos>"})"; });
    bad("no token <bos>",
        [](Text & t) { t.added = "", t.vocab = R"("a":0,"<unk>":1)", t.merges = ""; });
    CHECK_THROWS(Tokenizer::from_json(Json::parse(R"({"model":{"type":"Unigram"}})", "u"), "u"),
                 "u: model.type: \"Unigram\" is not supported; BPE is");
    CHECK_THROWS(Tokenizer::from_json(Json::parse("{}", "u"), "u"), "u: model: is missing");
    // Replacements that double the text thirty times must not fill the memory.
    Text t;
    t.normalizer = R"({"type":"Sequence","normalizers":[)";
    for (int i = 0; i < 30; ++i)
        t.normalizer += R"({"type":"Replace","pattern":{"String":"a"},"content":"aa"},)";
    t.normalizer.back() = ']';
    t.normalizer += "}";
    CHECK_THROWS(t("a"), "replacements");
}

// ---- GGUF metadata and tokenizer.model, of one list of pieces

struct Piece {
    const char * text;
    double score;
    int type;
};

const std::vector<Piece> pieces = {
    {"<unk>", -1000, 2}, {"<bos>", -1000, 3}, {"<b>", -1000, 4}, {"  ", -1000, 4},
    {"<0xC3>", 0, 6},    {"<0xA9>", 0, 6},    {"cab", 0, 1},     {"bc", -1, 1},
    {"ab", -2, 1},       {"▁a", -3, 1},       {"a", -4, 1},      {"b", -5, 1},
    {"c", -6, 1},        {"▁", -7, 1},        {"[spare]", 0, 5}, {"[spare]", 0, 5}};

void check_pieces(const Tokenizer & t) {
    CHECK(t.size() == pieces.size());
    CHECK(t.encode("abc", 9) == (Ids{1, 10, 7})); // the better score, not the longer piece
    CHECK(t.encode("cab", 9) == (Ids{1, 6}));
    CHECK(t.encode("abab", 9) == (Ids{1, 8, 8}));
    CHECK(t.encode("c a", 9) == (Ids{1, 12, 9}));
    // A run keeps together though "▁a" is a piece: its score is not the -1000 of the file.
    CHECK(t.encode("c  a", 9) == (Ids{1, 12, 3, 10}));
    CHECK(t.encode("a<b>b<bos>", 9) == (Ids{1, 10, 2, 11, 1}));
    CHECK(t.encode("é", 9) == (Ids{1, 4, 5}));
    CHECK(t.encode("axyb", 9) == (Ids{1, 10, 0, 11}));
    CHECK(t.encode("[spare]", 9) == (Ids{1, 0, 10, 0}));
}

Json gguf(std::vector<Piece> from = pieces) {
    Json::Array tokens, scores, types;
    for (const Piece & piece : from) {
        tokens.push_back(std::string(piece.text));
        scores.push_back(piece.score);
        types.push_back(static_cast<double>(piece.type));
    }
    Json metadata;
    metadata.set("tokenizer.ggml.model", Json(std::string("llama")));
    metadata.set("tokenizer.ggml.tokens", Json(tokens));
    metadata.set("tokenizer.ggml.scores", Json(scores));
    metadata.set("tokenizer.ggml.token_type", Json(types));
    metadata.set("tokenizer.ggml.bos_token_id", Json(1.0));
    metadata.set("tokenizer.ggml.unknown_token_id", Json(0.0));
    metadata.set("tokenizer.ggml.add_space_prefix", Json(false));
    return metadata;
}

TEST(gguf_metadata_is_read) {
    check_pieces(Tokenizer::from_gguf(gguf(), "t.gguf"));
    const auto bad = [](const char * key, const Json & value, const char * part) {
        const Json good = gguf();
        Json metadata;
        for (const auto & [name, was] : good.object(""))
            if (name != std::string("tokenizer.ggml.") + key)
                metadata.set(name, was);
        if (value.kind() != Json::Kind::null)
            metadata.set(std::string("tokenizer.ggml.") + key, value);
        CHECK_THROWS(Tokenizer::from_gguf(metadata, "t.gguf"), part);
    };
    bad("model", Json(std::string("gpt2")), "t.gguf: tokenizer.ggml.model: \"gpt2\" is not");
    bad("model", Json(), "tokenizer.ggml.model: \"none\" is not supported");
    bad("scores", Json(Json::Array()), "16, but 0 scores and 16 types");
    bad("token_type", Json(), "tokenizer.ggml.token_type: is missing");
    bad("bos_token_id", Json(16.0), "the id of <bos> is 16, and there are 16 pieces");
    bad("unknown_token_id", Json(-1.0), "the id of <unk> is -1");
    bad("add_space_prefix", Json(true), "add_space_prefix: true is not supported");
    bad("add_bos_token", Json(false), "add_bos_token: false is not supported");
    const auto with = [](Piece extra) {
        std::vector<Piece> more = pieces;
        more.push_back(extra);
        return gguf(more);
    };
    CHECK_THROWS(Tokenizer::from_gguf(with({"ab", 0, 1}), "t"), "piece 16, \"ab\", occurs before");
    CHECK_THROWS(Tokenizer::from_gguf(with({"", 0, 1}), "t"), "piece 16 is empty");
    CHECK_THROWS(Tokenizer::from_gguf(with({"z", 0, 9}), "t"), "piece 16 is of type");
    CHECK_THROWS(Tokenizer::from_gguf(with({"z", std::nan(""), 1}), "t"), "not finite");
    const std::string endless(1000, 'z');
    CHECK_THROWS(Tokenizer::from_gguf(with({endless.c_str(), 0, 1}), "t"), "has 1000 bytes");
}

std::string varint(uint64_t value) {
    std::string out;
    for (; value > 127; value >>= 7)
        out += static_cast<char>((value & 127) | 128);
    return out + static_cast<char>(value);
}
std::string field(int number, const std::string & text) {
    return varint(number << 3 | 2) + varint(text.size()) + text;
}
std::string field(int number, uint64_t value) { return varint(number << 3) + varint(value); }
std::string field(int number, float value) {
    const std::string bytes(reinterpret_cast<const char *>(&value), sizeof value);
    return varint(number << 3 | 5) + bytes;
}

std::string listed() {
    std::string out;
    for (const Piece & piece : pieces) {
        const std::string text = piece.type == 4 && *piece.text == ' ' ? "▁▁" : piece.text;
        std::string body = field(1, text) + field(2, static_cast<float>(piece.score));
        if (piece.type != 1) // the default, which a writer leaves out
            body += field(3, static_cast<uint64_t>(piece.type));
        out += field(1, body);
    }
    return out;
}
std::string one(int number, uint64_t value) { return field(number, value); }

TEST(a_sentencepiece_file_is_read) {
    const std::string trainer = one(3, 2) + one(35, 1) + one(40, 0) + one(41, 1);
    const std::string normalizer = field(1, std::string("identity")) + one(3, 0) + one(4, 0);
    const auto read = [](const std::string & bytes) {
        return Tokenizer::from_sentencepiece(bytes, "t.model");
    };
    const std::string whole = listed() + field(2, trainer) + field(3, normalizer);
    check_pieces(read(whole));
    check_pieces(read(field(9, std::string("later")) + one(10, 7) + whole));

    CHECK_THROWS(read(listed() + field(2, one(40, 0)) + field(3, normalizer)), "model_type 1");
    CHECK_THROWS(read(listed() + field(2, trainer)), "add_dummy_prefix");
    CHECK_THROWS(read(listed() + field(2, trainer) + field(3, one(3, 0))), "remove_extra");
    CHECK_THROWS(read(whole + field(3, normalizer + field(2, std::string("map")))),
                 "precompiled_charsmap");
    CHECK_THROWS(read(whole + field(3, normalizer + one(5, 0))), "escape_whitespaces off");
    CHECK_THROWS(read(whole + field(2, trainer + one(24, 1))), "treat_whitespace_as_suffix");
    CHECK_THROWS(read(whole + field(2, trainer + one(41, ~uint64_t(0)))), "<bos> is -1");
    CHECK_THROWS(read("{\"model\": 1}"), "t.model: ");
    CHECK_THROWS(read(whole + "\x0B"), "field 1 is of kind 3; no protobuf");
    CHECK_THROWS(read(whole + one(1, 5)), "field 1 is of kind 0 instead of 2");
    CHECK_THROWS(read(whole + "\x0A" + std::string(11, '\xFF')), "over ten bytes");
    CHECK_THROWS(read(whole + "\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F"), "bytes, and 0 are left");
    CHECK_THROWS(read(whole + field(1, field(1, std::string("\xFF")))), "not UTF-8 at byte 0");
    CHECK_THROWS(read(""), "model_type 1");
    // Cut anywhere, it is an error with words; never a tokenizer, for the normalizer stands last.
    for (size_t size = 0; size < whole.size(); ++size)
        CHECK_THROWS(read(whole.substr(0, size)), "t.model: ");
}

} // namespace

int main(int argc, char ** argv) { return run_tests(argc, argv); }
