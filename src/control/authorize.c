/* SPDX-License-Identifier: Apache-2.0 */
#include "control_internal.h"

vck_status vck_control_authorize(const struct vck_control_caller *caller, uint32_t code)
{
    if (vck_code_writes(code) && !(caller->can_write && caller->is_admin))
        return VCK_PERMISSION_DENIED;
    if (!vck_code_writes(code) && !caller->can_read)
        return VCK_PERMISSION_DENIED;
    if ((code & VCK_CODE_ACCESS_READ) && !caller->can_read)
        return VCK_PERMISSION_DENIED;
    return VCK_OK;
}
