/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path: what people and programs write for a volume, made into the one NT name the driver keeps it
 * under. Pure: no name is looked up, so two names of one volume may stay different here.
 *
 *     \\.\D:  \\?\D:  D:  D:\  \??\D:  \DosDevices\D:  \GLOBAL??\D:      \??\D:
 *     \\?\Volume{GUID}\  and the same forms                             \??\Volume{guid}
 *     \\.\PhysicalDrive1  \\.\HarddiskVolume3                           \??\PhysicalDrive1, ...
 *     \Device\HarddiskVolume3  \\?\GLOBALROOT\Device\HarddiskVolume3    \Device\HarddiskVolume3
 *
 * Drive letters become upper case and volume GUIDs lower case; everything else keeps its case.
 * Source: "Naming Files, Paths, and Namespaces" and "MS-DOS Device Names" in the Windows
 * documentation.
 */
#ifndef VCK_VCKSYS_PATH_H
#define VCK_VCKSYS_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include "vck/status.h"
#include "vck/volume.h"

VCK_BEGIN_DECLS

/* path is UTF-8. INVALID_DATA: it names no volume (a file or folder on one, a share, a relative
 * path, control characters, too long); *ret_why then says so in words, without the path. ret_path
 * is untouched on failure. Any level. */
VCK_CHECKED vck_status path_to_nt(const char *path, char ret_path[VCK_VOLUME_PATH_BYTES],
                                  const char **ret_why);

/* Whether the NT path is a link in the namespace of DOS devices (\??\...): it may lead to a device
 * of another name. Any level. */
bool path_is_link(const char *nt_path);

VCK_END_DECLS

#endif
