// What this process may use, which may be less than the machine has: its affinity mask, the quotas
// of its control groups (Linux, version 1 and 2; a container is one) or its job (Windows), its
// resource limits.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace ltx2 {

// Each at least 1. Hyper-threads are processors, and two of them are one core.
int usable_processors();
int usable_cores();

constexpr uint64_t no_limit = std::numeric_limits<uint64_t>::max();
uint64_t usable_memory(); // bytes, or no_limit: then it is the machine's

// For tests, which bring a /proc and a /sys of their own below `root`; Linux's.
int count_cores(const std::vector<int> & processors, const std::string & root);
int group_processors(const std::string & root); // a quota's, rounded up; 0: there is none
uint64_t group_memory(const std::string & root);

} // namespace ltx2
