/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "port/posix/posix.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

static bool has_capability(unsigned capability)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &header, data) != 0)
        return false;
    return (data[capability / 32].effective >> capability % 32 & 1) != 0;
}

static bool is_locking_unlimited(void)
{
    struct rlimit limit;
    if (has_capability(CAP_IPC_LOCK))
        return true;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
        return false;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_MEMLOCK, &limit);
    return limit.rlim_cur == RLIM_INFINITY;
}

/* On fault, so that stacks of 8 MiB cost what they use. Under a limit the future is left out:
 * mappings that exceed it would fail. */
static void lock_memory(struct vck_posix_protection *report)
{
    if (is_locking_unlimited() && mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) {
        report->memory_locked = true;
        report->future_memory_locked = true;
        return;
    }
    report->memory_locked = mlockall(MCL_CURRENT | MCL_ONFAULT) == 0;
}

static bool exempt_from_oom(void)
{
    static const char score[] = "-1000";
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool is_written = write(fd, score, strlen(score)) == (ssize_t)strlen(score);
    close(fd);
    return is_written;
}

void vck_posix_protect_process(struct vck_posix_protection *ret_report)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    struct vck_posix_protection report = {0};
    lock_memory(&report);
    report.io_flusher = prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0;
    report.oom_exempt = exempt_from_oom();
    /* Last: it takes the process's own entries under /proc away from an ordinary user. */
    report.not_dumpable = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
    *ret_report = report;
}
