// Quantises on order, with ggml's own code: for each line "TYPE ROWS COLUMNS" on stdin, and the F32
// values that follow it, the blocks. scripts/make_twins.py drives it; gguf-py has no K- or I-types.
#include "ggml.h"

#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

static ggml_type type_of(const std::string & name) {
    for (int i = 0; i < GGML_TYPE_COUNT; ++i)
        if (const char * known = ggml_type_name(static_cast<ggml_type>(i)); known && name == known)
            return static_cast<ggml_type>(i);
    return GGML_TYPE_COUNT;
}

int main() {
    std::string name;
    int64_t rows, columns;
    while (std::cin >> name >> rows >> columns && std::cin.get() == '\n') {
        const ggml_type type = type_of(name);
        if (type == GGML_TYPE_COUNT || rows < 1 || columns % ggml_blck_size(type))
            return 1;
        std::vector<float> values(static_cast<size_t>(rows * columns));
        std::cin.read(reinterpret_cast<char *>(values.data()),
                      static_cast<std::streamsize>(values.size() * sizeof(float)));
        std::vector<char> blocks(static_cast<size_t>(rows) * ggml_row_size(type, columns));
        const std::vector<float> importance(static_cast<size_t>(columns), 1.0f);
        ggml_quantize_chunk(type, values.data(), blocks.data(), 0, rows, columns,
                            importance.data());
        std::cout.write(blocks.data(), static_cast<std::streamsize>(blocks.size())).flush();
    }
}
