#include "check.h"
#include "folder.h"
#include "tensor_files.h"

using namespace ltx2;

TEST(a_file_is_mapped) {
    Folder folder;
    const std::string bytes = valid_gguf().build();
    const std::string path = folder.put("ünicode name.gguf", bytes).at("ünicode name.gguf");
    const TensorFile f = read_tensor_file(path);
    CHECK(f.path == path && f.mapping->size() == bytes.size());
    CHECK(std::memcmp(f.mapping->data(), bytes.data(), bytes.size()) == 0);
    const TensorInfo & t = f.tensors[1];
    CHECK(t.data >= f.mapping->data() && t.data + t.size <= f.mapping->data() + bytes.size());
    f.mapping->release(t.data, t.size); // gone from memory, and read again when touched
    f.mapping->release(f.mapping->data(), bytes.size());
    f.mapping->release(f.mapping->data() + bytes.size(), 1);
    CHECK(t.data[0] == 1 && t.data[t.size - 1] == 1);
    f.mapping->forget(f.mapping->data(), bytes.size());
    f.mapping->read_ahead(t.data, t.size);
    f.mapping->read_ahead(f.mapping->data() + bytes.size(), 1);
    CHECK(std::memcmp(f.mapping->data(), bytes.data(), bytes.size()) == 0);
}

TEST(what_cannot_be_mapped_is_named) {
    Folder folder;
    folder.put("empty", "").put("words.gguf", "plain words");
    CHECK_THROWS(Mapping(folder.at("absent")), "absent: there is no such file");
    CHECK_THROWS(Mapping(folder.name()), "is a folder");
    CHECK_THROWS(Mapping(folder.at("empty")), "empty: the file is empty");
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
