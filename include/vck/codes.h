/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codes: the requests of the control protocol, their names, access and messages. The numbers are
 * NT device control codes (device type 0x22, buffered) on every host. Source:
 * docs/control-protocol.md, "Codes".
 */
#ifndef VCK_CODES_H
#define VCK_CODES_H

#include <stdbool.h>
#include <stdint.h>
#include "vck/annotate.h"
#include "vck/messages.h"

VCK_BEGIN_DECLS

enum vck_code {
    VCK_CODE_GET_STATUS = 0x00226000,
    VCK_CODE_START_ENCRYPT = 0x0022a004,
    VCK_CODE_START_DECRYPT = 0x0022a008,
    VCK_CODE_GET_PROGRESS = 0x0022600c,
    VCK_CODE_PAUSE = 0x0022a010,
    VCK_CODE_ATTACH = 0x0022a014,
    VCK_CODE_DETACH = 0x0022a018,
    VCK_CODE_PREPARE = 0x0022a01c,
    VCK_CODE_PAUSE_OS_VOLUME = 0x0022a020,
    VCK_CODE_DETACH_ALL_VOLUMES = 0x0022a024,
    VCK_CODE_BENCH_AES = 0x00226028,
    VCK_CODE_LIST_VOLUMES = 0x0022602c,
    /* Beyond the twelve. */
    VCK_CODE_RESUME = 0x0022a030,
    VCK_CODE_SET_RATE = 0x0022a034,
    VCK_CODE_DAMAGE = 0x00226038,
    VCK_CODE_LAST_ERROR = 0x0022603c,
    VCK_CODE_CHANGE_KEYS = 0x0022a040,
    VCK_CODE_ERASE_KEYS = 0x0022a044,
    VCK_CODE_SUSPEND = 0x0022a048,
    VCK_CODE_WAKE = 0x0022a04c,
    VCK_CODE_RECORD_USED = 0x0022a050,
    VCK_CODE_ADD_USED = 0x0022a054,
    VCK_CODE_START_ENCRYPT_USED = 0x0022a058,
    VCK_CODE_REKEY = 0x0022a060,
    VCK_CODE_REKEY_BACK = 0x0022a064,
    VCK_CODE_READ_METADATA = 0x0022a070,
};

/* Bits 14 and 15 of a code: what the handle must allow. */
#define VCK_CODE_ACCESS_READ  0x4000u
#define VCK_CODE_ACCESS_WRITE 0x8000u

struct vck_code_info {
    uint32_t code;
    const char *name; /* "GET_STATUS" */
    enum vck_message_type request;
    enum vck_message_type response;
};

#define VCK_CODE_COUNT 26u

/* All codes, in the order above. Static. */
extern const struct vck_code_info vck_code_table[VCK_CODE_COUNT];

/* The entry of a code, NULL for an unknown one. Any level. */
const struct vck_code_info *vck_code_find(uint32_t code);

/* Whether a code, known or not, asks for write access. Any level. */
bool vck_code_writes(uint32_t code);

VCK_END_DECLS

#endif
