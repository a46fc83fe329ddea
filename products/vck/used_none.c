/* SPDX-License-Identifier: Apache-2.0 */
/* Where what is used of a volume is not found out. */
#include "products/vck/used.h"

int used_encrypt(struct client *client, const char *path)
{
    return report(client->command, EXIT_FAILED, "what is used of %s cannot be found out here",
                  path);
}
