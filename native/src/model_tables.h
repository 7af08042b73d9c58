// What files leave unsaid, as data: the headers of the models that are supported, in the form their
// own files have. A further version is a further table.
#pragma once

namespace ltx2 {

// `config` of the official LTX-2.3 files, for files without one (community GGUF splits).
extern const char * const ltx23_config;

// config.json of google/gemma-3-12b-it, for single files that carry their tokenizer and no config.
extern const char * const gemma3_12b_config;

} // namespace ltx2
