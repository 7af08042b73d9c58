/* Included before ggml's sources. Most of what ggml says takes its log, which a program may
   silence; some places print to stderr whatever the program wants: an operation that is not there,
   a thread that gets no priority, a Vulkan device without memory. Here what C prints goes to the log
   as well, and what is written to std::cerr goes nowhere: an error follows each time. */
#pragma once
#include <stdio.h>

#ifdef __cplusplus
#include <iostream>
namespace std {
inline ostream ltx2_nowhere(nullptr);
}
#define cerr ltx2_nowhere
#endif
#define fprintf(stream, ...) ggml_log_internal(GGML_LOG_LEVEL_WARN, __VA_ARGS__)
