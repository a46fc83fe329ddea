/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-argon2: Argon2id of this tree against libargon2 in the same process, one lane, so that both
 * use one thread. In turns, and the median of each.
 */
#include <argon2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "vck/argon2.h"

#define ROUNDS 7

static const struct vck_argon2_params params = {.passes = 3, .memory_kib = 65536, .lanes = 1};
static const char *const names[] = {"auto", "portable", "sse2", "avx2"};
#define IMPLS 4

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *times)
{
    qsort(times, ROUNDS, sizeof(*times), compare);
    return times[ROUNDS / 2];
}

/* libargon2 uses the calling thread where it is told of one; argon2_ctx says so. */
static bool hash_peer(const char *salt, uint8_t out[32])
{
    argon2_context context = {
        .out = out,
        .outlen = 32,
        .pwd = (uint8_t *)(uintptr_t)salt,
        .pwdlen = 8,
        .salt = (uint8_t *)(uintptr_t)salt,
        .saltlen = 8,
        .t_cost = params.passes,
        .m_cost = params.memory_kib,
        .lanes = 1,
        .threads = 1,
        .version = ARGON2_VERSION_13,
    };
    return argon2id_ctx(&context) == ARGON2_OK;
}

static bool hash_ours(enum vck_argon2_impl impl, const char *salt, void *memory, uint8_t out[32])
{
    const struct vck_bytes bytes = {(const uint8_t *)salt, 8}, none = {0};
    return vck_argon2id(&params, bytes, bytes, none, none, impl, memory, out, 32) == VCK_OK;
}

static bool measure(void *memory, double times[IMPLS + 1][ROUNDS])
{
    uint8_t expected[32], out[32];
    for (int round = 0; round < ROUNDS; round++) {
        double begin = now_seconds();
        if (!hash_peer("saltsalt", expected))
            return false;
        times[IMPLS][round] = now_seconds() - begin;
        for (int impl = 0; impl < IMPLS; impl++) {
            if (!vck_argon2_impl_available((enum vck_argon2_impl)impl))
                continue;
            begin = now_seconds();
            if (!hash_ours((enum vck_argon2_impl)impl, "saltsalt", memory, out) ||
                memcmp(out, expected, sizeof(out)) != 0)
                return false;
            times[impl][round] = now_seconds() - begin;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    static double times[IMPLS + 1][ROUNDS];
    bool json = argc == 2 && strcmp(argv[1], "--json") == 0;
    if (argc > 2 || (argc == 2 && !json)) {
        fputs("usage: bench-argon2 [--json]\n", stderr);
        return 2;
    }
    void *memory = aligned_alloc(64, vck_argon2_memory_bytes(&params));
    if (memory == NULL || !measure(memory, times)) {
        fputs("bench-argon2: a hash failed or differs\n", stderr);
        return 1;
    }
    free(memory);
    double peer = median(times[IMPLS]);
    if (json)
        printf("[");
    else
        printf("libargon2  %.3f s\n", peer);
    for (int impl = 0; impl < IMPLS; impl++) {
        double ours = median(times[impl]);
        if (ours <= 0)
            continue;
        if (json)
            printf("%s\n  {\"impl\": \"%s\", \"seconds\": %.4f, \"libargon2_seconds\": %.4f, "
                   "\"ratio\": %.3f}",
                   impl > 0 ? "," : "", names[impl], ours, peer, peer / ours);
        else
            printf("%-9s  %.3f s  %.2f x as fast\n", names[impl], ours, peer / ours);
    }
    if (json)
        puts("\n]");
    return 0;
}
