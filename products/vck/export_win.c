/* SPDX-License-Identifier: Apache-2.0 */
#include "products/vck/export.h"

bool export_uri(const struct command *command, const char *path, char ret_uri[URI_BYTES])
{
    (void)command;
    (void)path;
    (void)ret_uri;
    return false;
}
