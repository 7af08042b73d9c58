#include "files/tensor_files.h"
#include "memory.h"
#include "model/model_folder.h"
#include "targets/tensors.h"

static std::string with_length(std::string_view input, bool right) {
    const UncountedMemory copying;
    std::string bytes(input);
    const size_t end = bytes.rfind('}');
    if (right && end != std::string::npos && end >= 8) {
        const uint64_t length = end + 1 - 8;
        std::memcpy(&bytes[0], &length, sizeof length);
    }
    return bytes;
}

// Without the eight bytes of the header's length, which are put right for every input: else most
// would end there. The first byte says whether they are.
void run_target(const uint8_t * data, size_t size) {
    if (size == 0)
        return;
    const std::string bytes = with_length(as_text(data + 1, size - 1), data[0] % 8 != 0);
    const auto * copy = reinterpret_cast<const uint8_t *>(bytes.data());
    use(ltx2::read_safetensors(copy, bytes.size(), "input"), copy, bytes.size());
}

std::vector<std::string> seeds() {
    return {"\x01" + safetensors(valid_header, 20),
            "\x01" + file_of(checkpoint_tensors(), {{"config", config}, {"model_version", "2.3"}}),
            std::string(1, '\0') + safetensors("{}", 0)};
}

std::vector<std::string> worst_inputs() {
    std::string none = "{", names = "{";
    for (int i = 0; i < 150000; ++i) {
        none += ltx2::words("\"%x\":{\"dtype\":\"F4\",\"shape\":[0],\"data_offsets\":[0,0]},", i);
        names += ltx2::words("\"%x\":0,", i);
    }
    none.back() = names.back() = '}';
    const std::string text = "{\"__metadata__\":{\"config\":\"" + repeated("e", 8 << 20) + "\"}}";
    std::string keys = "{\"__metadata__\":{";
    for (int i = 0; i < 500000; ++i)
        keys += ltx2::words("\"%x\":\"\",", i);
    keys.back() = '}';
    std::vector<std::string> out;
    for (const std::string & header : {none, names, text, keys + "}"})
        out.push_back("\x01" + safetensors(header, 0));
    return out;
}

std::vector<std::string> dictionary() {
    return {"\"dtype\":",
            "\"shape\":",
            "\"data_offsets\":",
            "\"__metadata__\":",
            "F32",
            "BF16",
            "F8_E4M3",
            "F4",
            "[0,0]",
            "[0]",
            "\"config\":",
            "\"model_version\":",
            "9223372036854775807",
            "\\u001b[31m",
            "\\n"};
}
