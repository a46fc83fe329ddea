/* SPDX-License-Identifier: Apache-2.0 */
#include "port/nt/security.h"
#include <string.h>
#include "vck/bytes.h"

#define DACL_PRESENT   0x0004u
#define DACL_PROTECTED 0x1000u
#define SELF_RELATIVE  0x8000u

#define GENERIC_ALL_ACCESS     0x10000000u
#define GENERIC_EXECUTE_ACCESS 0x20000000u
#define GENERIC_READ_ACCESS    0x80000000u

#define GROUP_ENABLED   0x00000004u
#define GROUP_DENY_ONLY 0x00000010u

#define HEADER_BYTES 20u
#define ACL_BYTES    8u
#define ACE_BYTES    8u /* without its SID */

static const uint8_t local_system[] = {1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0};
static const uint8_t administrators[] = {1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0};
static const uint8_t authenticated_users[] = {1, 1, 0, 0, 0, 0, 0, 5, 11, 0, 0, 0};

_Static_assert(VCK_SECURITY_DESCRIPTOR_BYTES == HEADER_BYTES + ACL_BYTES + 3 * ACE_BYTES +
                                                    sizeof(local_system) + sizeof(administrators) +
                                                    sizeof(authenticated_users),
               "the descriptor has no gaps");

/* An ACCESS_ALLOWED_ACE; returns what follows it. */
static uint8_t *put_allowed(uint8_t *at, uint32_t access, const uint8_t *sid, size_t sid_bytes)
{
    at[0] = 0;
    at[1] = 0;
    vck_store_le16(at + 2, (uint16_t)(ACE_BYTES + sid_bytes));
    vck_store_le32(at + 4, access);
    memcpy(at + ACE_BYTES, sid, sid_bytes);
    return at + ACE_BYTES + sid_bytes;
}

void vck_security_descriptor_build(uint8_t ret_descriptor[VCK_SECURITY_DESCRIPTOR_BYTES])
{
    uint8_t *acl = ret_descriptor + HEADER_BYTES;
    uint8_t *at = acl + ACL_BYTES;

    memset(ret_descriptor, 0, VCK_SECURITY_DESCRIPTOR_BYTES);
    ret_descriptor[0] = 1;
    vck_store_le16(ret_descriptor + 2, DACL_PRESENT | DACL_PROTECTED | SELF_RELATIVE);
    vck_store_le32(ret_descriptor + 16, HEADER_BYTES);
    at = put_allowed(at, GENERIC_ALL_ACCESS, local_system, sizeof(local_system));
    at = put_allowed(at, GENERIC_ALL_ACCESS, administrators, sizeof(administrators));
    at = put_allowed(at, GENERIC_READ_ACCESS | GENERIC_EXECUTE_ACCESS, authenticated_users,
                     sizeof(authenticated_users));
    acl[0] = 2;
    vck_store_le16(acl + 2, (uint16_t)(at - acl));
    vck_store_le16(acl + 4, 3);
}

bool vck_security_is_administrators(const uint8_t *sid, size_t size_bytes)
{
    return size_bytes == sizeof(administrators) &&
           memcmp(sid, administrators, sizeof(administrators)) == 0;
}

bool vck_security_group_grants(uint32_t attributes)
{
    return (attributes & (GROUP_ENABLED | GROUP_DENY_ONLY)) == GROUP_ENABLED;
}
