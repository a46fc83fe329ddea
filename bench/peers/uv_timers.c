/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uv_timers: as many one-shot timers as asked, between one and two seconds, on libuv's loop.
 * Prints nanoseconds passed, nanoseconds of CPU, and the peak of resident memory in KiB.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <uv.h>

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static size_t expired;

static void on_expired(uv_timer_t *timer)
{
    (void)timer;
    expired++;
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    uint64_t wall_ns = now_ns(CLOCK_MONOTONIC);
    uint64_t cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    uv_timer_t *timers = calloc(count, sizeof(*timers));
    uv_loop_t *loop = uv_default_loop();
    uint64_t random = 1;
    struct rusage usage;
    if (timers == NULL)
        return 1;
    for (size_t i = 0; i < count; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uv_timer_init(loop, &timers[i]);
        uv_timer_start(&timers[i], on_expired, 1000 + (random >> 33) % 1000, 0);
    }
    uv_run(loop, UV_RUN_DEFAULT);
    wall_ns = now_ns(CLOCK_MONOTONIC) - wall_ns;
    cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns;
    getrusage(RUSAGE_SELF, &usage);
    printf("%llu %llu %ld\n", (unsigned long long)wall_ns, (unsigned long long)cpu_ns,
           usage.ru_maxrss);
    free(timers);
    return expired == count ? 0 : 1;
}
