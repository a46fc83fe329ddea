/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-xts: AES-256-XTS in place on one core, next to OpenSSL with its context reused, and next to
 * the limit of the processor, fourteen AES rounds over the same buffer and nothing else; then the
 * tags of a sweep's chunks. Peers take turns in every round, so that a drifting clock hits all of
 * them, and each figure is a median. Run it on an idle machine. --json for machines.
 */
#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <openssl/evp.h>
#include "vck/bytes.h"
#include "vck/siphash.h"
#include "vck/xts.h"

#define MIB            (1024u * 1024u)
#define ROUNDS         31u
#define BYTES_PER_TURN (16u * MIB)
#define PREFETCH_BYTES 2048u
#define PAGE_BYTES     4096u

struct job {
    uint8_t *buffer;
    size_t buffer_bytes;
    uint32_t sector_bytes;
    bool encrypt;
    struct vck_xts xts;
    EVP_CIPHER_CTX *openssl;
};

typedef void peer(struct job *job);

static void run_vck(struct job *job)
{
    if (job->encrypt)
        vck_xts_encrypt(&job->xts, job->buffer, job->buffer, job->buffer_bytes, job->sector_bytes,
                        0);
    else
        vck_xts_decrypt(&job->xts, job->buffer, job->buffer, job->buffer_bytes, job->sector_bytes,
                        0);
}

static void run_openssl(struct job *job)
{
    uint8_t tweak[16] = {0};
    for (size_t at = 0; at < job->buffer_bytes; at += job->sector_bytes) {
        int size = 0;
        vck_store_le64(tweak, at / job->sector_bytes);
        if (EVP_CipherInit_ex(job->openssl, NULL, NULL, NULL, tweak, -1) != 1 ||
            EVP_CipherUpdate(job->openssl, job->buffer + at, &size, job->buffer + at,
                             (int)job->sector_bytes) != 1)
            abort();
    }
}

#define VAES512 __attribute__((target("avx512f,vaes,prfchw")))
#define VAES256 __attribute__((target("avx2,vaes,prfchw")))

static VAES512 void run_limit512(struct job *job)
{
    __m512i keys[14];
    for (int i = 0; i < 14; i++)
        keys[i] = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)job + i));
    for (uint8_t *p = job->buffer; p < job->buffer + job->buffer_bytes; p += 512) {
        __m512i s[8];
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) {
            __builtin_prefetch(p + PREFETCH_BYTES + 64 * i, 1);
            s[i] = _mm512_loadu_si512(p + 64 * i);
        }
#pragma GCC unroll 14
        for (int round = 0; round < 14; round++)
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++)
                s[i] = _mm512_aesenc_epi128(s[i], keys[round]);
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            _mm512_storeu_si512(p + 64 * i, s[i]);
    }
}

static VAES256 void run_limit256(struct job *job)
{
    __m256i key = _mm256_loadu_si256((const __m256i *)(const void *)job);
    for (uint8_t *p = job->buffer; p < job->buffer + job->buffer_bytes; p += 256) {
        __m256i s[8];
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) {
            __builtin_prefetch(p + PREFETCH_BYTES + 32 * i, 1);
            s[i] = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32 * i));
        }
#pragma GCC unroll 14
        for (int round = 0; round < 14; round++)
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++)
                s[i] = _mm256_aesenc_epi128(s[i], key);
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            _mm256_storeu_si256((__m256i *)(void *)(p + 32 * i), s[i]);
    }
}

static peer *limit_here(void)
{
    if (vck_aes_impl_available(VCK_AES_VAES512))
        return run_limit512;
    return vck_aes_impl_available(VCK_AES_VAES256) ? run_limit256 : NULL;
}

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(values[0]), compare);
    return values[count / 2];
}

enum { VCK, OPENSSL, LIMIT, PEERS };

/* GB/s of each peer, 0 for one that is missing. */
static void measure(struct job *job, peer *const peers[PEERS], double ret_rates[PEERS])
{
    static double times[PEERS][ROUNDS];
    size_t turns = VCK_MAX(BYTES_PER_TURN / job->buffer_bytes, 1u);
    unsigned rounds = job->buffer_bytes > BYTES_PER_TURN ? ROUNDS / 2 : ROUNDS;
    for (unsigned round = 0; round < rounds; round++)
        for (int p = 0; p < PEERS; p++) {
            double start = now_seconds();
            for (size_t turn = 0; peers[p] != NULL && turn < turns; turn++)
                peers[p](job);
            times[p][round] = now_seconds() - start;
        }
    for (int p = 0; p < PEERS; p++)
        ret_rates[p] = peers[p] == NULL
                           ? 0
                           : (double)(turns * job->buffer_bytes) / median(times[p], rounds) / 1e9;
}

static bool json;
static const char *separator = "";

static void print_row(const struct job *job, const double rates[PEERS])
{
    const char *name = vck_aes_impl_name(job->xts.data.impl);
    const char *direction = job->encrypt ? "encrypt" : "decrypt";
    double ratio = rates[VCK] / rates[OPENSSL];
    double of_limit = rates[LIMIT] > 0 ? rates[VCK] / rates[LIMIT] : 0;
    if (json) {
        printf("%s\n  {\"bench\": \"xts\", \"impl\": \"%s\", \"buffer_bytes\": %zu, "
               "\"sector_bytes\": %u, \"direction\": \"%s\", \"vck_gb_s\": %.3f, "
               "\"openssl_gb_s\": %.3f, \"limit_gb_s\": %.3f, \"ratio_openssl\": %.3f, "
               "\"ratio_limit\": %.3f}",
               separator, name, job->buffer_bytes, job->sector_bytes, direction, rates[VCK],
               rates[OPENSSL], rates[LIMIT], ratio, of_limit);
        separator = ",";
        return;
    }
    printf("%-9s %4zu MiB %6u %-8s %8.2f %8.2f %8.2f %9.2f %9.2f\n", name, job->buffer_bytes / MIB,
           job->sector_bytes, direction, rates[VCK], rates[OPENSSL], rates[LIMIT], ratio, of_limit);
    fflush(stdout);
}

static void bench_xts(uint8_t *buffer, size_t buffer_bytes, enum vck_aes_impl impl)
{
    static const uint32_t sectors[] = {512, 4096};
    peer *const peers[PEERS] = {run_vck, run_openssl, limit_here()};
    struct job job = {.buffer = buffer, .buffer_bytes = buffer_bytes};
    uint8_t keys[64];

    for (size_t i = 0; i < sizeof(keys); i++)
        keys[i] = (uint8_t)(7 * i + 1);
    job.openssl = EVP_CIPHER_CTX_new();
    if (job.openssl == NULL || vck_xts_init_with(&job.xts, keys, keys + 32, impl) != VCK_OK)
        abort();
    for (size_t i = 0; i < 2 * VCK_ARRAY_COUNT(sectors); i++) {
        double rates[PEERS];
        job.sector_bytes = sectors[i / 2];
        job.encrypt = i % 2 == 0;
        if (EVP_CipherInit_ex(job.openssl, EVP_aes_256_xts(), NULL, keys, NULL, job.encrypt) != 1)
            abort();
        measure(&job, peers, rates);
        print_row(&job, rates);
    }
    EVP_CIPHER_CTX_free(job.openssl);
    vck_xts_fini(&job.xts);
}

static void bench_siphash(const uint8_t *buffer, size_t buffer_bytes, uint32_t chunk_bytes)
{
    static const enum vck_siphash_impl impls[] = {VCK_SIPHASH_PORTABLE, VCK_SIPHASH_AVX2,
                                                  VCK_SIPHASH_AVX512};
    static const char *const names[] = {"portable", "avx2", "avx512"};
    static double times[VCK_ARRAY_COUNT(impls)][ROUNDS];
    const uint8_t key[16] = {1, 2, 3};
    size_t chunks = buffer_bytes / chunk_bytes;
    uint8_t *tags = malloc(chunks * VCK_SIPHASH_TAG_BYTES);
    if (tags == NULL)
        abort();
    for (unsigned round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < VCK_ARRAY_COUNT(impls); i++) {
            double start = now_seconds();
            vck_status status = vck_siphash24_chunks_with(impls[i], key, buffer, chunk_bytes,
                                                          chunks, 0, tags, VCK_SIPHASH_TAG_BYTES);
            times[i][round] = status == VCK_OK ? now_seconds() - start : 0;
        }
    free(tags);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(impls); i++) {
        double seconds = median(times[i], ROUNDS);
        double rate = seconds > 0 ? (double)buffer_bytes / seconds / 1e9 : 0;
        if (json)
            printf("%s\n  {\"bench\": \"siphash\", \"impl\": \"%s\", \"buffer_bytes\": %zu, "
                   "\"chunk_bytes\": %u, \"gb_s\": %.3f}",
                   separator, names[i], buffer_bytes, chunk_bytes, rate);
        else
            printf("%-9s %4zu MiB %6u %17.2f\n", names[i], buffer_bytes / MIB, chunk_bytes, rate);
        separator = ",";
    }
}

static void heading(const char *line)
{
    if (!json)
        puts(line);
}

static void bench_all(uint8_t *buffer, size_t buffer_bytes)
{
    heading("AES-256-XTS in place, GB/s\n"
            "impl        buffer sector direction     vck  openssl    limit /openssl    /limit");
    for (int impl = VCK_AES_PORTABLE; impl <= VCK_AES_VAES512; impl++) {
        if (vck_aes_impl_available((enum vck_aes_impl)impl))
            bench_xts(buffer, MIB, (enum vck_aes_impl)impl);
        else if (!json)
            printf("%-9s skipped: this processor does not have it\n",
                   vck_aes_impl_name((enum vck_aes_impl)impl));
    }
    bench_xts(buffer, buffer_bytes, VCK_AES_AUTO);
    heading("\nSipHash-2-4 of chunks, GB/s\nimpl        buffer  chunk");
    bench_siphash(buffer, MIB, 512);
    bench_siphash(buffer, buffer_bytes, 512);
    bench_siphash(buffer, buffer_bytes, 4096);
}

int main(int argc, char **argv)
{
    const size_t buffer_bytes = (size_t)64 * MIB;
    json = argc == 2 && strcmp(argv[1], "--json") == 0;
    if (argc > 2 || (argc == 2 && !json)) {
        fputs("usage: bench-xts [--json]\n", stderr);
        return 2;
    }
    uint8_t *buffer = aligned_alloc(PAGE_BYTES, buffer_bytes + PAGE_BYTES);
    if (buffer == NULL)
        return 1;
    memset(buffer, 1, buffer_bytes + PAGE_BYTES);
    if (json)
        printf("[");
    bench_all(buffer, buffer_bytes);
    if (json)
        puts("\n]");
    free(buffer);
    return 0;
}
