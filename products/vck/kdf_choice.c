/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kdf_choice: how expensive a new slot is made to guess. What is not asked for is measured, so that
 * opening the slot takes about --kdf-time on this machine.
 */
#include <string.h>
#include "port/port.h"
#include "products/vck/key.h"
#include "products/vck/os.h"
#include "vck/pbkdf2.h"

#define MEMORY_KIB_MIN     (64u * 1024)  /* RFC 9106's choice where memory is scarce */
#define MEMORY_KIB_DEFAULT (256u * 1024) /* at most: loaders have to find it, too */
#define PASSES_MIN         3u
#define LANES_DEFAULT      4u
#define ITERATIONS_MIN     210000u
#define ITERATIONS_PROBE   20000u
#define TIME_MS_DEFAULT    1000u
#define NS_PER_MS          1000000u

static const uint8_t probe_bytes[16];
static const struct vck_bytes probe = {probe_bytes, sizeof(probe_bytes)};

static int parse_kind(const struct command *command, uint16_t type, enum vck_key_kdf_kind *ret_kind)
{
    const char *name = command->values[OPTION_KDF];
    if (type == VCK_KEY_RECOVERY || type == VCK_KEY_TPM) {
        *ret_kind = VCK_KEY_HKDF;
        return name == NULL
                   ? EXIT_OK
                   : report_usage(command, "%s is random and takes no --kdf",
                                  type == VCK_KEY_TPM ? "what a TPM seals" : "a recovery key");
    }
    if (name == NULL || strcmp(name, "argon2id") == 0)
        *ret_kind = VCK_KEY_ARGON2ID;
    else if (strcmp(name, "pbkdf2") == 0)
        *ret_kind = VCK_KEY_PBKDF2;
    else if (strcmp(name, "hkdf") == 0 && type == VCK_KEY_FILE)
        *ret_kind = VCK_KEY_HKDF;
    else
        return report_usage(command,
                            "--kdf is %s; argon2id, pbkdf2, or with --type key-file hkdf "
                            "is expected",
                            name);
    return EXIT_OK;
}

static vck_status stretch(const struct vck_argon2_params *params, uint64_t *ret_ns)
{
    const struct vck_key_stretcher *stretcher = os_stretcher();
    uint8_t key[32];
    if (stretcher == NULL)
        stretcher = &vck_key_default_stretcher;
    uint64_t before = vck_clock_ns();
    vck_status status = stretcher->argon2id(stretcher, params, probe, probe, key);
    *ret_ns = vck_clock_ns() - before;
    return status;
}

static uint32_t default_memory_kib(void)
{
    uint64_t quarter_kib = os_memory_bytes() / 4 / 1024;
    if (quarter_kib < MEMORY_KIB_MIN)
        return MEMORY_KIB_MIN;
    return quarter_kib < MEMORY_KIB_DEFAULT ? (uint32_t)quarter_kib : MEMORY_KIB_DEFAULT;
}

/* The passes that take the time that is left for them, memory_kib being what it is. */
static int measure_passes(const struct command *command, uint64_t target_ns,
                          struct vck_key_kdf *kdf)
{
    const struct vck_argon2_params params = {1, kdf->memory_kib, kdf->lanes};
    uint64_t pass_ns;
    vck_status status = stretch(&params, &pass_ns);
    if (status != VCK_OK)
        return report(command, EXIT_FAILED, "cannot measure the KDF with %u KiB: %s",
                      kdf->memory_kib, vck_status_text(status));
    uint64_t passes = target_ns / (pass_ns > 0 ? pass_ns : 1);
    passes = passes > PASSES_MIN ? passes : PASSES_MIN;
    kdf->passes = passes < VCK_KEY_PASSES_MAX ? (uint32_t)passes : VCK_KEY_PASSES_MAX;
    return EXIT_OK;
}

/* Where a slow machine cannot pass thrice over the default in time, less memory, down to the floor.
 */
static void measure_memory(uint64_t target_ns, struct vck_key_kdf *kdf)
{
    kdf->memory_kib = default_memory_kib();
    while (kdf->memory_kib > MEMORY_KIB_MIN) {
        const struct vck_argon2_params params = {1, kdf->memory_kib, kdf->lanes};
        uint64_t pass_ns = 0;
        vck_status status = stretch(&params, &pass_ns);
        if (status == VCK_OK && pass_ns * PASSES_MIN <= target_ns)
            break;
        uint32_t half = kdf->memory_kib / 2;
        kdf->memory_kib = half > MEMORY_KIB_MIN ? half : MEMORY_KIB_MIN;
    }
}

static int choose_argon2id(const struct command *command, uint64_t target_ns,
                           struct vck_key_kdf *kdf)
{
    uint64_t memory_bytes;
    unsigned processors = os_processors();
    kdf->lanes = processors < LANES_DEFAULT ? processors : LANES_DEFAULT;
    int code = option_bytes(command, OPTION_KDF_MEMORY, MEMORY_KIB_MIN * UINT64_C(1024),
                            VCK_KEY_MEMORY_KIB_MAX * UINT64_C(1024), 0, &memory_bytes);
    if (code == EXIT_OK)
        code =
            option_u32(command, OPTION_KDF_PASSES, PASSES_MIN, VCK_KEY_PASSES_MAX, 0, &kdf->passes);
    if (code != EXIT_OK)
        return code;
    kdf->memory_kib = (uint32_t)(memory_bytes / 1024);
    if (kdf->memory_kib == 0)
        measure_memory(target_ns, kdf);
    return kdf->passes == 0 ? measure_passes(command, target_ns, kdf) : EXIT_OK;
}

static int choose_pbkdf2(const struct command *command, uint64_t target_ns, struct vck_key_kdf *kdf)
{
    uint8_t key[32];
    if (option_given(command, OPTION_KDF_MEMORY))
        return report_usage(command, "--kdf-memory is for argon2id; pbkdf2 takes none");
    int code = option_u32(command, OPTION_KDF_PASSES, ITERATIONS_MIN, VCK_KEY_ITERATIONS_MAX, 0,
                          &kdf->passes);
    if (code != EXIT_OK || kdf->passes != 0)
        return code;
    uint64_t before = vck_clock_ns();
    vck_status status = vck_pbkdf2_sha512(probe, probe, ITERATIONS_PROBE, key, sizeof(key));
    uint64_t probe_ns = vck_clock_ns() - before;
    if (status != VCK_OK)
        return report(command, EXIT_FAILED, "cannot measure the KDF: %s", vck_status_text(status));
    uint64_t passes = target_ns / (probe_ns > 0 ? probe_ns : 1) * ITERATIONS_PROBE;
    passes = passes > ITERATIONS_MIN ? passes : ITERATIONS_MIN;
    kdf->passes = passes < VCK_KEY_ITERATIONS_MAX ? (uint32_t)passes : VCK_KEY_ITERATIONS_MAX;
    return EXIT_OK;
}

int kdf_choose(const struct command *command, uint16_t type, struct vck_key_kdf *ret_kdf)
{
    uint32_t time_ms;
    memset(ret_kdf, 0, sizeof(*ret_kdf));
    int code = parse_kind(command, type, &ret_kdf->kind);
    if (code == EXIT_OK)
        code = option_u32(command, OPTION_KDF_TIME, 100, 60000, TIME_MS_DEFAULT, &time_ms);
    if (code != EXIT_OK)
        return code;
    uint64_t target_ns = (uint64_t)time_ms * NS_PER_MS;
    if (ret_kdf->kind == VCK_KEY_ARGON2ID)
        return choose_argon2id(command, target_ns, ret_kdf);
    if (ret_kdf->kind == VCK_KEY_PBKDF2)
        return choose_pbkdf2(command, target_ns, ret_kdf);
    if (option_given(command, OPTION_KDF_MEMORY) || option_given(command, OPTION_KDF_PASSES))
        return report_usage(command, "hkdf takes neither --kdf-memory nor --kdf-passes");
    return EXIT_OK;
}
