// What community files leave unsaid: the config of the official LTX-2.3 files, in their own form.
#pragma once

namespace ltx2 {

extern const char * const ltx23_config;

} // namespace ltx2
