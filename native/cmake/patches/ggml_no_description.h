/* Included before ggml-cpu.cpp, which reads the processor's name from /proc/cpuinfo. Nobody asks
   for it, and where memory runs out meanwhile, the file would stay open. */
#include <cstdio>
#define fopen(...) nullptr
