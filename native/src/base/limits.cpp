#include "base/limits.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(_WIN32)
#include <windows.h>
#endif

namespace ltx2 {

// ---- Linux's control groups: files below `root`

// One hierarchy as this process sees it: where it is mounted, and the process's own folder in it.
struct Hierarchy {
    std::string mount, own;
};

static std::vector<std::string> split(const std::string & text, char separator) {
    std::vector<std::string> parts;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, separator);)
        parts.push_back(part);
    return parts;
}

static bool holds(const std::string & list, const std::string & name) {
    const std::vector<std::string> names = split(list, ',');
    return std::find(names.begin(), names.end(), name) != names.end();
}

// This process's group, as /proc/self/cgroup names it: "<id>:<controllers>:<group>". Version 2 has
// one hierarchy for all controllers, and names none; `controller` is then empty.
static std::string group_of(const std::string & root, const std::string & controller) {
    std::ifstream file(root + "/proc/self/cgroup");
    for (std::string line; std::getline(file, line);) {
        const size_t first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos)
            continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        if (controller.empty() ? controllers.empty() : holds(controllers, controller))
            return line.substr(second + 1);
    }
    return "";
}

// A mount shows the groups below its root, which in a container may be the process's own group.
// Nothing where ours is not among them, as in a mount of another container's.
static std::optional<std::string> below(const std::string & group, const std::string & top) {
    if (group == top || group.find("/..") != std::string::npos)
        return "";
    const size_t length = top == "/" ? 0 : top.size();
    if (group.compare(0, length, top, 0, length) != 0 || group[length] != '/')
        return std::nullopt;
    return group.substr(length);
}

// /proc/self/mountinfo: "<id> <parent> <device> <root> <mount point> ... - <type> <source>
// <options>".
static Hierarchy hierarchy(const std::string & root, const std::string & controller) {
    const std::string group = group_of(root, controller);
    Hierarchy other;
    std::ifstream file(root + "/proc/self/mountinfo");
    for (std::string line; !group.empty() && std::getline(file, line);) {
        const size_t dash = line.find(" - ");
        if (dash == std::string::npos)
            continue;
        const auto mount = split(line.substr(0, dash), ' ');
        const auto system = split(line.substr(dash + 3), ' ');
        const bool right =
            mount.size() > 4 && system.size() > 2 &&
            (controller.empty() ? system[0] == "cgroup2"
                                : system[0] == "cgroup" && holds(system[2], controller));
        if (!right)
            continue;
        if (const auto own = below(group, mount[3]))
            return {root + mount[4], *own};
        other = {root + mount[4], ""};
    }
    return other; // what a container sees of a host that shows it the groups of the host
}

// Calls `read` with the process's own group and with each above it: every one of them limits.
template <class Read>
static void for_each_group(const std::string & root, const std::string & controller, Read && read) {
    Hierarchy at = hierarchy(root, controller);
    if (at.mount.empty())
        return;
    for (;; at.own.erase(at.own.rfind('/'))) {
        read(at.mount + at.own + "/");
        if (at.own.rfind('/') == std::string::npos)
            return;
    }
}

// "max", -1, or nothing at all: no limit.
static double number(const std::string & file, double otherwise) {
    double value = 0;
    return std::ifstream(file) >> value && value >= 0 ? value : otherwise;
}

int group_processors(const std::string & root) {
    double least = 0;
    const auto take = [&](double quota, double period) {
        if (quota > 0 && period > 0 && (least == 0 || quota / period < least))
            least = quota / period;
    };
    for_each_group(root, "", [&](const std::string & group) {
        double quota = 0, period = 0;
        if (std::ifstream(group + "cpu.max") >> quota >> period)
            take(quota, period);
    });
    for_each_group(root, "cpu", [&](const std::string & group) {
        take(number(group + "cpu.cfs_quota_us", 0), number(group + "cpu.cfs_period_us", 0));
    });
    return static_cast<int>(std::ceil(std::min(least, 1e6)));
}

uint64_t group_memory(const std::string & root) {
    double least = HUGE_VAL;
    const auto take = [&](const std::string & file) {
        least = std::min(least, number(file, HUGE_VAL));
    };
    for_each_group(root, "", [&](const std::string & group) {
        take(group + "memory.max");
        take(group + "memory.high"); // above it the process hardly runs
    });
    for_each_group(root, "memory",
                   [&](const std::string & group) { take(group + "memory.limit_in_bytes"); });
    return least < 0x1p60 ? static_cast<uint64_t>(least) : no_limit; // version 1 says 2^63 - 4096
}

int count_cores(const std::vector<int> & processors, const std::string & root) {
    std::set<std::string> cores; // each by the list of its processors
    for (const int processor : processors) {
        std::string siblings;
        std::ifstream(root + "/sys/devices/system/cpu/cpu" + std::to_string(processor) +
                      "/topology/thread_siblings_list") >>
            siblings;
        if (siblings.empty())
            return static_cast<int>(processors.size());
        cores.insert(siblings);
    }
    return static_cast<int>(cores.size());
}

// ---- this process, by system

static int all_processors() {
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

#if defined(__linux__)

static std::vector<int> mask() {
    for (size_t count = 1024; count <= 1 << 16; count *= 2) { // the kernel's masks have any length
        std::vector<cpu_set_t> sets(count / (8 * sizeof(cpu_set_t)));
        const size_t size = sets.size() * sizeof(cpu_set_t);
        if (sched_getaffinity(0, size, sets.data()) != 0)
            continue;
        std::vector<int> processors;
        for (size_t i = 0; i < count; ++i)
            if (CPU_ISSET_S(i, size, sets.data()))
                processors.push_back(static_cast<int>(i));
        return processors;
    }
    return {};
}

static int within_quota(int count) {
    const int quota = group_processors("");
    return quota ? std::min(count, quota) : count;
}

int usable_processors() {
    const int count = static_cast<int>(mask().size());
    return within_quota(count ? count : all_processors());
}

int usable_cores() {
    const std::vector<int> processors = mask();
    return within_quota(processors.empty() ? all_processors() : count_cores(processors, ""));
}

// What a limit leaves, of which so many pages are taken; at least a byte, since 0 is unknown.
static uint64_t left(int resource, uint64_t pages) {
    rlimit limit;
    if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return no_limit;
    const uint64_t used = pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    return limit.rlim_cur > used ? limit.rlim_cur - used : 1;
}

uint64_t usable_memory() {
    uint64_t all = 0, resident = 0, shared = 0, text = 0, library = 0, data = 0;
    std::ifstream("/proc/self/statm") >> all >> resident >> shared >> text >> library >> data;
    return std::min({group_memory(""), left(RLIMIT_AS, all), left(RLIMIT_DATA, data)});
}

#elif defined(__APPLE__)

int usable_processors() { return all_processors(); }

int usable_cores() {
    int cores = 0;
    size_t size = sizeof cores;
    const bool known = sysctlbyname("hw.physicalcpu", &cores, &size, nullptr, 0) == 0 && cores > 0;
    return known ? cores : all_processors();
}

uint64_t usable_memory() { return no_limit; }

#elif defined(_WIN32)

// Processors of the mask; of a core, the first that it has.
static int count_mask(bool cores) {
    DWORD_PTR mask = 0, machine = 0;
    GetProcessAffinityMask(GetCurrentProcess(), &mask, &machine); // 0: in several groups
    DWORD size = 0;
    GetLogicalProcessorInformation(nullptr, &size);
    std::vector<SYSTEM_LOGICAL_PROCESSOR_INFORMATION> table(size / sizeof table[0]);
    if (!mask || !GetLogicalProcessorInformation(table.data(), &size))
        return all_processors();
    int count = 0;
    for (const auto & row : table)
        if (row.Relationship == RelationProcessorCore)
            for (DWORD_PTR bits = row.ProcessorMask & mask; bits;
                 bits = cores ? 0 : bits & (bits - 1))
                ++count;
    // A job may be given a share of the machine's processors, in units of 1/10000.
    JOBOBJECT_CPU_RATE_CONTROL_INFORMATION rate = {};
    const DWORD capped = JOB_OBJECT_CPU_RATE_CONTROL_ENABLE | JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP;
    if (QueryInformationJobObject(nullptr, JobObjectCpuRateControlInformation, &rate, sizeof rate,
                                  nullptr) &&
        (rate.ControlFlags & capped) == capped)
        count = std::min(count, static_cast<int>(std::ceil(all_processors() * rate.CpuRate / 1e4)));
    return std::max(1, count);
}

int usable_processors() { return count_mask(false); }
int usable_cores() { return count_mask(true); }

uint64_t usable_memory() {
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION job = {};
    QueryInformationJobObject(nullptr, JobObjectExtendedLimitInformation, &job, sizeof job,
                              nullptr);
    const DWORD flags = job.BasicLimitInformation.LimitFlags;
    const uint64_t process =
        flags & JOB_OBJECT_LIMIT_PROCESS_MEMORY ? job.ProcessMemoryLimit : no_limit;
    const uint64_t all = flags & JOB_OBJECT_LIMIT_JOB_MEMORY ? job.JobMemoryLimit : no_limit;
    return std::min(process, all);
}

#else

int usable_processors() { return all_processors(); }
int usable_cores() { return all_processors(); }
uint64_t usable_memory() { return no_limit; }

#endif

} // namespace ltx2
