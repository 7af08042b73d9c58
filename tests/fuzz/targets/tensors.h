// What is done with a file of tensors once it is read, by whichever reader.
#pragma once

#include "fuzz.h"
#include "memory.h"
#include "model/describe.h"
#include "model/recognise.h"

inline void use(const ltx2::TensorFile & file, const uint8_t * data, size_t size) {
    for (const ltx2::TensorInfo & tensor : file.tensors) {
        if (file.find(tensor.name) != &tensor)
            finding("a tensor is not found by its name");
        const uint8_t * end = data + size;
        if (tensor.size && (tensor.data < data || tensor.data >= end ||
                            tensor.size > static_cast<size_t>(end - tensor.data)))
            finding("a tensor is not within the file");
    }
    ltx2::recognise({&file});
    const UncountedMemory description; // which is a text of about the file's length
    ltx2::describe(file);
}
