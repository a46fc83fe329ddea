/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include "products/vck/bench_local.h"
#include "products/vck/client.h"
#include "products/vck/json.h"
#include "products/vck/os.h"
#include "vck/aes.h"
#include "vck/cpu.h"

#define MIB UINT64_C(1048576)
#define GIB (1024 * MIB)

static int measure_local(const struct command *command, uint64_t size_bytes,
                         struct vck_msg_bench_response *ret_response)
{
    uint64_t whole = (size_bytes + MIB - 1) / MIB * MIB;
    vck_status status =
        bench_local(whole, &ret_response->encrypt_mib_s, &ret_response->decrypt_mib_s);
    ret_response->size_bytes = whole;
    if (status != VCK_OK)
        return report(command, EXIT_FAILED, "cannot measure: %s", vck_status_text(status));
    return EXIT_OK;
}

static int measure_host(const struct command *command, uint64_t size_bytes,
                        struct vck_msg_bench_response *ret_response)
{
    struct client client;
    struct vck_msg_bench_request request = {.size_bytes = size_bytes};
    int code = client_open(&client, command);
    if (code == EXIT_OK)
        code = client_call(&client, VCK_CODE_BENCH_AES, &request, ret_response);
    client_close(&client);
    return code;
}

static void print(const struct command *command, bool is_local,
                  const struct vck_msg_bench_response *response)
{
    char size[SIZE_TEXT_BYTES];
    const char *where = is_local ? "local" : os_words.host;
    if (option_given(command, OPTION_JSON)) {
        struct json json = {0};
        json_object_begin(&json, NULL);
        json_string(&json, "where", where);
        json_u64(&json, "size_bytes", response->size_bytes);
        json_u64(&json, "encrypt_mib_s", response->encrypt_mib_s);
        json_u64(&json, "decrypt_mib_s", response->decrypt_mib_s);
        json_object_end(&json);
        return;
    }
    printf("AES-256-XTS, %s, %s: encrypts %" PRIu64 " MiB/s, decrypts %" PRIu64 " MiB/s\n", where,
           size_text(response->size_bytes, size), response->encrypt_mib_s, response->decrypt_mib_s);
}

int run_bench(const struct command *command)
{
    uint64_t size;
    struct vck_msg_bench_response response;
    bool is_local = option_given(command, OPTION_LOCAL);
    bool is_xmm = option_given(command, OPTION_XMM);
    int code = option_bytes(command, OPTION_SIZE, MIB, 64 * GIB, GIB, &size);
    if (code == EXIT_OK && is_xmm && !is_local)
        code = report(command, EXIT_USAGE, "--xmm is for --local");
    if (is_xmm)
        vck_cpu_restrict(VCK_CPU_AESNI | VCK_CPU_SHA);
    if (code == EXIT_OK)
        code = is_local ? measure_local(command, size, &response)
                        : measure_host(command, size, &response);
    if (code == EXIT_OK)
        print(command, is_local, &response);
    return code;
}
