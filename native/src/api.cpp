// The C boundary, nothing else.
#include "error.h"

extern "C" const char * ltx2_version(void) { return LTX2_VERSION; }
