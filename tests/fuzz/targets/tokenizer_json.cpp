#include "targets/tokenizers.h"

using namespace ltx2;

void run_target(const uint8_t * data, size_t size) {
    const Json json = Json::parse(as_text(data, size), "input");
    use(Tokenizer::from_json(json, "input"), size);
    const UncountedMemory writing; // what a conversion takes, which holds the pieces once more
    GgufVocabulary vocabulary;
    const Tokenizer again = Tokenizer::from_json(json, "input", &vocabulary);
    use(again, 0, texts_of(vocabulary.pieces));
    Json metadata;
    put_gguf_keys(std::move(vocabulary), again.size() + 3, "input", metadata);
    Tokenizer::from_gguf(metadata, "input");
}

static std::string tokenizer(const std::string & vocabulary, const std::string & merges,
                             const std::string & more, const std::string & added = "") {
    return R"({"added_tokens":[{"id":1,"content":"<bos>","special":true,"normalized":false},
        {"id":0,"content":"<unk>","special":true})" +
           added + R"(],"normalizer":{"type":"Replace",
        "pattern":{"String":" "},"content":"▁"},)" +
           more +
           R"("model":{"type":"BPE","unk_token":"<unk>","fuse_unk":true,"byte_fallback":true,
        "vocab":{"<unk>":0,"<bos>":1,)" +
           vocabulary + R"(},"merges":[)" + merges + "]}}";
}

std::vector<std::string> seeds() {
    const std::string letters = R"("a":2,"b":3,"c":4,"ab":5,"bc":6,"▁":7,"▁▁":8,"abc":9)";
    return {tokenizer(letters, R"(["▁","▁"],["a","b"],["b","c"],["ab","c"])", ""),
            tokenizer(letters + R"(,"<0xC3>":10,"<0xA9>":11,"<eos>":12,"<pad>":13)",
                      R"("▁ ▁","a b","b c")", R"("pre_tokenizer":{"type":"Split",
                "pattern":{"String":"b"},"behavior":"MergedWithPrevious","invert":false},)"),
            tokenizer(letters + R"(,"<|turn>":10)", R"(["b","c"],["a","bc"],["a","b"],["ab","c"])",
                      "", R"(,{"id":10,"content":"<|turn>","special":true})"),
            tokenizer(letters, R"(["a","b"])", R"("normalizer":{"type":"Sequence","normalizers":[
                {"type":"Replace","pattern":{"String":" "},"content":"▁"}]},)")};
}

std::vector<std::string> worst_inputs() {
    const size_t long_prompt = 1 << 16; // an input of so many bytes is asked for one
    const std::string spaces(long_prompt, ' ');
    std::string many, added, near, merges, pieces = R"("a":2)";
    for (int i = 0; i < 500000; ++i)
        many += words("\"%x\":%d,", i + 16, i + 2);
    for (int i = 0; i < 20000; ++i)
        added += words(R"({"id":%d,"content":"%d%s"},)", i + 2, i, repeated("q", 490).c_str());
    for (int i = 1; i < 511; ++i) // all but the last letter of each stands everywhere
        near += words(R"({"id":%d,"content":"%sb"},)", i + 2, repeated("a", i).c_str());
    int id = 3;
    for (std::string piece = "a"; piece.size() < 512; piece += piece) {
        merges += (merges.empty() ? "[\"" : ",[\"") + piece + "\",\"" + piece + "\"]";
        pieces += words(",\"%s%s\":%d", piece.c_str(), piece.c_str(), id++);
    }
    const auto with = [&](const std::string & tokens) {
        return R"({"added_tokens":[)" + tokens + R"({"id":1,"content":"<bos>"}],"model":{
            "type":"BPE","vocab":{"<unk>":0,"<bos>":1,"a":600},"merges":[]}})";
    };
    return {tokenizer(many + "\"a\":1000000", "", ""),
            tokenizer(R"("a":2,"b":3,"ab":4)", repeated("\"a b\",", 1000000) + "\"a b\"", ""),
            with(added), with(near) + spaces, tokenizer(pieces, merges, "") + spaces};
}

std::vector<std::string> dictionary() {
    return {"\"vocab\":",
            "\"merges\":",
            "\"content\":",
            "\"normalizer\":",
            "\"pattern\":",
            "\"String\":",
            "\"type\":\"Replace\"",
            "[\"a\",\"b\"],",
            "{\"id\":2,\"content\":\"aa\"},",
            "\"special\":true",
            "\"ignore_merges\":true,",
            "<0x41>",
            "▁▁▁",
            "\\u0000",
            "\\u001b[2J"};
}
