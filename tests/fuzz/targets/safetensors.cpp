#include "files/tensor_files.h"
#include "model/model_folder.h"
#include "targets/tensors.h"

// Without the eight bytes of the header's length, which are put right for every input: else most
// would end there. The first byte says whether they are.
void run_target(const uint8_t * data, size_t size) {
    if (size == 0)
        return;
    std::string bytes(as_text(data + 1, size - 1));
    const size_t end = bytes.rfind('}');
    if (data[0] % 8 && bytes.size() >= 8 && end != std::string::npos && end >= 8) {
        const uint64_t length = end + 1 - 8;
        std::memcpy(&bytes[0], &length, sizeof length);
    }
    const auto * copy = reinterpret_cast<const uint8_t *>(bytes.data());
    use(ltx2::read_safetensors(copy, bytes.size(), "input"), copy, bytes.size());
}

std::vector<std::string> seeds() {
    return {"\x01" + safetensors(valid_header, 20),
            "\x01" + file_of(checkpoint_tensors(), {{"config", config}, {"model_version", "2.3"}}),
            std::string(1, '\0') + safetensors("{}", 0)};
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
