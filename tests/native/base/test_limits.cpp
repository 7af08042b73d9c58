// Limits are read from a /proc and a /sys made here, as containers and batch systems make them.
#include "base/limits.h"
#include "check.h"
#include "folder.h"

#if defined(__linux__)
#include <sched.h>
#include <sys/resource.h>
#endif

using namespace ltx2;

static const std::string v2_mount =
    "30 24 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n";

// A machine whose process is in `groups`, with `mounts`.
static Folder & machine(Folder & folder, const std::string & groups, const std::string & mounts) {
    return folder.put("proc/self/cgroup", groups).put("proc/self/mountinfo", mounts);
}

TEST(without_groups_there_is_no_limit) {
    Folder folder;
    CHECK(group_processors(folder.name()) == 0);
    CHECK(group_memory(folder.name()) == no_limit);
    machine(folder, "garbage\n0::/a\n\n::\n", "garbage\n1 2 - x\n - cgroup2 a b\n\n");
    CHECK(group_processors(folder.name()) == 0);
    CHECK(group_memory(folder.name()) == no_limit);
}

TEST(the_smallest_limit_of_a_group_and_those_above_it_counts) {
    Folder folder;
    const std::string root = folder.name();
    machine(folder, "0::/user/job/step\n", v2_mount);
    folder.put("sys/fs/cgroup/user/job/step/cpu.max", "max 100000\n")
        .put("sys/fs/cgroup/user/job/step/memory.max", "max\n");
    CHECK(group_processors(root) == 0 && group_memory(root) == no_limit);
    folder.put("sys/fs/cgroup/user/cpu.max", "250000 100000\n")
        .put("sys/fs/cgroup/user/memory.max", "4294967296\n");
    CHECK(group_processors(root) == 3 && group_memory(root) == 4294967296); // rounded up
    folder.put("sys/fs/cgroup/user/job/cpu.max", "50000 100000\n")
        .put("sys/fs/cgroup/user/job/memory.high", "1000000\n");
    CHECK(group_processors(root) == 1 && group_memory(root) == 1000000);
}

TEST(a_container_sees_its_own_group_as_the_top) {
    Folder folder;
    const std::string root = folder.name();
    folder.put("sys/fs/cgroup/cpu.max", "200000 100000\n").put("sys/fs/cgroup/memory.max", "77\n");
    for (const char * groups : {"0::/\n", "0::/../other\n"}) {
        machine(folder, groups, v2_mount);
        CHECK(group_processors(root) == 2 && group_memory(root) == 77);
    }
    // Its name is the host's, and the mount shows it alone.
    machine(folder, "0::/docker/12ab\n",
            "30 24 0:26 /docker/12ab /sys/fs/cgroup ro - cgroup2 cgroup ro\n");
    CHECK(group_processors(root) == 2 && group_memory(root) == 77);
    // A neighbour whose name begins alike is another.
    machine(folder, "0::/docker/12abc\n",
            "30 24 0:26 /docker/12ab /sys/fs/cgroup ro - cgroup2 cgroup ro\n");
    CHECK(group_memory(root) == 77);
    // A mount of another container's group comes first.
    machine(folder, "0::/docker/12ab\n",
            "29 24 0:26 /docker/99 /mnt rw - cgroup2 cgroup rw\n"
            "30 24 0:26 /docker/12ab /sys/fs/cgroup ro - cgroup2 cgroup ro\n");
    CHECK(group_memory(root) == 77);
}

TEST(version_1_has_a_hierarchy_for_each_controller) {
    Folder folder;
    const std::string root = folder.name();
    const std::string cgroup = "sys/fs/cgroup/";
    machine(folder, "12:memory:/job\n3:cpu,cpuacct:/job\n1:cpuset:/\n0::/\n",
            "30 24 0:26 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
            "31 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
            "32 24 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
    folder.put(cgroup + "cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n")
        .put(cgroup + "cpu,cpuacct/job/cpu.cfs_period_us", "100000\n")
        .put(cgroup + "memory/job/memory.limit_in_bytes", "9223372036854771712\n");
    CHECK(group_processors(root) == 0 && group_memory(root) == no_limit);
    folder.put(cgroup + "cpu,cpuacct/job/cpu.cfs_quota_us", "150000\n")
        .put(cgroup + "memory/memory.limit_in_bytes", "536870912\n");
    CHECK(group_processors(root) == 2 && group_memory(root) == 536870912);
}

TEST(two_processors_of_a_core_are_one) {
    Folder folder;
    const std::string root = folder.name(), cpu = "sys/devices/system/cpu/cpu";
    for (int i = 0; i < 8; ++i)
        folder.put(cpu + std::to_string(i) + "/topology/thread_siblings_list",
                   std::to_string(i % 4) + "," + std::to_string(i % 4 + 4) + "\n");
    CHECK(count_cores({0, 1, 2, 3, 4, 5, 6, 7}, root) == 4);
    CHECK(count_cores({1, 5, 6}, root) == 2);
    CHECK(count_cores({9, 10, 11}, root) == 3); // a system that says nothing
}

#if defined(__linux__)
TEST(a_mask_of_one_processor_is_one_thread) {
    cpu_set_t before, one;
    CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
    CHECK(usable_cores() >= 1 && usable_cores() <= CPU_COUNT(&before));
    CPU_ZERO(&one);
    int first = 0;
    while (!CPU_ISSET(first, &before))
        ++first;
    CPU_SET(first, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    CHECK(usable_cores() == 1 && usable_processors() == 1);
    CHECK(sched_setaffinity(0, sizeof before, &before) == 0);
}

#if !defined(__SANITIZE_ADDRESS__) // which asks for memory all the time
TEST(a_limit_of_the_process_leaves_what_is_not_used) {
    const uint64_t usual = usable_memory();
    for (int resource : {RLIMIT_AS, RLIMIT_DATA}) {
        rlimit before;
        CHECK(getrlimit(resource, &before) == 0);
        rlimit little = before;
        little.rlim_cur = 4096; // less than is used
        CHECK(setrlimit(resource, &little) == 0);
        const uint64_t left = usable_memory();
        CHECK(setrlimit(resource, &before) == 0);
        CHECK(left == 1); // 0 would be: unknown
        CHECK(usable_memory() == usual || usual != no_limit);
    }
}
#endif
#endif

int main(int argc, char ** argv) { return run_tests(argc, argv); }
