/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include "products/vck/vck.h"
#include "vck/bytes.h"

int exit_code_of(vck_status status)
{
    switch (status) {
    case VCK_OK:
        return EXIT_OK;
    case VCK_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case VCK_WRONG_KEY:
        return EXIT_WRONG_KEY;
    case VCK_PERMISSION_DENIED:
    case VCK_READ_ONLY:
        return EXIT_PERMISSION;
    case VCK_SIGNATURE_MISMATCH:
    case VCK_CHECKSUM_MISMATCH:
    case VCK_SIZE_MISMATCH:
    case VCK_VALIDATION_FAILED:
    case VCK_TAMPERED:
    case VCK_DAMAGED:
        return EXIT_PROBLEMS;
    case VCK_BUSY:
        return EXIT_BUSY;
    case VCK_ALREADY_EXISTS:
        return EXIT_REFUSED;
    default:
        return EXIT_FAILED;
    }
}

const char *size_text(uint64_t bytes, char buffer[SIZE_TEXT_BYTES])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned unit = 0;
    uint64_t scale = 1;
    while (unit + 1 < VCK_ARRAY_COUNT(units) && bytes / scale >= 1024) {
        scale *= 1024;
        unit++;
    }
    if (bytes % scale == 0)
        snprintf(buffer, SIZE_TEXT_BYTES, "%" PRIu64 " %s", bytes / scale, units[unit]);
    else
        snprintf(buffer, SIZE_TEXT_BYTES, "%.1f %s", (double)bytes / (double)scale, units[unit]);
    return buffer;
}

const char *uuid_text(const uint8_t id[16], char buffer[UUID_TEXT_BYTES])
{
    char *to = buffer;
    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        snprintf(to, 3, "%02x", id[i]);
        to += 2;
    }
    return buffer;
}

const char *state_text(uint32_t state)
{
    static const char *const names[] = {"idle", "encrypting", "decrypting", "paused"};
    return state < VCK_ARRAY_COUNT(names) ? names[state] : "unknown";
}

const char *direction_text(uint32_t direction)
{
    return direction == 1 ? "decrypting" : "encrypting";
}

const char *intent_text(uint32_t intent)
{
    static const char *const names[] = {"unrecorded", "run", "paused"};
    return intent < VCK_ARRAY_COUNT(names) ? names[intent] : "unknown";
}
