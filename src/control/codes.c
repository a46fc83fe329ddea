/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/codes.h"

#define CODE(name, request, response)                                                              \
    {                                                                                              \
        VCK_CODE_##name, #name, VCK_MESSAGE_##request, VCK_MESSAGE_##response                      \
    }

const struct vck_code_info vck_code_table[VCK_CODE_COUNT] = {
    CODE(GET_STATUS, VOLUME_REQUEST, VOLUME_STATUS),
    CODE(START_ENCRYPT, VOLUME_REQUEST, EMPTY),
    CODE(START_DECRYPT, VOLUME_REQUEST, EMPTY),
    CODE(GET_PROGRESS, VOLUME_REQUEST, PROGRESS_EVENT),
    CODE(PAUSE, VOLUME_REQUEST, EMPTY),
    CODE(ATTACH, ATTACH_REQUEST, ATTACH_RESPONSE),
    CODE(DETACH, VOLUME_REQUEST, EMPTY),
    CODE(PREPARE, PREPARE_REQUEST, PREPARE_RESPONSE),
    CODE(PAUSE_OS_VOLUME, NONE, NONE),
    CODE(DETACH_ALL_VOLUMES, NONE, NONE),
    CODE(BENCH_AES, BENCH_REQUEST, BENCH_RESPONSE),
    CODE(LIST_VOLUMES, NONE, VOLUME_LIST),
    CODE(RESUME, VOLUME_REQUEST, EMPTY),
    CODE(SET_RATE, RATE_REQUEST, EMPTY),
    CODE(DAMAGE, VOLUME_REQUEST, DAMAGE_LIST),
    CODE(LAST_ERROR, NONE, TEXT),
    CODE(CHANGE_KEYS, KEYS_REQUEST, KEYS_RESPONSE),
    CODE(ERASE_KEYS, VOLUME_REQUEST, KEYS_RESPONSE),
    CODE(SUSPEND, VOLUME_REQUEST, EMPTY),
    CODE(WAKE, WAKE_REQUEST, EMPTY),
    CODE(RECORD_USED, VOLUME_REQUEST, USED_RECORDING),
    CODE(ADD_USED, USED_REQUEST, EMPTY),
    CODE(START_ENCRYPT_USED, USED_REQUEST, EMPTY),
    CODE(REKEY, VOLUME_REQUEST, EMPTY),
    CODE(REKEY_BACK, VOLUME_REQUEST, EMPTY),
    CODE(READ_METADATA, METADATA_REQUEST, METADATA_RESPONSE),
};

const struct vck_code_info *vck_code_find(uint32_t code)
{
    for (size_t i = 0; i < VCK_ARRAY_COUNT(vck_code_table); i++)
        if (vck_code_table[i].code == code)
            return &vck_code_table[i];
    return NULL;
}

bool vck_code_writes(uint32_t code)
{
    return (code & VCK_CODE_ACCESS_WRITE) != 0;
}
