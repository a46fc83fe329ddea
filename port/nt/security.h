/* SPDX-License-Identifier: Apache-2.0 */
/*
 * security: who may open a control device, and what makes a caller an administrator. Pure: both
 * work on bytes as the system lays them out.
 *
 * Source: control-protocol, "Access"; "Security Descriptor Structure" and "TOKEN_GROUPS" in the
 * Windows documentation.
 */
#ifndef VCK_PORT_NT_SECURITY_H
#define VCK_PORT_NT_SECURITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/annotate.h"

VCK_BEGIN_DECLS

#define VCK_SECURITY_DESCRIPTOR_BYTES 92u

/* The self-relative security descriptor D:P(A;;GA;;;SY)(A;;GA;;;BA)(A;;GRGX;;;AU). Any level. */
void vck_security_descriptor_build(uint8_t ret_descriptor[VCK_SECURITY_DESCRIPTOR_BYTES]);

/* Whether a SID of size_bytes is BUILTIN\Administrators (S-1-5-32-544). Any level. */
bool vck_security_is_administrators(const uint8_t *sid, size_t size_bytes);

/* Whether membership of a group with these attributes grants access: it is enabled, and not there
 * only to deny. Any level. */
bool vck_security_group_grants(uint32_t attributes);

VCK_END_DECLS

#endif
